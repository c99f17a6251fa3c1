package main

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"foyer"
	"foyer/store"
)

type runCmd struct {
	List    runListCmd    `cmd:"" help:"List the runs, the newest first: syncs, undos, joins, ends of sources."`
	Show    runShowCmd    `cmd:"" help:"Show what a run did, or would do: who was added, changed from what to what, disabled, and every row's problem."`
	Approve runApproveCmd `cmd:"" help:"Apply a held run after all."`
	Reject  runRejectCmd  `cmd:"" help:"Do not apply a held run."`
	Undo    runUndoCmd    `cmd:"" help:"Put back what a run changed."`
}

type runJSON struct {
	ID         string          `json:"id"`
	Kind       foyer.RunKind   `json:"kind"`
	Source     string          `json:"source"`
	By         string          `json:"by"`
	Address    string          `json:"address"`
	StartedAt  *string         `json:"started_at"`
	FinishedAt *string         `json:"finished_at"`
	Status     foyer.RunStatus `json:"status"`
	Message    string          `json:"message"`
	Rows       int             `json:"rows"`
	Added      int             `json:"added"`
	Updated    int             `json:"updated"`
	Disabled   int             `json:"disabled"`
	Enabled    int             `json:"enabled"`
	Unchanged  int             `json:"unchanged"`
	Skipped    int             `json:"skipped"`
	Errors     int             `json:"errors"`
	Warnings   int             `json:"warnings"`
	Removed    int             `json:"removed"`
	Digest     string          `json:"sha256,omitempty"`
	Of         string          `json:"of,omitempty"`      // the run that it undoes, or as whose approval it was applied
	Replays    string          `json:"replays,omitempty"` // the earlier run that applied the same file
	Hold       *foyer.Hold     `json:"hold,omitempty"`

	WouldBeHeld bool `json:"would_be_held,omitempty"` // of a dry run

	finished time.Time
}

func toRunJSON(r *foyer.Run, n names) runJSON {
	out := runJSON{
		r.ID.String(), r.Kind, n.sources[r.Source], r.Actor, r.Address, stamp(r.Started), stamp(r.Finished), r.Status, r.Message,
		r.Rows, r.Added, r.Updated, r.Disabled, r.Enabled, r.Unchanged, r.Skipped, r.Errors, r.Warnings, r.Removed, hex.EncodeToString(r.Digest), "", "", r.Hold, false, r.Finished,
	}
	if r.Of != 0 {
		out.Of = r.Of.String()
	}
	if r.Replays != 0 {
		out.Replays = r.Replays.String()
	}
	return out
}

type runListCmd struct {
	orgFlag
	Limit int  `help:"At most so many." default:"0"`
	Edits bool `help:"Changes by hand too."`
}

// Run lists the runs.
func (c *runListCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		n, err := a.names(o, org)
		if err != nil {
			return err
		}
		runs, err := o.Runs(a.ctx, o.operator, org.ID, c.Limit, c.Edits)
		if err != nil {
			return err
		}
		out, rows := []runJSON{}, [][]string{}
		for _, r := range runs {
			out = append(out, toRunJSON(r, n))
			rows = append(rows, []string{r.ID.String(), string(r.Kind), dash(n.sources[r.Source]), when(r.Started), string(r.Status),
				did(r, r.Added), did(r, r.Updated), did(r, r.Disabled), did(r, r.Enabled), did(r, r.Removed), strconv.Itoa(r.Unchanged), strconv.Itoa(r.Errors), strconv.Itoa(r.Warnings)})
		}
		if a.cli.JSON {
			return a.json(out)
		}
		return a.table("RUN,KIND,SOURCE,STARTED,STATUS,ADDED,UPDATED,DISABLED,ENABLED,REMOVED,UNCHANGED,ERRORS,WARNINGS", rows)
	})
}

// did is a count of what a run did; in brackets what one that was held would have done.
func did(r *foyer.Run, n int) string {
	if r.Hold != nil {
		return fmt.Sprintf("(%d)", n)
	}
	return strconv.Itoa(n)
}

type runShowCmd struct {
	orgFlag
	ID    string `arg:"" help:"The run: R-81."`
	Limit int    `help:"Show at most so many people (0: all)." default:"100"`
}

type runDetailJSON struct {
	runJSON
	Problems []foyer.Problem `json:"problems"`
	People   []personJSON    `json:"people"`
	Away     []personJSON    `json:"away,omitempty"` // of a held run: whom the guard counted besides, taken away in the days before
}

type personJSON struct {
	Entry   string   `json:"entry"`
	Email   string   `json:"email"`
	Name    string   `json:"name"`
	What    string   `json:"what"`
	Changes []string `json:"changes"`
}

// Run shows a run.
func (c *runShowCmd) Run(a *app) error {
	id, err := foyer.ParseRunID(c.ID)
	if err != nil {
		return err
	}
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		n, err := a.names(o, org)
		if err != nil {
			return err
		}
		r, err := o.Run(a.ctx, o.operator, org.ID, id)
		if err != nil {
			return err
		}
		out := runDetailJSON{runJSON: toRunJSON(r, n), Problems: append([]foyer.Problem{}, r.Problems...)}
		limit := c.Limit
		if a.cli.JSON {
			limit = 0
		}
		if r.Status == foyer.Held {
			out.People, out.Away, err = a.heldPeople(o, org, r, n)
		} else {
			out.People, err = a.people(o, org, id, n, limit)
		}
		if err != nil {
			return err
		}
		if a.cli.JSON {
			return a.json(out)
		}
		a.printRun(&out, org, limit)
		return nil
	})
}

// people returns whom a run changed and how; limit 0 is all.
func (a *app) people(o *opened, org foyer.Org, id foyer.RunID, n names, limit int) ([]personJSON, error) {
	people := []personJSON{}
	err := o.Changes(a.ctx, o.operator, org.ID, id, func(change *foyer.Change) error {
		if limit == 0 || len(people) < limit {
			people = append(people, personJSON{Entry: change.Entry.String(), What: what(change), Changes: describe(change, n)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return people, a.nameEntries(o, org, people)
}

// nameEntries fills in email and name of people, as they are in the book now.
func (a *app) nameEntries(o *opened, org foyer.Org, people []personJSON) error {
	byID := map[foyer.EntryID][]*personJSON{}
	for i := range people {
		if id, ok := foyer.ParseEntryID(people[i].Entry); ok {
			byID[id] = append(byID[id], &people[i])
		}
	}
	return o.View(a.ctx, o.operator, org.ID, func(b *store.Book) error {
		return b.Entries(slices.Sorted(maps.Keys(byID)), func(e *foyer.Entry) error {
			for _, person := range byID[e.ID] {
				person.Email, person.Name = e.Values[foyer.Email], e.FullName()
			}
			return nil
		})
	})
}

// what sums up a change in one word.
func what(c *foyer.Change) string {
	switch {
	case c.Added:
		return "added"
	case c.Removed:
		return "removed"
	case c.Status != nil && c.Status[0].Enabled && !c.Status[1].Enabled:
		return "disabled"
	case c.Status != nil && !c.Status[0].Enabled && c.Status[1].Enabled:
		return "enabled"
	case c.Visible():
		return "changed"
	}
	return "noted"
}

// describe says what changed, a line each.
func describe(c *foyer.Change, n names) []string {
	lines := []string{}
	for _, f := range c.Fields {
		switch {
		case f.Before == f.After:
			lines = append(lines, fmt.Sprintf("%s %q is now owned by %s", f.Field.Label(), f.After, n.sources[f.Owner]))
		case f.After == "" && c.Removed:
			lines = append(lines, fmt.Sprintf("%s was %q", f.Field.Label(), f.Before))
		case f.Before == "":
			lines = append(lines, fmt.Sprintf("%s: %q", f.Field.Label(), f.After))
		default:
			lines = append(lines, fmt.Sprintf("%s: %q, was %q", f.Field.Label(), f.After, f.Before))
		}
	}
	if c.Joined != 0 {
		lines = append(lines, fmt.Sprintf("joined with %v, or parted from it", c.Joined))
	}
	for _, k := range c.Keeps {
		lines = append(lines, k.Field.Label()+" "+keeping(k.After))
	}
	for _, id := range c.IDs {
		lines = append(lines, fmt.Sprintf("known to %s as %s, was %s", n.sources[id.Source], dash(id.After), dash(id.Before)))
	}
	if c.Status != nil && !c.Added && !c.Removed {
		lines = append(lines, fmt.Sprintf("status: %v, was %v", c.Status[1], c.Status[0]))
	}
	if c.Sites != nil {
		lines = append(lines, fmt.Sprintf("sites: %s, was %s", dash(strings.Join(n.sites.list(c.Sites[1]), ", ")), dash(strings.Join(n.sites.list(c.Sites[0]), ", "))))
	}
	for _, f := range c.Flags {
		lines = append(lines, fmt.Sprintf("%s: %s, was %s", f.Name, dash(f.After), dash(f.Before)))
	}
	for _, claim := range c.Claims {
		switch {
		case claim.Before == nil:
			lines = append(lines, "listed by "+n.sources[claim.Source])
		case claim.After == nil:
			lines = append(lines, "no longer listed by "+n.sources[claim.Source])
		}
	}
	return lines
}

// keeping says whether a value is kept.
func keeping(k foyer.Keep) string {
	switch {
	case k.Run == 0:
		return "is not kept any more"
	case k.Until.IsZero():
		return "is kept"
	}
	return "is kept until " + lastDay(k.Until)
}

func removedToo(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" removed=%d", n)
}

// printShared says what those have in common whom a run would take away.
func (a *app) printShared(hold *foyer.Hold) {
	for _, group := range hold.Shared {
		a.printf("  %d of %d: %s %s", group.Count, hold.Lost, group.By, group.Value)
	}
}

// printHold says why a run is or was held, and what to do.
func (a *app) printHold(r *runDetailJSON, org foyer.Org) {
	a.printShared(r.Hold)
	switch {
	case r.Status == foyer.Superseded:
		a.printf("Superseded by %s.", r.Hold.Decided)
	case r.Hold.Decided != "":
		decided := "Decided"
		if r.Status == foyer.Rejected || r.Status == foyer.Approved {
			decided = strings.ToUpper(string(r.Status[:1])) + string(r.Status[1:])
		}
		a.printf("%s by %s.", decided, r.Hold.Decided)
	case r.Status == foyer.Held:
		a.printf("Nothing changed. It waits until %s for:\n  foyer run approve --org %s %s\n  foyer run reject --org %s %s", when(r.Hold.Expires), org.Slug, r.ID, org.Slug, r.ID)
	}
	a.printf("It would have:")
}

// printPeople prints people and what happens to them.
func (a *app) printPeople(people []personJSON) {
	for _, p := range people {
		who := strings.TrimSpace(p.Entry + " " + p.Email)
		if p.Name != "" {
			who += " (" + p.Name + ")"
		}
		a.printf("  %s %s", p.What, who)
		for _, change := range p.Changes {
			a.printf("      %s", change)
		}
	}
}

func (a *app) printRun(r *runDetailJSON, org foyer.Org, limit int) {
	a.printf("%s  %s %s  %s  source %s  by %s", r.ID, r.Kind, r.Status, when(r.finished), dash(r.Source), r.By)
	if r.Of != "" && r.Kind == foyer.Undo {
		a.printf("It undid %s.", r.Of)
	} else if r.Of != "" {
		a.printf("It was approved as %s.", r.Of)
	}
	if r.Message != "" {
		a.printf("%s", r.Message)
	}
	if r.Hold != nil {
		a.printHold(r, org)
	}
	a.printf("rows=%d added=%d updated=%d disabled=%d enabled=%d unchanged=%d skipped=%d errors=%d warnings=%d%s",
		r.Rows, r.Added, r.Updated, r.Disabled, r.Enabled, r.Unchanged, r.Skipped, r.Errors, r.Warnings, removedToo(r.Removed))
	if len(r.Problems) > 0 {
		a.printf("\nProblems:")
	}
	for _, p := range r.Problems {
		a.printf("  %v", p)
	}
	if len(r.People) > 0 {
		a.printf("\nPeople:")
	}
	shown := r.People
	if limit > 0 {
		shown = shown[:min(len(shown), limit)]
	}
	a.printPeople(shown)
	if len(r.Away) > 0 {
		a.printf("\nTaken away in the 7 days before, counted with them, and still away:")
		a.printPeople(r.Away)
	}
	if limit > 0 && len(r.People) >= limit {
		a.printf("  … --limit 0 shows all")
	}
}

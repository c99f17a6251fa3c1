package main

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"foyer"
	"foyer/store"
)

type runCmd struct {
	List    runListCmd    `cmd:"" help:"List the syncs, the newest first."`
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
}

func toRunJSON(r *foyer.Run, n names) runJSON {
	out := runJSON{
		r.ID.String(), r.Kind, n.sources[r.Source], r.Actor, r.Address, stamp(r.Started), stamp(r.Finished), r.Status, r.Message,
		r.Rows, r.Added, r.Updated, r.Disabled, r.Enabled, r.Unchanged, r.Skipped, r.Errors, r.Warnings, r.Removed, hex.EncodeToString(r.Digest), "", "", r.Hold,
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
				strconv.Itoa(r.Added), strconv.Itoa(r.Updated), strconv.Itoa(r.Disabled), strconv.Itoa(r.Enabled), strconv.Itoa(r.Unchanged), strconv.Itoa(r.Errors), strconv.Itoa(r.Warnings)})
		}
		if a.cli.JSON {
			return a.json(out)
		}
		return a.table("RUN,KIND,SOURCE,STARTED,STATUS,ADDED,UPDATED,DISABLED,ENABLED,UNCHANGED,ERRORS,WARNINGS", rows)
	})
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
		out.People, err = a.people(o, org, id, n, limit)
		if r.Status == foyer.Held {
			out.People, err = a.lostPeople(o, org, r, limit)
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
	var ids []foyer.EntryID
	err := o.Changes(a.ctx, o.operator, org.ID, id, func(change *foyer.Change) error {
		if limit == 0 || len(people) < limit {
			ids = append(ids, change.Entry)
			people = append(people, personJSON{Entry: change.Entry.String(), What: what(change), Changes: describe(change, n)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	at := 0
	return people, o.View(a.ctx, o.operator, org.ID, func(b *store.Book) error {
		return b.Entries(ids, func(e *foyer.Entry) error {
			for ids[at] != e.ID {
				at++
			}
			people[at].Email, people[at].Name = e.Values[foyer.Email], e.FullName()
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
		lines = append(lines, fmt.Sprintf("joined with %v", c.Joined))
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
	return "is kept until " + when(k.Until)
}

func removedToo(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" removed=%d", n)
}

// printHold says what those have in common whom a held run would take away, and what to do.
func (a *app) printHold(r *runDetailJSON, org foyer.Org) {
	for _, group := range r.Hold.Shared {
		a.printf("  %d of %d: %s %s", group.Count, r.Hold.Lost, group.By, group.Value)
	}
	switch {
	case r.Hold.Decided != "":
		a.printf("Decided: %s", r.Hold.Decided)
	case r.Status == foyer.Held:
		a.printf("Nothing changed. It waits until %s for:\n  foyer run approve --org %s %s\n  foyer run reject --org %s %s", when(r.Hold.Expires), org.Slug, r.ID, org.Slug, r.ID)
	}
	a.printf("It would have:")
}

func (a *app) printRun(r *runDetailJSON, org foyer.Org, limit int) {
	a.printf("%s  %s %s  %s  source %s  by %s", r.ID, r.Kind, r.Status, *r.FinishedAt, dash(r.Source), r.By)
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
	for _, p := range r.People {
		a.printf("  %s %s %s (%s)", p.What, p.Entry, p.Email, dash(p.Name))
		for _, change := range p.Changes {
			a.printf("      %s", change)
		}
	}
	if limit > 0 && len(r.People) == limit {
		a.printf("  … --limit 0 shows all")
	}
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"foyer"
	"foyer/csvfile"
	"foyer/reconcile"
)

type runApproveCmd struct {
	orgFlag
	ID     string `arg:"" help:"The held run: R-81."`
	DryRun bool   `help:"Show what it would do on today's book, and change nothing."`
}

// Run approves a held run.
func (c *runApproveCmd) Run(a *app) error {
	return a.withRun(c.Org, c.ID, func(o *opened, org foyer.Org, n names, id foyer.RunID) error {
		approve := reconcile.Approve
		if c.DryRun {
			approve = reconcile.TryApproval
		}
		run, err := approve(a.ctx, o.Store, o.operator, org.ID, id)
		if err != nil {
			return err
		}
		return a.reportRun(o, run, org, n, c.DryRun)
	})
}

type runRejectCmd struct {
	orgFlag
	ID string `arg:"" help:"The held run: R-81."`
}

// Run rejects a held run.
func (c *runRejectCmd) Run(a *app) error {
	return a.withRun(c.Org, c.ID, func(o *opened, org foyer.Org, n names, id foyer.RunID) error {
		run, err := o.Reject(a.ctx, o.operator, org.ID, id)
		if err != nil {
			return err
		}
		if a.cli.JSON {
			return a.json(toRunJSON(run, n))
		}
		a.printf("Rejected %v. Nothing changed; the next file of the source is looked at as ever.", id)
		return nil
	})
}

type runUndoCmd struct {
	orgFlag
	ID     string `arg:"" help:"The run: R-81."`
	Entry  string `help:"Undo it for this entry only: email or id." placeholder:"ENTRY"`
	Site   string `help:"Undo it only for those who are or were at this site." placeholder:"SITE"`
	DryRun bool   `help:"Show what it would do, and change nothing."`
}

// Run undoes a run.
func (c *runUndoCmd) Run(a *app) error {
	return a.withRun(c.Org, c.ID, func(o *opened, org foyer.Org, n names, id foyer.RunID) error {
		var scope reconcile.UndoScope
		if c.Entry != "" {
			name := reconcile.ParseName(c.Entry)
			scope.Entry = &name
		}
		var err error
		if scope.Site, err = findSite(n.siteList, c.Site); err != nil {
			return err
		}
		run, err := reconcile.Undo(a.ctx, o.Store, o.operator, org.ID, reconcile.Undoing{Run: id, UndoScope: scope, DryRun: c.DryRun})
		if err != nil {
			return err
		}
		return a.reportRun(o, run, org, n, c.DryRun)
	})
}

// withRun is withOrg for a command that names a run.
func (a *app) withRun(org, id string, fn func(*opened, foyer.Org, names, foyer.RunID) error) error {
	run, err := foyer.ParseRunID(id)
	if err != nil {
		return err
	}
	return a.withOrg(org, func(o *opened, org foyer.Org) error {
		n, err := a.names(o, org)
		if err != nil {
			return err
		}
		return fn(o, org, n, run)
	})
}

// exitHeld is the exit code of a command whose run is held, or would be: nothing failed, but a person must decide.
const exitHeld = 3

// heldError ends a command whose run is held; what there is to say was said.
type heldError struct{}

// Error implements error.
func (heldError) Error() string { return "the run is held" }

// reportRun prints a run that a command made, or would make.
func (a *app) reportRun(o *opened, run *foyer.Run, org foyer.Org, n names, dry bool) error {
	out := runDetailJSON{runJSON: toRunJSON(run, n), Problems: append([]foyer.Problem{}, run.Problems...), People: []personJSON{}}
	if dry {
		out.ID, out.Status, out.WouldBeHeld, out.FinishedAt = "", "dry_run", run.Hold != nil, nil
		for _, c := range run.Tried {
			out.People = append(out.People, personOf(c, n))
		}
		if err := a.nameEntries(o, org, out.People); err != nil {
			return err
		}
	}
	if a.cli.JSON {
		if err := a.json(out); err != nil {
			return err
		}
	} else {
		a.printReport(run, org, &out, dry)
	}
	if run.Hold != nil {
		return heldError{}
	}
	return nil
}

// shownPeople is how many people a command shows that is no list.
const shownPeople = 20

func (a *app) printReport(run *foyer.Run, org foyer.Org, out *runDetailJSON, dry bool) {
	switch {
	case run.Hold != nil && dry:
		a.printf("DRY RUN would be HELD: %s", run.Message)
	case run.Hold != nil:
		a.printf("HELD %s: %s Nothing changed.", out.ID, run.Message)
	case dry:
		a.printf("DRY RUN %s", wouldLine(run))
	default:
		a.printf("OK %s %s", out.ID, countsLine(run))
	}
	if run.Hold != nil {
		a.printf("It would: %s", wouldLine(run))
		a.printShared(run.Hold)
	} else if run.Message != "" {
		a.printf("%s", run.Message)
	}
	for _, p := range run.Problems {
		a.printf("  %v", p)
	}
	a.printPeople(out.People[:min(len(out.People), shownPeople)])
	if more := len(out.People) - shownPeople; more > 0 {
		a.printf("  … and more; --json shows up to 2,500 of them")
	}
	switch {
	case dry:
		a.printf("Nothing was changed.")
	case run.Hold != nil:
		a.printf("Look at it:  foyer run show --org %s %s\nThen:        foyer run approve --org %s %s   or   foyer run reject --org %s %s", org.Slug, out.ID, org.Slug, out.ID, org.Slug, out.ID)
	default:
		a.printf("See: foyer run show --org %s %s", org.Slug, out.ID)
	}
}

// wouldLine sums up what a run would do.
func wouldLine(r *foyer.Run) string {
	c := r.Counts
	line := fmt.Sprintf("add=%d update=%d disable=%d enable=%d", c.Added, c.Updated, c.Disabled, c.Enabled)
	if c.Removed > 0 {
		line += fmt.Sprintf(" remove=%d", c.Removed)
	}
	return line + fmt.Sprintf(" unchanged=%d skipped=%d errors=%d warnings=%d", c.Unchanged, c.Skipped, c.Errors, c.Warnings)
}

// countsLine sums up what a run did.
func countsLine(r *foyer.Run) string {
	c := r.Counts
	line := fmt.Sprintf("added=%d updated=%d disabled=%d enabled=%d", c.Added, c.Updated, c.Disabled, c.Enabled)
	if c.Removed > 0 {
		line += fmt.Sprintf(" removed=%d", c.Removed)
	}
	return line + fmt.Sprintf(" unchanged=%d skipped=%d errors=%d warnings=%d", c.Unchanged, c.Skipped, c.Errors, c.Warnings)
}

type syncCmd struct {
	orgFlag
	File   string `arg:"" help:"The file, as the customer's script would send it; - is standard input." type:"path"`
	Source string `help:"The source that it is of." required:"" placeholder:"SOURCE"`
	DryRun bool   `help:"Show what it would do, and change nothing."`
	Strict bool   `help:"Refuse the file if any row has an error, or if it would be held."`
}

// Run applies a file on the server's machine as if it had been sent.
func (c *syncCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		n, err := a.names(o, org)
		if err != nil {
			return err
		}
		source, err := a.findSource(o, org, c.Source)
		if err != nil {
			return err
		}
		if source.Kind != foyer.CSV {
			return foyer.Errorf(foyer.Conflict, "the source %q is read from a directory: a file for it would take away whom it does not list; to read it now: foyer entra sync --org %s", source.Name, org.Slug)
		}
		file, err := openDelivery(c.File)
		if err != nil {
			return err
		}
		defer file.Close()
		digest, err := file.digest()
		if err != nil {
			return err
		}
		run, err := reconcile.Run(a.ctx, o.Store, o.operator, reconcile.Delivery{Org: org.ID, Source: source.ID, Digest: digest, DryRun: c.DryRun, Strict: c.Strict,
			Input: func(s *foyer.Source) reconcile.Input {
				file.options = csvfile.Options{Windows1252: s.Windows1252, Headers: s.Headers}
				return file
			}})
		if err != nil {
			return err
		}
		return a.reportRun(o, run, org, n, c.DryRun)
	})
}

// openDelivery opens a file to be synced; standard input is copied, since it is read more than once.
func openDelivery(path string) (*fileInput, error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		return &fileInput{file: f}, nil
	}
	f, err := os.CreateTemp("", "foyer-sync-*")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name())
	if _, err := io.Copy(f, os.Stdin); err != nil {
		f.Close()
		return nil, err
	}
	return &fileInput{file: f}, nil
}

// heldPeople returns whom a held run concerns: what it would do to the first of them, the gravest first, those whom it would take away all.
func (a *app) heldPeople(o *opened, org foyer.Org, run *foyer.Run, n names) (people, away []personJSON, err error) {
	kept, err := o.HeldDetail(a.ctx, o.operator, org.ID, run.ID)
	if err != nil {
		return nil, nil, err
	}
	shown := map[foyer.EntryID]bool{}
	fresh := map[foyer.EntryID]bool{}
	for _, id := range kept.New {
		fresh[id] = true
	}
	for _, c := range kept.Changes {
		shown[c.Entry] = true
		person := personOf(c, n)
		if fresh[c.Entry] {
			person.What += ", was not among those approved"
		}
		people = append(people, person)
	}
	rest := slices.DeleteFunc(slices.Clone(kept.Lost), func(id foyer.EntryID) bool { return shown[id] })
	for _, id := range rest {
		people = append(people, personJSON{Entry: id.String(), What: "would be disabled", Changes: []string{}})
	}
	for _, id := range kept.Away {
		away = append(away, personJSON{Entry: id.String(), What: "away", Changes: []string{}})
	}
	return people, away, errors.Join(a.nameEntries(o, org, people), a.nameEntries(o, org, away))
}

// personOf is a change that a run would make. An entry that it would add has no id yet.
func personOf(c *foyer.Change, n names) personJSON {
	person := personJSON{Entry: c.Entry.String(), What: would(what(c)), Changes: describe(c, n)}
	for _, f := range c.Fields {
		if f.Field == foyer.Email {
			person.Email = f.After
		}
	}
	if c.Added {
		person.Entry = ""
	}
	return person
}

// would turns what was done into what would be.
func would(done string) string {
	if done == "noted" {
		return "would be noted"
	}
	return "would be " + done
}

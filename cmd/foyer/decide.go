package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"foyer"
	"foyer/csvfile"
	"foyer/reconcile"
	"foyer/store"
)

type runApproveCmd struct {
	orgFlag
	ID string `arg:"" help:"The held run: R-81."`
}

// Run approves a held run.
func (c *runApproveCmd) Run(a *app) error {
	return a.withRun(c.Org, c.ID, func(o *opened, org foyer.Org, n names, id foyer.RunID) error {
		run, err := reconcile.Approve(a.ctx, o.Store, o.operator, org.ID, id)
		if err != nil {
			return err
		}
		return a.reportRun(run, org, n, false)
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
		run, err := reconcile.Undo(a.ctx, o.Store, o.operator, org.ID, id, scope, c.DryRun)
		if err != nil {
			return err
		}
		return a.reportRun(run, org, n, c.DryRun)
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

// exitHeld is the exit code of a command whose run is held: nothing failed, but a person must decide.
const exitHeld = 3

// heldError ends a command whose run is held; what there is to say was said.
type heldError struct{}

// Error implements error.
func (heldError) Error() string { return "the run is held" }

// reportRun prints a run that a command made, or would make.
func (a *app) reportRun(run *foyer.Run, org foyer.Org, n names, dry bool) error {
	out := runDetailJSON{runJSON: toRunJSON(run, n), Problems: append([]foyer.Problem{}, run.Problems...), People: []personJSON{}}
	switch {
	case a.cli.JSON:
		if dry {
			out.ID = ""
		}
		if err := a.json(out); err != nil {
			return err
		}
	case run.Hold != nil && dry:
		a.printf("DRY RUN would be HELD: %s", run.Message)
	case run.Hold != nil:
		a.printf("HELD %s: %s Nothing changed.\nLook at it:  foyer run show --org %s %s\nThen:        foyer run approve --org %s %s   or   foyer run reject --org %s %s",
			out.ID, run.Message, org.Slug, out.ID, org.Slug, out.ID, org.Slug, out.ID)
	case dry:
		a.printf("DRY RUN %s\nNothing was changed.", countsLine(run))
	default:
		a.printf("OK %s %s", out.ID, countsLine(run))
		if run.Message != "" {
			a.printf("%s", run.Message)
		}
	}
	for _, p := range run.Problems {
		a.printf("  %v", p)
	}
	if !a.cli.JSON && run.Hold == nil && !dry {
		a.printf("See: foyer run show --org %s %s", org.Slug, out.ID)
	}
	if run.Hold != nil && !dry {
		return heldError{}
	}
	return nil
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
		return a.reportRun(run, org, n, c.DryRun)
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

// findSource returns the source of a name or id, which must be given.
func (a *app) findSource(o *opened, org foyer.Org, name string) (*foyer.Source, error) {
	sources, err := o.Sources(a.ctx, o.operator, org.ID)
	if err != nil {
		return nil, err
	}
	id, err := findSource(sources, name)
	if err != nil {
		return nil, err
	}
	for i := range sources {
		if sources[i].ID == id {
			return &sources[i], nil
		}
	}
	return nil, foyer.Errorf(foyer.Invalid, "the name of the source is empty")
}

type sourceEditCmd struct {
	orgFlag
	Source        string            `arg:"" help:"Name or id of the source."`
	Name          *string           `help:"A new name." placeholder:"TEXT"`
	Priority      *int              `help:"Of two sources that differ about a person, the higher number wins." placeholder:"N"`
	LeaveHandMade *bool             `help:"Do not disable hand-made entries that the source does not list." negatable:""`
	Windows1252   *bool             `help:"Its files are Windows-1252." name:"windows-1252" negatable:""`
	Header        map[string]string `help:"All further headers of its files, and the field each holds: Cost=division. A header whose field is empty goes." placeholder:"HEADER=FIELD"`
	Expect        string            `help:"It is missed when it did not sync for so long: 26h; never." placeholder:"26h"`
	Guard         string            `help:"Hold what would take too many away, or do not." enum:"on,off," default:"" placeholder:"on|off"`
	Many          string            `help:"Hold a run that would disable so many, and more than so many per cent: 10/20." placeholder:"N/PERCENT"`
	Few           string            `help:"The same for small numbers: 5/50." placeholder:"N/PERCENT"`
	Renames       string            `help:"Hold a run that would rename so many, and more than so many per cent: 10/20." placeholder:"N/PERCENT"`
	Names         string            `help:"Hold a run that would change the names of so many, and more than so many per cent: 20/30." placeholder:"N/PERCENT"`
}

// Run changes the settings of a source.
func (c *sourceEditCmd) Run(a *app) error {
	limits := map[string]*foyer.Limit{}
	for flag, text := range map[string]string{"many": c.Many, "few": c.Few, "renames": c.Renames, "names": c.Names} {
		if text == "" {
			continue
		}
		var l foyer.Limit
		if n, err := fmt.Sscanf(strings.TrimSuffix(text, "%"), "%d/%d", &l.Count, &l.Percent); n != 2 || err != nil || l.Count < 1 || l.Percent < 0 || l.Percent > 100 {
			return foyer.Errorf(foyer.Invalid, "--%s %q is no limit; write a number of people and a percentage: 10/20", flag, text)
		}
		limits[flag] = &l
	}
	expect, err := parseExpect(c.Expect)
	if err != nil {
		return err
	}
	for header, field := range c.Header {
		if field != "" {
			if err := csvfile.CheckHeaders(map[string]string{header: field}); err != nil {
				return err
			}
		}
	}
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		source, err := a.findSource(o, org, c.Source)
		if err != nil {
			return err
		}
		edited, err := o.EditSource(a.ctx, o.operator, org.ID, source.ID, func(s *foyer.Source) {
			c.apply(s, limits)
			if c.Expect != "" {
				s.Expect = expect
			}
		})
		if err != nil {
			return err
		}
		if a.cli.JSON {
			names, _, err := a.siteNames(o, org)
			if err != nil {
				return err
			}
			return a.json(toSourceJSON(edited, names))
		}
		a.printf("Changed the source %s.", edited.Name)
		if edited.Guard.Off {
			a.printf("Its guard is OFF: nothing holds a file that would disable everybody. foyer source edit --org %s %q --guard on", org.Slug, edited.Name)
		}
		return nil
	})
}

// apply sets what the flags ask for.
func (c *sourceEditCmd) apply(s *foyer.Source, limits map[string]*foyer.Limit) {
	setIf(&s.Name, c.Name)
	setIf(&s.Priority, c.Priority)
	setIf(&s.LeaveHandMade, c.LeaveHandMade)
	setIf(&s.Windows1252, c.Windows1252)
	for header, field := range c.Header {
		if s.Headers == nil {
			s.Headers = map[string]string{}
		}
		s.Headers[header] = field
		if field == "" {
			delete(s.Headers, header)
		}
	}
	if c.Guard != "" {
		s.Guard.Off = c.Guard == "off"
	}
	setIf(&s.Guard.Many, limits["many"])
	setIf(&s.Guard.Few, limits["few"])
	setIf(&s.Guard.Renames, limits["renames"])
	setIf(&s.Guard.Names, limits["names"])
}

func setIf[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

type sourceEndCmd struct {
	orgFlag
	Source  string `arg:"" help:"Name or id of the source."`
	Leave   bool   `help:"Whom no other source lists stays enabled, as hand-made." xor:"how" required:""`
	Disable bool   `help:"Whom no other source lists is disabled." xor:"how" required:""`
	DryRun  bool   `help:"Show what it would do, and change nothing."`
}

// Run ends a source.
func (c *sourceEndCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		n, err := a.names(o, org)
		if err != nil {
			return err
		}
		source, err := a.findSource(o, org, c.Source)
		if err != nil {
			return err
		}
		run, err := reconcile.EndSource(a.ctx, o.Store, o.operator, org.ID, source.ID, c.Leave, c.DryRun)
		if err != nil {
			return err
		}
		return a.reportRun(run, org, n, c.DryRun)
	})
}

type entryKeepCmd struct {
	entryArg
	Field string `arg:"" help:"The field: title, desk-phone, …"`
	Until string `help:"Until this day: 2027-01-31. Otherwise until it is released." placeholder:"DATE"`
}

// Run keeps a value.
func (c *entryKeepCmd) Run(a *app) error {
	field, err := parseField(c.Field)
	if err != nil {
		return err
	}
	edit := reconcile.Edit{Keep: []foyer.Field{field}}
	if c.Until != "" {
		if edit.KeepUntil, err = parseDay(c.Until); err != nil {
			return err
		}
	}
	return a.editWith(c.entryArg, edit, func(e *foyer.Entry, act foyer.RunID) {
		switch {
		case act == 0:
			a.printf("%s of %s is kept already.", field.Label(), e.Values[foyer.Email])
		case c.Until == "":
			a.printf("%s of %s stays %q until it is released, whatever sources send.", field.Label(), e.Values[foyer.Email], e.Values[field])
		default:
			a.printf("%s of %s stays %q until %s, whatever sources send.", field.Label(), e.Values[foyer.Email], e.Values[field], c.Until)
		}
	})
}

type entryReleaseCmd struct {
	entryArg
	Field string `arg:"" help:"The field: title, desk-phone, …"`
}

// Run releases a kept value.
func (c *entryReleaseCmd) Run(a *app) error {
	field, err := parseField(c.Field)
	if err != nil {
		return err
	}
	return a.editWith(c.entryArg, reconcile.Edit{Release: []foyer.Field{field}}, func(e *foyer.Entry, act foyer.RunID) {
		if act == 0 {
			a.printf("%s of %s is not kept.", field.Label(), e.Values[foyer.Email])
			return
		}
		a.printf("Released %s of %s: the next sync of a source that sends it replaces it.", field.Label(), e.Values[foyer.Email])
	})
}

// editWith edits an entry and says what came of it.
func (a *app) editWith(c entryArg, edit reconcile.Edit, say func(*foyer.Entry, foyer.RunID)) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		n, err := a.names(o, org)
		if err != nil {
			return err
		}
		e, act, err := a.change(o, org, n, c.Entry, edit)
		if err == nil {
			say(e, act)
		}
		return err
	})
}

func parseField(name string) (foyer.Field, error) {
	if field, ok := foyer.ParseField(name); ok {
		return field, nil
	}
	all := []string{}
	for f := foyer.Email; f < foyer.NumFields; f++ {
		all = append(all, f.String())
	}
	return 0, foyer.Errorf(foyer.Invalid, "there is no field %q; there are: %s", name, strings.Join(all, ", "))
}

// parseDay returns the end of a day, local time, which must not be over.
func parseDay(s string) (time.Time, error) {
	day, err := time.ParseInLocation(time.DateOnly, s, time.Local)
	if err != nil {
		return day, foyer.Errorf(foyer.Invalid, "%q is no day; write 2027-01-31", s)
	}
	end := day.AddDate(0, 0, 1)
	if !time.Now().Before(end) {
		return day, foyer.Errorf(foyer.Invalid, "%s is over", s)
	}
	return end, nil
}

type entryJoinCmd struct {
	orgFlag
	First  string `arg:"" help:"The entry that goes on, with its history and notes: email or id."`
	Second string `arg:"" help:"The entry that it takes over: email or id."`
}

// Run joins two entries.
func (c *entryJoinCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		n, err := a.names(o, org)
		if err != nil {
			return err
		}
		e, run, err := reconcile.Join(a.ctx, o.Store, o.operator, org.ID, reconcile.ParseName(c.First), reconcile.ParseName(c.Second))
		if err != nil {
			return err
		}
		if a.cli.JSON {
			return a.json(toEntryJSON(e, n.sites, n.sources))
		}
		a.printf("Joined: %s is %v now. To part them again: foyer run undo --org %s %v", e.Values[foyer.Email], e.ID, org.Slug, run.ID)
		return nil
	})
}

type entryEraseCmd struct {
	orgFlag
	Email  string `arg:"" help:"Email, or id of the entry."`
	Yes    bool   `help:"It cannot be undone; say that you mean it."`
	Forget bool   `help:"Let files bring back somebody of that email who was erased before."`
}

// Run erases a person, or lets one come back who was erased.
func (c *entryEraseCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		id, key, err := reconcile.ParseName(c.Email).Key()
		if err != nil {
			return err
		}
		if c.Forget {
			if key == "" {
				return foyer.Errorf(foyer.Invalid, "--forget needs the email: the entry is gone")
			}
			if err := o.Forget(a.ctx, o.operator, org.ID, key); err != nil {
				return err
			}
			return a.said(map[string]string{"forgotten": c.Email}, "The next file that lists %s adds them again.", c.Email)
		}
		if !c.Yes {
			return foyer.Errorf(foyer.Invalid, "erasing cannot be undone, not even by undoing a run: add --yes to erase %s", c.Email)
		}
		run, err := o.Erase(a.ctx, o.operator, org.ID, id, key)
		if err != nil {
			return err
		}
		return a.said(map[string]string{"run": run.ID.String(), "erased": run.Message},
			"Erased %s (%v): from the book, its log, held files and reports. Files that list them are told so, and do not bring them back; foyer entry erase --forget changes that.", run.Message, run.ID)
	})
}

// said prints v with --json, else the text.
func (a *app) said(v any, format string, args ...any) error {
	if a.cli.JSON {
		return a.json(v)
	}
	a.printf(format, args...)
	return nil
}

// lostPeople returns whom a held run would take away.
func (a *app) lostPeople(o *opened, org foyer.Org, run *foyer.Run, limit int) ([]personJSON, error) {
	lost, err := o.Lost(a.ctx, o.operator, org.ID, run.ID)
	if err != nil {
		return nil, err
	}
	if limit > 0 && len(lost) > limit {
		lost = lost[:limit]
	}
	people := []personJSON{}
	return people, o.View(a.ctx, o.operator, org.ID, func(b *store.Book) error {
		return b.Entries(lost, func(e *foyer.Entry) error {
			people = append(people, personJSON{Entry: e.ID.String(), Email: e.Values[foyer.Email], Name: e.FullName(), What: "would be disabled", Changes: []string{}})
			return nil
		})
	})
}

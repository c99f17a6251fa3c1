package main

import (
	"fmt"
	"strings"
	"time"

	"foyer"
	"foyer/reconcile"
	"foyer/store"
)

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

// lastDay is the last day before an end, as parseDay reads it; an end within a day is a time.
func lastDay(end time.Time) string {
	if local := end.Local(); local.Equal(time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.Local)) {
		return local.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	return when(end)
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
			who, err := o.TryErase(a.ctx, o.operator, org.ID, id, key)
			if err != nil {
				return err
			}
			return foyer.Errorf(foyer.Invalid, "nothing was erased. It would take %s, and cannot be undone, not even by undoing a run; to erase: add --yes", erasingText(who))
		}
		run, err := o.Erase(a.ctx, o.operator, org.ID, id, key)
		if err != nil {
			return err
		}
		said, warning := map[string]string{"run": run.ID.String(), "erased": run.Message}, ""
		for _, p := range run.Problems {
			said["warning"], warning = p.Message, "\nNot all is gone yet: "+p.Message+"."
		}
		return a.said(said, "Erased %s (%v): from the book, its log, held files and reports. Files that list them are told so, and do not bring them back; "+
			"foyer entry erase --forget changes that.%s", run.Message, run.ID, warning)
	})
}

// erasingText names whom an erasure takes.
func erasingText(who store.Erasing) string {
	text := "what the log has of somebody who is not in the book any more"
	if who.Entry != nil {
		text = fmt.Sprintf("%v, %s (%s)", who.Entry.ID, who.Entry.Values[foyer.Email], dash(who.Entry.FullName()))
	}
	for _, id := range who.Others {
		text += fmt.Sprintf(" and %v, which is part of it or gone", id)
	}
	return text
}

// said prints v with --json, else the text.
func (a *app) said(v any, format string, args ...any) error {
	if a.cli.JSON {
		return a.json(v)
	}
	a.printf(format, args...)
	return nil
}

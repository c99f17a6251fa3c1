package main

import (
	"slices"
	"strings"
	"time"

	"foyer"
	"foyer/match"
	"foyer/oauth"
	"foyer/reconcile"
	"foyer/store"
)

// orgOfKey returns the organization that a client id carries.
func orgOfKey(id string) (foyer.OrgID, bool) { return oauth.OrgOf(foyer.KeyID(id)) }

type entryCmd struct {
	List    entryListCmd    `cmd:"" help:"List everybody."`
	Show    entryShowCmd    `cmd:"" help:"Show one entry: its values, who says so, and what happened to it."`
	Add     entryAddCmd     `cmd:"" help:"Add someone by hand."`
	Edit    entryEditCmd    `cmd:"" help:"Change someone by hand."`
	Disable entryDisableCmd `cmd:"" help:"Disable someone: no sync enables them again."`
	Enable  entryEnableCmd  `cmd:"" help:"Enable someone."`
	Keep    entryKeepCmd    `cmd:"" help:"Keep a value: no source overwrites it."`
	Release entryReleaseCmd `cmd:"" help:"Keep a value no more."`
	Join    entryJoinCmd    `cmd:"" help:"Make two entries of one person one; foyer run undo parts them again."`
	Erase   entryEraseCmd   `cmd:"" help:"Erase someone for good, from the log too."`
}

type entryJSON struct {
	ID           string   `json:"id"`
	Email        string   `json:"email"`
	FirstName    string   `json:"first_name"`
	LastName     string   `json:"last_name"`
	DisplayName  string   `json:"display_name"`
	Title        string   `json:"title"`
	Division     string   `json:"division"`
	Mobile       string   `json:"mobile"`
	MobileE164   string   `json:"mobile_e164"`
	DeskPhone    string   `json:"desk_phone"`
	DeskE164     string   `json:"desk_phone_e164"`
	Manager      string   `json:"manager"`
	Assistant    string   `json:"assistant"`
	Sites        []string `json:"sites"`
	Status       string   `json:"status"`
	StatusReason string   `json:"status_reason"`
	Permanent    bool     `json:"permanent"`
	Pinned       bool     `json:"pinned"`
	Notify       string   `json:"notify"`
	Notes        string   `json:"notes"`
	Sources      []string `json:"sources"`
}

func toEntryJSON(e *foyer.Entry, sites siteNames, sources map[foyer.SourceID]string) entryJSON {
	v := &e.Values
	out := entryJSON{
		ID: e.ID.String(), Email: v[foyer.Email], FirstName: v[foyer.FirstName], LastName: v[foyer.LastName], DisplayName: v[foyer.DisplayName],
		Title: v[foyer.Title], Division: v[foyer.Division], Mobile: v[foyer.Mobile], MobileE164: e.E164[0], DeskPhone: v[foyer.DeskPhone], DeskE164: e.E164[1],
		Manager: v[foyer.Manager], Assistant: v[foyer.Assistant], Sites: sites.list(e.Sites), Status: e.Status(), StatusReason: string(e.Reason),
		Permanent: e.Permanent, Pinned: e.Pinned, Notify: e.Notify.String(), Notes: e.Notes, Sources: []string{},
	}
	for _, id := range e.ClaimedBy {
		out.Sources = append(out.Sources, sources[id])
	}
	return out
}

// names are what ids of an organization are called.
type names struct {
	sites    siteNames
	siteList []foyer.Site
	sources  map[foyer.SourceID]string
}

func (a *app) names(o *opened, org foyer.Org) (n names, err error) {
	if n.sites, n.siteList, err = a.siteNames(o, org); err != nil {
		return n, err
	}
	sources, err := o.Sources(a.ctx, o.operator, org.ID)
	n.sources = map[foyer.SourceID]string{}
	for _, source := range sources {
		n.sources[source.ID] = source.Name
	}
	return n, err
}

type entryListCmd struct {
	orgFlag
	Find string `help:"Only those whose name, email, title or division holds this text." placeholder:"TEXT"`
}

// found tells whether an entry is one that is looked for.
func (c *entryListCmd) found(e *foyer.Entry) bool {
	text := match.Fold(c.Find)
	if text == "" {
		return true
	}
	v := &e.Values
	return slices.ContainsFunc([]string{e.FullName(), v[foyer.FirstName] + v[foyer.LastName], v[foyer.Email], v[foyer.Title], v[foyer.Division]}, func(s string) bool {
		return strings.Contains(match.Fold(s), text)
	})
}

// Run lists the entries, all of them.
func (c *entryListCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		n, err := a.names(o, org)
		if err != nil {
			return err
		}
		out, rows := []entryJSON{}, [][]string{}
		err = o.Entries(a.ctx, o.operator, org.ID, func(e *foyer.Entry) error {
			if !c.found(e) {
				return nil
			}
			if a.cli.JSON {
				out = append(out, toEntryJSON(e, n.sites, n.sources))
				return nil
			}
			status := foyer.Status{Enabled: e.Enabled, Reason: e.Reason}.String()
			rows = append(rows, []string{e.ID.String(), e.Values[foyer.Email], dash(e.FullName()), dash(e.Values[foyer.Title]), dash(strings.Join(n.sites.list(e.Sites), ", ")), status})
			return nil
		})
		if err != nil {
			return err
		}
		if a.cli.JSON {
			return a.json(out)
		}
		return a.table("ID,EMAIL,NAME,TITLE,SITES,STATUS", rows)
	})
}

type entryArg struct {
	orgFlag
	Entry string `arg:"" help:"Email or id (E-1042)."`
}

// entryFields are the values that can be given by hand. What is not given stays; an empty text clears.
type entryFields struct {
	FirstName   *string  `help:"First name." placeholder:"TEXT"`
	LastName    *string  `help:"Last name." placeholder:"TEXT"`
	DisplayName *string  `help:"Display name." placeholder:"TEXT"`
	Title       *string  `help:"Title." placeholder:"TEXT"`
	Division    *string  `help:"Division." placeholder:"TEXT"`
	Mobile      *string  `help:"Mobile phone." placeholder:"NUMBER"`
	DeskPhone   *string  `help:"Desk phone." placeholder:"NUMBER"`
	Manager     *string  `help:"Manager." placeholder:"TEXT"`
	Assistant   *string  `help:"Personal assistant." placeholder:"TEXT"`
	Site        []string `help:"A site to add; may be given more than once." sep:"none" placeholder:"SITE"`
	Notes       *string  `help:"Notes." placeholder:"TEXT"`
	Permanent   *bool    `help:"No absence from a file disables them." negatable:""`
	Pinned      *bool    `help:"Shown first." negatable:""`
	Notify      *string  `help:"How visitors are announced to them: email, sms, voice; more than one with commas; empty: not." placeholder:"METHODS"`
}

// edit returns what the flags ask for.
func (f *entryFields) edit(sites []foyer.Site, email *string, remove []string) (reconcile.Edit, error) {
	edit := reconcile.Edit{Values: map[foyer.Field]string{}, Permanent: f.Permanent, Pinned: f.Pinned, Notes: f.Notes}
	for field, value := range map[foyer.Field]*string{
		foyer.Email: email, foyer.FirstName: f.FirstName, foyer.LastName: f.LastName, foyer.DisplayName: f.DisplayName, foyer.Title: f.Title,
		foyer.Division: f.Division, foyer.Mobile: f.Mobile, foyer.DeskPhone: f.DeskPhone, foyer.Manager: f.Manager, foyer.Assistant: f.Assistant,
	} {
		if value != nil {
			edit.Values[field] = strings.TrimSpace(*value)
		}
	}
	if f.Notify != nil {
		methods, err := foyer.ParseMethods(*f.Notify)
		if err != nil {
			return edit, err
		}
		edit.Notify = &methods
	}
	for _, name := range f.Site {
		site, err := findSite(sites, name)
		if err != nil {
			return edit, err
		}
		edit.AddSites = append(edit.AddSites, site)
	}
	for _, name := range remove {
		site, err := findSite(sites, name)
		if err != nil {
			return edit, err
		}
		edit.RemoveSites = append(edit.RemoveSites, site)
	}
	return edit, nil
}

type entryAddCmd struct {
	orgFlag
	Email string `arg:"" help:"Email: it is what identifies a person."`
	entryFields
}

// Run adds an entry.
func (c *entryAddCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		n, err := a.names(o, org)
		if err != nil {
			return err
		}
		edit, err := c.edit(n.siteList, &c.Email, nil)
		if err != nil {
			return err
		}
		e, err := reconcile.Add(a.ctx, o.Store, o.operator, org.ID, edit)
		if err != nil {
			return err
		}
		if a.cli.JSON {
			return a.json(toEntryJSON(e, n.sites, n.sources))
		}
		a.printf("Added %s as %v.", e.Values[foyer.Email], e.ID)
		if err := a.noteOf(o, org, e); err != nil {
			return err
		}
		if !e.Permanent {
			a.printf("The next snapshot that does not list them will disable them; foyer entry edit --org %s %v --permanent prevents that.", org.Slug, e.ID)
		}
		return nil
	})
}

type entryEditCmd struct {
	entryArg
	Email      *string  `help:"New email; the old one still finds them." placeholder:"EMAIL"`
	RemoveSite []string `help:"A site given by hand to take away." sep:"none" placeholder:"SITE"`
	entryFields
}

// Run changes an entry.
func (c *entryEditCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		n, err := a.names(o, org)
		if err != nil {
			return err
		}
		edit, err := c.edit(n.siteList, c.Email, c.RemoveSite)
		if err != nil {
			return err
		}
		e, act, err := a.change(o, org, n, c.Entry, edit)
		if err != nil || a.cli.JSON {
			return err
		}
		if act == 0 {
			a.printf("Nothing differs; %s stays as is.", e.Values[foyer.Email])
			return nil
		}
		a.printf("Changed %s (%v).", e.Values[foyer.Email], e.ID)
		if err := a.noteOf(o, org, e); err != nil {
			return err
		}
		if len(e.ClaimedBy) > 0 && len(edit.Values) > 0 {
			a.printf("A source lists them: what it sends for these fields replaces this at its next sync.")
		}
		return nil
	})
}

// noteOf prints what there is to be said of the last act on an entry.
func (a *app) noteOf(o *opened, org foyer.Org, e *foyer.Entry) error {
	run, err := o.Run(a.ctx, o.operator, org.ID, e.LastRun)
	if err == nil && run.Message != "" {
		a.printf("%s", run.Message)
	}
	return err
}

// change edits an entry and, with --json, prints it.
func (a *app) change(o *opened, org foyer.Org, n names, name string, edit reconcile.Edit) (*foyer.Entry, foyer.RunID, error) {
	e, act, err := reconcile.Change(a.ctx, o.Store, o.operator, org.ID, reconcile.ParseName(name), edit)
	if err == nil && a.cli.JSON {
		err = a.json(toEntryJSON(e, n.sites, n.sources))
	}
	return e, act, err
}

type entryDisableCmd struct{ entryArg }

// Run disables an entry.
func (c *entryDisableCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		n, err := a.names(o, org)
		if err != nil {
			return err
		}
		enabled := false
		e, _, err := a.change(o, org, n, c.Entry, reconcile.Edit{Enabled: &enabled})
		if err == nil {
			a.printf("Disabled %s. No sync enables them again; foyer entry enable does.", e.Values[foyer.Email])
		}
		return err
	})
}

type entryEnableCmd struct {
	entryArg
	Permanent bool `help:"And no absence from a file disables them."`
}

// Run enables an entry.
func (c *entryEnableCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		n, err := a.names(o, org)
		if err != nil {
			return err
		}
		enabled := true
		edit := reconcile.Edit{Enabled: &enabled}
		if c.Permanent {
			edit.Permanent = &c.Permanent
		}
		e, _, err := a.change(o, org, n, c.Entry, edit)
		if err != nil {
			return err
		}
		a.printf("Enabled %s.", e.Values[foyer.Email])
		if e.HandMade() && !e.Permanent {
			a.printf("No source lists them: the next snapshot will disable them again. To prevent that:\n  foyer entry edit --org %s %v --permanent", org.Slug, e.ID)
		}
		return nil
	})
}

type entryShowCmd struct{ entryArg }

type entryDetailJSON struct {
	entryJSON
	Aliases []string     `json:"aliases"`
	Fields  []originJSON `json:"fields"`
	History []actJSON    `json:"history"`
}

type originJSON struct {
	Field  string  `json:"field"`
	Value  string  `json:"value"`
	Source string  `json:"source,omitempty"` // the owner
	By     string  `json:"by"`               // who set it: a source's key, or a person
	Run    string  `json:"run"`
	At     *string `json:"at"`
	Guess  bool    `json:"guess,omitempty"`
	Before string  `json:"before"`
	Kept   bool    `json:"kept"` // no source overwrites it

	at, until time.Time
	KeptUntil *string `json:"kept_until,omitempty"`
}

type actJSON struct {
	Run     string   `json:"run"`
	At      *string  `json:"at"`
	By      string   `json:"by"`
	Changes []string `json:"changes"`
}

// Run shows an entry.
func (c *entryShowCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		n, err := a.names(o, org)
		if err != nil {
			return err
		}
		return o.View(a.ctx, o.operator, org.ID, func(b *store.Book) error {
			e, err := reconcile.ParseName(c.Entry).Find(b)
			if err != nil {
				return err
			}
			out := entryDetailJSON{entryJSON: toEntryJSON(e, n.sites, n.sources), Fields: []originJSON{}, History: []actJSON{}}
			if out.Aliases, err = b.Aliases(e.ID); err != nil {
				return err
			}
			out.Aliases = append([]string{}, out.Aliases...)
			if out.Fields, err = provenance(b, e, n); err != nil {
				return err
			}
			acts, changes, err := b.History(e)
			if err != nil {
				return err
			}
			for i, act := range acts {
				out.History = append(out.History, actJSON{act.ID.String(), stamp(act.Finished), byWhom(act, n), describe(changes[i], n)})
			}
			if a.cli.JSON {
				return a.json(out)
			}
			a.printEntry(&out)
			return nil
		})
	})
}

// provenance says of each field of an entry who set it, in which run, when, and what it was before.
func provenance(b *store.Book, e *foyer.Entry, n names) ([]originJSON, error) {
	fields := []originJSON{}
	for f, origin := range e.Origins {
		keep := e.Keeps[f]
		if origin.Run == 0 && keep.Run == 0 {
			continue
		}
		out := originJSON{Field: foyer.Field(f).String(), Value: e.Values[f], Source: n.sources[origin.Owner], Guess: origin.Guess, Before: origin.Before,
			Kept: keep.Holds(b.Now), KeptUntil: stamp(keep.Until), until: keep.Until}
		if origin.Run != 0 {
			act, err := b.Run(origin.Run)
			if err != nil {
				return nil, err
			}
			out.Run, out.By, out.At, out.at = act.ID.String(), byWhom(act, n), stamp(act.Finished), act.Finished
		}
		fields = append(fields, out)
	}
	return fields, nil
}

func byWhom(act *foyer.Run, n names) string {
	if act.Source != 0 {
		return "source " + n.sources[act.Source] + " (" + act.Actor + ")"
	}
	return act.Actor
}

func (a *app) printEntry(e *entryDetailJSON) {
	status := foyer.Status{Enabled: e.StatusReason == "", Reason: foyer.Reason(e.StatusReason)}
	a.printf("%s  %s  %s", e.ID, e.Email, status)
	a.printf("sites: %s   listed by: %s   permanent: %v   pinned: %v", dash(strings.Join(e.Sites, ", ")), dash(strings.Join(e.Sources, ", ")), e.Permanent, e.Pinned)
	if len(e.Aliases) > 0 {
		a.printf("earlier emails: %s", strings.Join(e.Aliases, ", "))
	}
	a.printf("")
	rows := [][]string{}
	for _, f := range e.Fields {
		owner, kept := dash(f.Source), "-"
		if f.Guess {
			owner += " (a guess)"
		}
		if f.Kept {
			kept = "yes"
			if f.KeptUntil != nil {
				kept = "until " + lastDay(f.until)
			}
		}
		rows = append(rows, []string{strings.ReplaceAll(f.Field, "_", " "), dash(f.Value), owner, dash(f.By), dash(f.Run), when(f.at), dash(f.Before), kept})
	}
	a.table("FIELD,VALUE,OWNED BY,SET BY,IN,AT,BEFORE,KEPT", rows)
	a.printf("")
	for _, act := range e.History {
		a.printf("%s  %s", act.Run, act.By)
		for _, change := range act.Changes {
			a.printf("    %s", change)
		}
	}
}

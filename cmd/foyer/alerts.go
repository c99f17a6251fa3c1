package main

import (
	"strings"
	"time"

	"foyer"
)

type alertCmd struct {
	List alertListCmd `cmd:"" help:"List the open alerts, the newest first, each with what to do."`
}

type alertJSON struct {
	Org      string          `json:"org"`
	ID       string          `json:"id"`
	Kind     foyer.AlertKind `json:"kind"`
	Cause    string          `json:"cause"`
	Source   string          `json:"source"`
	Run      *string         `json:"run"`
	Key      *string         `json:"client_id"`
	OpenedAt *string         `json:"opened_at"`
	SeenAt   *string         `json:"seen_at"`
	ClosedAt *string         `json:"closed_at"`
	MailedAt *string         `json:"mailed_at"`
	Title    string          `json:"title"`
	Message  string          `json:"message"`
	Cure     string          `json:"cure"`
	Ending   string          `json:"ending"`
}

func toAlertJSON(alert foyer.Alert, org foyer.Org, n names) alertJSON {
	out := alertJSON{
		Org: org.Slug, ID: alert.ID.String(), Kind: alert.Kind, Cause: alert.Cause, OpenedAt: stamp(alert.Opened), SeenAt: stamp(alert.Seen), ClosedAt: stamp(alert.Closed),
		MailedAt: stamp(alert.Mailed), Title: alert.Title, Message: alert.Message, Cure: alert.Cure, Ending: alert.Ending,
	}
	if alert.Source != 0 {
		out.Source = n.sources[alert.Source]
	}
	if alert.Run != 0 {
		run := alert.Run.String()
		out.Run = &run
	}
	if alert.Key != "" {
		key := string(alert.Key)
		out.Key = &key
	}
	return out
}

type alertListCmd struct {
	orgsFlag
	All bool `help:"Those that are over too."`
}

// Run lists the alerts.
func (c *alertListCmd) Run(a *app) error {
	out := []alertJSON{}
	err := a.eachOrg(c.Org, func(o *opened, org foyer.Org) error {
		n, err := a.names(o, org)
		if err != nil {
			return err
		}
		alerts, err := o.Alerts(a.ctx, o.operator, org.ID, c.All)
		if err != nil {
			return err
		}
		if c.Org == "" && len(alerts) > 0 {
			a.printf("%s (%s)", org.Name, org.Slug)
		}
		for _, alert := range alerts {
			out = append(out, toAlertJSON(alert, org, n))
			a.printAlert(&alert)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if a.cli.JSON {
		return a.json(out)
	}
	if len(out) == 0 {
		a.printf("No open alerts.")
	}
	return nil
}

func (a *app) printAlert(alert *foyer.Alert) {
	state := "since " + when(alert.Opened)
	if !alert.Closed.IsZero() {
		state = "from " + when(alert.Opened) + " to " + when(alert.Closed)
	}
	a.printf("%v  %s  %s", alert.ID, state, alert.Title)
	a.printf("      %s", indented(alert.Message))
	switch {
	case alert.Closed.IsZero():
		a.printf("      %s", indented(alert.Cure))
	case alert.Ending != "":
		a.printf("      Over: %s.", alert.Ending)
	}
}

// indented returns a text whose further lines stand below the first.
func indented(s string) string { return strings.ReplaceAll(s, "\n", "\n      ") }

// parseExpect reads the interval within which a source is expected to sync: 26h, or never; "" is the default.
func parseExpect(s string) (time.Duration, error) {
	switch strings.ToLower(s) {
	case "":
		return 0, nil
	case "never":
		return foyer.Never, nil
	}
	d, err := foyer.ParseDuration(s)
	if err == nil && d < time.Minute {
		err = foyer.Errorf(foyer.Invalid, "a source cannot be expected every %s; write 26h, 8d, or never", s)
	}
	return d, err
}

// expect writes the interval of a source as parseExpect reads it.
func expect(s foyer.Source) string {
	switch d := s.Interval(); {
	case d < 0:
		return "never"
	case d%time.Hour == 0:
		return strings.TrimSuffix(d.String(), "0m0s")
	default:
		return d.String()
	}
}

type orgContactCmd struct {
	Add    contactAddCmd    `cmd:"" help:"Add somebody to whom the organization's alerts are mailed."`
	List   contactListCmd   `cmd:"" help:"List the contacts."`
	Remove contactRemoveCmd `cmd:"" help:"Remove a contact."`
}

type contactJSON struct {
	Email     string  `json:"email"`
	Name      string  `json:"name"`
	CreatedAt *string `json:"created_at"`
}

func toContactJSON(c foyer.Contact) contactJSON {
	return contactJSON{c.Email, c.Name, stamp(c.CreatedAt)}
}

type contactAddCmd struct {
	orgFlag
	Email string `arg:"" help:"The email."`
	Name  string `help:"The name, for the message's address." placeholder:"NAME"`
}

// Run adds a contact.
func (c *contactAddCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		contact, err := o.AddContact(a.ctx, o.operator, org.ID, foyer.Contact{Email: c.Email, Name: c.Name})
		if err != nil {
			return err
		}
		if a.cli.JSON {
			return a.json(toContactJSON(contact))
		}
		a.printf("The alerts of %s are mailed to %s, where the server runs with --smtp.", org.Name, contact.Email)
		return nil
	})
}

type contactListCmd struct{ orgFlag }

// Run lists the contacts.
func (c *contactListCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		contacts, err := o.Contacts(a.ctx, o.operator, org.ID)
		if err != nil {
			return err
		}
		out, rows := []contactJSON{}, [][]string{}
		for _, contact := range contacts {
			out = append(out, toContactJSON(contact))
			rows = append(rows, []string{contact.Email, dash(contact.Name), when(contact.CreatedAt)})
		}
		if a.cli.JSON {
			return a.json(out)
		}
		return a.table("EMAIL,NAME,MADE", rows)
	})
}

type contactRemoveCmd struct {
	orgFlag
	Email string `arg:"" help:"The email."`
}

// Run removes a contact.
func (c *contactRemoveCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		if err := o.RemoveContact(a.ctx, o.operator, org.ID, c.Email); err != nil {
			return err
		}
		if a.cli.JSON {
			return a.json(map[string]string{"email": c.Email, "state": "removed"})
		}
		a.printf("Removed %s. The alerts of %s are no longer mailed there.", c.Email, org.Name)
		return nil
	})
}

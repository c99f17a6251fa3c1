package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"foyer"
	"foyer/connect"
)

type entraCmd struct {
	App        entraAppCmd        `cmd:"" help:"Set up Foyer's application at Microsoft, once for the whole installation: its id, its credential, and what to register."`
	Link       entraLinkCmd       `cmd:"" help:"Make a link with which an administrator of a tenant connects it to an organization."`
	Links      entraLinksCmd      `cmd:"" help:"List the links."`
	Unlink     entraUnlinkCmd     `cmd:"" help:"End a link, and send away whoever came by it."`
	Status     entraStatusCmd     `cmd:"" help:"Show how the connections stand: the tenant, when it was read, what is wrong."`
	Set        entraSetCmd        `cmd:"" help:"Say whom of a tenant the book lists, where, and how often the tenant is read."`
	Confirm    entraConfirmCmd    `cmd:"" help:"Let the book follow a tenant that was connected, as the page of its link does."`
	Sync       entraSyncCmd       `cmd:"" help:"Read a tenant now."`
	Resync     entraResyncCmd     `cmd:"" help:"Read a tenant now, from the beginning."`
	Pause      entraPauseCmd      `cmd:"" help:"Do not read a tenant for a while. The book stays as it is."`
	Resume     entraResumeCmd     `cmd:"" help:"Read it again."`
	Disconnect entraDisconnectCmd `cmd:"" help:"Do not read a tenant any more, and forget what is known of it. The people in the book stay as they are."`
}

type entraLinkCmd struct {
	orgFlag
	Domain    string   `help:"The tenant must have this verified domain." placeholder:"acme.com" xor:"for"`
	Tenant    string   `help:"It must be the tenant of this id." placeholder:"ID" xor:"for"`
	AnyTenant bool     `help:"It may be any tenant: whoever gets the link could connect one of their own." xor:"for"`
	Shared    bool     `help:"The tenant may be connected to another organization too."`
	Site      string   `help:"Its people are at this site; otherwise groups and offices say where." placeholder:"SITE"`
	Name      string   `help:"Name of the source that it makes." default:"entra" placeholder:"TEXT"`
	For       string   `help:"How long the link can be used, at most 72h." default:"72h" placeholder:"72h"`
	PublicURL *url.URL `help:"The server as browsers reach it." placeholder:"https://HOST" name:"public-url" env:"FOYER_PUBLIC_URL" required:""`
}

type linkJSON struct {
	ID        int64   `json:"id"`
	Link      string  `json:"link,omitempty"`
	For       string  `json:"for"`
	Site      *string `json:"site"`
	Source    *string `json:"source"`
	ExpiresAt *string `json:"expires_at"`
	UsedAt    *string `json:"used_at"`
}

func toLinkJSON(l foyer.EntraLink, names siteNames, address string) linkJSON {
	out := linkJSON{ID: l.ID, Link: address, For: l.For, Site: names.orNull(l.Site), ExpiresAt: stamp(l.ExpiresAt), UsedAt: stamp(l.UsedAt)}
	if l.Source != 0 {
		id := l.Source.String()
		out.Source = &id
	}
	return out
}

// Run makes a link.
func (c *entraLinkCmd) Run(a *app) error {
	life, err := foyer.ParseDuration(c.For)
	if err != nil {
		return fmt.Errorf("--for: %w", err)
	}
	if c.PublicURL.Scheme != "https" {
		return fmt.Errorf("--public-url %q is no https address", c.PublicURL)
	}
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		if _, err := o.EntraApp(a.ctx, o.operator); err != nil {
			return err
		}
		names, sites, err := a.siteNames(o, org)
		if err != nil {
			return err
		}
		site, err := findSite(sites, c.Site)
		if err != nil {
			return err
		}
		token, link, err := o.CreateEntraLink(a.ctx, o.operator, org.ID, foyer.EntraLink{For: c.Domain + c.Tenant, AnyTenant: c.AnyTenant, Shared: c.Shared, Site: site, Name: c.Name,
			ExpiresAt: o.Now().Add(life)})
		if err != nil {
			return err
		}
		address := connect.LinkURL(c.PublicURL.String(), token)
		if a.cli.JSON {
			return a.json(toLinkJSON(link, names, address))
		}
		a.printf("Send this to an administrator of the tenant, over a way that nobody else reads. It works once, until %s, and is not shown again:", when(link.ExpiresAt))
		a.printf("\n  %s\n", address)
		a.printf("Nothing of the tenant goes into the book before it is confirmed there, or here: foyer entra confirm --org %s", org.Slug)
		return nil
	})
}

type entraLinksCmd struct{ orgFlag }

// Run lists the links.
func (c *entraLinksCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		links, err := o.EntraLinks(a.ctx, o.operator, org.ID)
		if err != nil {
			return err
		}
		names, _, err := a.siteNames(o, org)
		if err != nil {
			return err
		}
		out, rows := []linkJSON{}, [][]string{}
		for _, l := range links {
			out = append(out, toLinkJSON(l, names, ""))
			what := l.For
			if l.AnyTenant {
				what = "any tenant"
			}
			state := "until " + when(l.ExpiresAt)
			if !l.UsedAt.IsZero() {
				state = fmt.Sprintf("used %s: %v", when(l.UsedAt), l.Source)
			} else if !l.ExpiresAt.After(o.Now()) {
				state = "ended " + when(l.ExpiresAt)
			}
			rows = append(rows, []string{fmt.Sprint(l.ID), what, dash(names[l.Site]), state})
		}
		if a.cli.JSON {
			return a.json(out)
		}
		return a.table("ID,FOR,SITE,STATE", rows)
	})
}

type entraUnlinkCmd struct {
	orgFlag
	ID int64 `arg:"" help:"Id of the link."`
}

// Run ends a link.
func (c *entraUnlinkCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		if err := o.RevokeEntraLink(a.ctx, o.operator, org.ID, c.ID); err != nil {
			return err
		}
		return a.said(map[string]any{"id": c.ID, "ended": true}, "The link %d cannot be used any more.", c.ID)
	})
}

// connectionArg names a connection.
type connectionArg struct {
	orgFlag
	Source string `arg:"" optional:"" help:"Name or id of its source; not needed where the organization has one connection only."`
}

// withConnection calls fn with the connection that is named, or the only one.
func (a *app) withConnection(c connectionArg, fn func(*opened, foyer.Org, foyer.Connection) error) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		all, err := o.Connections(a.ctx, o.operator, org.ID)
		if err != nil {
			return err
		}
		if c.Source == "" {
			if len(all) == 1 {
				return fn(o, org, all[0])
			}
			if len(all) == 0 {
				return foyer.Errorf(foyer.NotFound, "%s is connected to no tenant; a link with which its administrator connects it: foyer entra link --org %s --domain DOMAIN", org.Name, org.Slug)
			}
			return foyer.Errorf(foyer.Invalid, "%s has %d connections to tenants; name the source: foyer entra status --org %s shows them", org.Name, len(all), org.Slug)
		}
		source, err := a.findSource(o, org, c.Source)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(all, func(x foyer.Connection) bool { return x.Source == source.ID })
		if at < 0 {
			return foyer.Errorf(foyer.NotFound, "the source %q is no connection to a tenant", source.Name)
		}
		return fn(o, org, all[at])
	})
}

func (a *app) connector(o *opened) *connect.Connector {
	return connect.New(connect.Config{Store: o.Store, Key: o.vault.Key("connect visits"), Log: a.log})
}

// act carries out an act on a connection and says what follows.
func (a *app) act(c connectionArg, act, say string) error {
	return a.withConnection(c, func(o *opened, org foyer.Org, conn foyer.Connection) error {
		if err := a.connector(o).ActAs(a.ctx, o.operator, org.ID, conn.Source, act); err != nil {
			return err
		}
		return a.said(map[string]string{"source": conn.Source.String(), "act": act}, "%s", strings.ReplaceAll(strings.ReplaceAll(say, "TENANT", conn.TenantName), "ORG", org.Slug))
	})
}

const readsSoon = "The server reads TENANT within seconds; foyer entra status --org ORG shows how it went."

type (
	entraConfirmCmd struct{ connectionArg }
	entraSyncCmd    struct{ connectionArg }
	entraResyncCmd  struct{ connectionArg }
	entraPauseCmd   struct{ connectionArg }
	entraResumeCmd  struct{ connectionArg }
)

// Run confirms a connection.
func (c *entraConfirmCmd) Run(a *app) error {
	return a.act(c.connectionArg, connect.ActConfirm, "The book follows TENANT from now on. "+readsSoon)
}

// Run has a tenant read now.
func (c *entraSyncCmd) Run(a *app) error {
	return a.act(c.connectionArg, connect.ActSync, readsSoon)
}

// Run has a tenant read from the beginning.
func (c *entraResyncCmd) Run(a *app) error {
	return a.act(c.connectionArg, connect.ActResync, readsSoon)
}

// Run pauses a connection.
func (c *entraPauseCmd) Run(a *app) error {
	return a.act(c.connectionArg, connect.ActPause, "TENANT is not read until: foyer entra resume --org ORG. The book stays as it is.")
}

// Run resumes a connection.
func (c *entraResumeCmd) Run(a *app) error {
	return a.act(c.connectionArg, connect.ActResume, readsSoon)
}

type entraDisconnectCmd struct{ connectionArg }

// Run disconnects a tenant.
func (c *entraDisconnectCmd) Run(a *app) error {
	return a.withConnection(c.connectionArg, func(o *opened, org foyer.Org, conn foyer.Connection) error {
		run, err := a.connector(o).Disconnect(a.ctx, o.operator, org.ID, conn.Source)
		if err != nil {
			return err
		}
		out := map[string]string{"source": conn.Source.String(), "act": connect.ActDisconnect}
		text := fmt.Sprintf("%s is not read any more, and nothing is kept of it but the people in the book, who stay as they are.", conn.TenantName)
		if run != nil && run.ID != 0 {
			out["run"] = run.ID.String()
			text += fmt.Sprintf(" That is %v; whom it listed can be disabled in one go by the source's end: foyer run undo --org %s %v, then foyer source end --org %s %v --disable.", run.ID, org.Slug, run.ID, org.Slug, conn.Source)
		}
		return a.said(out, "%s\nThe tenant's administrator takes the permission back by removing the enterprise application there.", text)
	})
}

type entraSetCmd struct {
	connectionArg
	Every          time.Duration     `help:"How often the tenant is read, 5m to 24h." placeholder:"30m"`
	Guests         *bool             `help:"List guests too." negatable:""`
	PrincipalNames *bool             `help:"Who has no mail address is listed by userPrincipalName." negatable:""`
	LeaveDisabled  *bool             `help:"Do not list disabled accounts, instead of listing them as disabled." negatable:""`
	Offices        *bool             `help:"officeLocation says the site where it is the name or an alias of one." negatable:""`
	Group          map[string]string `help:"The members of the group of this id, nested ones too, are at the site; an empty site takes it out: ID=SITE." placeholder:"ID=SITE"`
	OnlyGroups     *bool             `help:"List only who is in one of the groups." negatable:""`
	Attribute      map[string]string `help:"The field is read from this attribute; from none where it is empty: division=employeeId." placeholder:"FIELD=ATTRIBUTE"`
}

// Run changes how a tenant is read.
func (c *entraSetCmd) Run(a *app) error {
	return a.withConnection(c.connectionArg, func(o *opened, org foyer.Org, conn foyer.Connection) error {
		_, sites, err := a.siteNames(o, org)
		if err != nil {
			return err
		}
		settings := conn.Settings
		if err := c.apply(&settings, sites); err != nil {
			return err
		}
		if err := a.connector(o).SetAs(a.ctx, o.operator, org.ID, conn, settings); err != nil {
			return err
		}
		return a.said(settings, "Changed. The server reads %s within seconds; foyer entra status --org %s shows it.", conn.TenantName, org.Slug)
	})
}

func (c *entraSetCmd) apply(s *foyer.EntraSettings, sites []foyer.Site) error {
	if c.Every != 0 {
		s.Every = c.Every
	}
	for flag, to := range map[*bool]*bool{c.Guests: &s.Guests, c.PrincipalNames: &s.PrincipalNames, c.LeaveDisabled: &s.LeaveDisabled, c.OnlyGroups: &s.OnlyGroups} {
		if flag != nil {
			*to = *flag
		}
	}
	if c.Offices != nil {
		s.NoOffices = !*c.Offices
	}
	for _, id := range slices.Sorted(maps.Keys(c.Group)) {
		s.Groups = slices.DeleteFunc(slices.Clone(s.Groups), func(g foyer.GroupSite) bool { return strings.EqualFold(g.Group, id) })
		if c.Group[id] == "" {
			continue
		}
		site, err := findSite(sites, c.Group[id])
		if err != nil {
			return err
		}
		s.Groups = append(s.Groups, foyer.GroupSite{Group: id, Site: site})
	}
	s.Attributes = maps.Clone(s.Attributes)
	for field, attribute := range c.Attribute {
		f, ok := foyer.ParseField(field)
		if !ok {
			return foyer.Errorf(foyer.Invalid, "there is no field %q", field)
		}
		if s.Attributes == nil {
			s.Attributes = map[string]string{}
		}
		s.Attributes[f.String()] = attribute
	}
	return nil
}

type entraStatusCmd struct{ orgsFlag }

type connectionJSON struct {
	Org         string              `json:"org"`
	Source      string              `json:"source"`
	Name        string              `json:"name"`
	Tenant      string              `json:"tenant"`
	TenantName  string              `json:"tenant_name"`
	Domains     []string            `json:"domains"`
	State       string              `json:"state"`
	People      int                 `json:"people"`
	Problem     string              `json:"problem,omitempty"`
	ConnectedAt *string             `json:"connected_at"`
	CheckedAt   *string             `json:"checked_at"`
	NextAt      *string             `json:"next_at"`
	Settings    foyer.EntraSettings `json:"settings"`
	Plan        *connect.Plan       `json:"plan,omitempty"`
}

// Run shows how the connections stand.
func (c *entraStatusCmd) Run(a *app) error {
	out := []connectionJSON{}
	err := a.eachOrg(c.Org, func(o *opened, org foyer.Org) error {
		all, err := o.Connections(a.ctx, o.operator, org.ID)
		if err != nil {
			return err
		}
		n, err := a.names(o, org)
		if err != nil {
			return err
		}
		if len(all) == 0 && c.Org != "" {
			a.printf("%s is connected to no tenant. A link with which its administrator connects it: foyer entra link --org %s --domain DOMAIN", org.Name, org.Slug)
		}
		for _, conn := range all {
			one, err := toConnectionJSON(conn, org, n)
			if err != nil {
				return err
			}
			out = append(out, one)
			a.printConnection(&one, conn, org, n.sites)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if a.cli.JSON {
		return a.json(out)
	}
	if len(out) == 0 && c.Org == "" {
		a.printf("No organization is connected to a tenant.")
	}
	return nil
}

func toConnectionJSON(conn foyer.Connection, org foyer.Org, n names) (connectionJSON, error) {
	one := connectionJSON{org.Slug, conn.Source.String(), n.sources[conn.Source], conn.Tenant, conn.TenantName, conn.Domains, string(conn.State), conn.People, conn.Problem,
		stamp(conn.ConnectedAt), stamp(conn.CheckedAt), stamp(conn.NextAt), conn.Settings, nil}
	if len(conn.Plan) > 0 && conn.State == foyer.Confirming {
		return one, json.Unmarshal(conn.Plan, &one.Plan)
	}
	return one, nil
}

// stateText says what a state means and what comes next.
var stateText = map[foyer.ConnectionState]string{
	foyer.Consenting:   "an administrator of the tenant has not agreed yet: a new link leads there (foyer entra link)",
	foyer.Confirming:   "connected, and nothing of it is in the book yet: confirm it (foyer entra confirm)",
	foyer.Connected:    "connected",
	foyer.Paused:       "paused (foyer entra resume)",
	foyer.Disconnected: "the tenant does not let it be read any more; the book stays as it is",
}

func (a *app) printConnection(c *connectionJSON, conn foyer.Connection, org foyer.Org, sites siteNames) {
	a.printf("%s  %s  %s  %s (%s)", org.Slug, c.Source, c.Name, c.TenantName, strings.Join(c.Domains, ", "))
	a.printf("  tenant %s: %s", c.Tenant, stateText[conn.State])
	a.printf("  last read %s; next %s, every %v; %d people known", when(conn.CheckedAt), when(conn.NextAt), conn.Settings.Interval(), conn.People)
	if c.Problem != "" {
		a.printf("  WRONG: %s", c.Problem)
	}
	for _, g := range conn.Settings.Groups {
		a.printf("  group %s (%s): %s", g.Name, g.Group, dash(sites[g.Site]))
	}
	if p := c.Plan; p != nil {
		a.printPlan(p, org)
	}
}

func (a *app) printPlan(p *connect.Plan, org foyer.Org) {
	switch {
	case p.Refused != "":
		a.printf("  Confirmed, it could not be used: %s", p.Refused)
	case p.Held != "":
		a.printf("  Confirmed, it would be held for a decision: %s", p.Held)
	default:
		a.printf("  Confirmed, it would list %d: add %d, change %d, enable %d, disable %d.", p.Counts.Listed, p.Counts.Added, p.Counts.Updated, p.Counts.Enabled, p.Counts.Disabled)
	}
	for _, problem := range p.Problems {
		a.printf("    %s", problem)
	}
}

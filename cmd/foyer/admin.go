package main

import (
	"slices"
	"strings"
	"time"

	"foyer"
	"foyer/match"
	"foyer/store"
)

type orgCmd struct {
	Create  orgCreateCmd  `cmd:"" help:"Make an organization."`
	List    orgListCmd    `cmd:"" help:"List the organizations."`
	Contact orgContactCmd `cmd:"" help:"Contacts: to whom the organization's alerts are mailed."`
}

type orgJSON struct {
	ID        foyer.OrgID `json:"id"`
	Slug      string      `json:"slug"`
	Name      string      `json:"name"`
	Country   string      `json:"country"`
	CreatedAt *string     `json:"created_at"`
}

func toOrgJSON(o foyer.Org) orgJSON {
	return orgJSON{o.ID, o.Slug, o.Name, o.Country, stamp(o.CreatedAt)}
}

type orgCreateCmd struct {
	Name    string `arg:"" help:"Name of the organization."`
	Country string `help:"Country of its phone numbers that have no country code, as two letters: CA." placeholder:"CA"`
}

// Run makes an organization.
func (c *orgCreateCmd) Run(a *app) error {
	if _, err := match.NewPhones(c.Country); err != nil {
		return err
	}
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	org, err := o.CreateOrg(a.ctx, o.operator, c.Name, c.Country)
	if err != nil {
		return err
	}
	if a.cli.JSON {
		return a.json(toOrgJSON(org))
	}
	a.printf("Made the organization %s (--org %s).", org.Name, org.Slug)
	a.printf("Next: foyer site create --org %s Toronto, and foyer key create --org %s", org.Slug, org.Slug)
	return nil
}

type orgListCmd struct{}

// Run lists the organizations.
func (c *orgListCmd) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	orgs, err := o.Orgs(a.ctx, o.operator)
	if err != nil {
		return err
	}
	out, rows := []orgJSON{}, [][]string{}
	for _, org := range orgs {
		out = append(out, toOrgJSON(org))
		rows = append(rows, []string{org.Slug, org.Name, dash(org.Country), when(org.CreatedAt)})
	}
	if a.cli.JSON {
		return a.json(out)
	}
	return a.table("ORG,NAME,COUNTRY,MADE", rows)
}

type orgFlag struct {
	Org string `help:"Name or slug of the organization." required:"" env:"FOYER_ORG" placeholder:"ORG"`
}

type siteCmd struct {
	Create siteCreateCmd `cmd:"" help:"Make a site."`
	List   siteListCmd   `cmd:"" help:"List the sites."`
	Edit   siteEditCmd   `cmd:"" help:"Rename a site, or change its aliases."`
}

type siteJSON struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
}

func toSiteJSON(s foyer.Site) siteJSON {
	return siteJSON{s.ID.String(), s.Name, append([]string{}, s.Aliases...)}
}

type siteCreateCmd struct {
	orgFlag
	Name  string   `arg:"" help:"Name of the site, as the SITE column has it."`
	Alias []string `help:"Another name that the SITE column may use; may be given more than once." sep:"none" placeholder:"NAME"`
}

// Run makes a site.
func (c *siteCreateCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		site, err := o.CreateSite(a.ctx, o.operator, org.ID, foyer.Site{Name: strings.TrimSpace(c.Name), Aliases: c.Alias})
		if err != nil {
			return err
		}
		if a.cli.JSON {
			return a.json(toSiteJSON(site))
		}
		a.printf("Made the site %s.", site.Name)
		return nil
	})
}

type siteEditCmd struct {
	orgFlag
	Site        string   `arg:"" help:"Name, alias or id of the site."`
	Name        string   `help:"A new name; the old one stays as an alias." placeholder:"NAME"`
	Alias       []string `help:"A further name that the SITE column may use; may be given more than once." sep:"none" placeholder:"NAME"`
	RemoveAlias []string `help:"A name that it may use no more." sep:"none" placeholder:"NAME"`
}

// Run changes a site.
func (c *siteEditCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		_, sites, err := a.siteNames(o, org)
		if err != nil {
			return err
		}
		id, err := findSite(sites, c.Site)
		if err != nil {
			return err
		}
		site, err := o.EditSite(a.ctx, o.operator, org.ID, id, func(s *foyer.Site) {
			if c.Name != "" {
				s.Name = strings.TrimSpace(c.Name)
			}
			s.Aliases = append(s.Aliases, c.Alias...)
			for _, gone := range c.RemoveAlias {
				s.Aliases = slices.DeleteFunc(s.Aliases, func(alias string) bool { return match.Fold(alias) == match.Fold(gone) })
			}
		})
		if err != nil {
			return err
		}
		return a.said(toSiteJSON(site), "The site is %s, also called: %s.", site.Name, dash(strings.Join(site.Aliases, ", ")))
	})
}

type siteListCmd struct{ orgFlag }

// Run lists the sites.
func (c *siteListCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		sites, err := o.Sites(a.ctx, o.operator, org.ID)
		if err != nil {
			return err
		}
		out, rows := []siteJSON{}, [][]string{}
		for _, site := range sites {
			out = append(out, toSiteJSON(site))
			rows = append(rows, []string{site.Name, dash(strings.Join(site.Aliases, ", "))})
		}
		if a.cli.JSON {
			return a.json(out)
		}
		return a.table("SITE,ALSO CALLED", rows)
	})
}

// siteNames are the names of an organization's sites.
type siteNames map[foyer.SiteID]string

func (a *app) siteNames(o *opened, org foyer.Org) (siteNames, []foyer.Site, error) {
	sites, err := o.Sites(a.ctx, o.operator, org.ID)
	names := siteNames{}
	for _, site := range sites {
		names[site.ID] = site.Name
	}
	return names, sites, err
}

func (n siteNames) orNull(id foyer.SiteID) *string {
	if id == 0 {
		return nil
	}
	name := n[id]
	return &name
}

func (n siteNames) list(ids []foyer.SiteID) []string {
	names := []string{}
	for _, id := range ids {
		names = append(names, n[id])
	}
	return names
}

// findSite returns the site of a name, alias or id; "" is none.
func findSite(sites []foyer.Site, name string) (foyer.SiteID, error) {
	if name == "" {
		return 0, nil
	}
	all := []string{}
	for _, site := range sites {
		for _, known := range append([]string{site.Name, site.ID.String()}, site.Aliases...) {
			if match.Fold(known) == match.Fold(name) {
				return site.ID, nil
			}
		}
		all = append(all, site.Name)
	}
	return 0, foyer.Errorf(foyer.NotFound, "there is no site %q; there are: %s", name, dash(strings.Join(all, ", ")))
}

type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Make a client id and secret. The secret is shown once."`
	List   keyListCmd   `cmd:"" help:"List the keys."`
	Revoke keyRevokeCmd `cmd:"" help:"End a key, and its tokens, at once and for good."`
}

type keyJSON struct {
	ClientID     foyer.KeyID `json:"client_id"`
	ClientSecret string      `json:"client_secret,omitempty"`
	Org          string      `json:"org"`
	Site         *string     `json:"site"`
	Source       string      `json:"source"`
	Name         string      `json:"name"`
	State        string      `json:"state"`
	CreatedAt    *string     `json:"created_at"`
	ExpiresAt    *string     `json:"expires_at"`
	RevokedAt    *string     `json:"revoked_at"`
	LastUsedAt   *string     `json:"last_used_at"`
	Scopes       []string    `json:"scopes"`
}

func toKeyJSON(k foyer.Key, org foyer.Org, source *foyer.Source, names siteNames, now time.Time) keyJSON {
	return keyJSON{
		ClientID: k.ID, Org: org.Slug, Site: names.orNull(source.Site), Source: source.Name, Name: k.Name, State: k.State(now),
		CreatedAt: stamp(k.CreatedAt), ExpiresAt: stamp(k.ExpiresAt), RevokedAt: stamp(k.RevokedAt), LastUsedAt: stamp(k.LastUsed), Scopes: k.Scopes.Names(),
	}
}

type keyCreateCmd struct {
	orgFlag
	Source  string `help:"Name of the source it delivers for; otherwise the organization's or the site's own CSV source." placeholder:"SOURCE" xor:"for"`
	Site    string `help:"It delivers for this site only." placeholder:"SITE" xor:"for"`
	Name    string `help:"What the key is for, to tell it from others." placeholder:"TEXT"`
	Expires string `help:"How long it lives: 90d, 12h. Otherwise until it is revoked." placeholder:"90d"`
	Scope   string `help:"What it may do: sync, read." default:"sync"`
}

// Run makes a key.
func (c *keyCreateCmd) Run(a *app) error {
	scopes, err := foyer.ParseScopes(c.Scope)
	if err != nil {
		return err
	}
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		names, sites, err := a.siteNames(o, org)
		if err != nil {
			return err
		}
		sources, err := o.Sources(a.ctx, o.operator, org.ID)
		if err != nil {
			return err
		}
		made := o.authority.NewCredentials(org.ID)
		n := store.NewKey{ID: made.ID, SecretMAC: made.SecretMAC, Name: c.Name, Scopes: scopes}
		if n.Source, err = findSource(sources, c.Source); err != nil {
			return err
		}
		if n.Site, err = findSite(sites, c.Site); err != nil {
			return err
		}
		if c.Expires != "" {
			life, err := foyer.ParseDuration(c.Expires)
			if err != nil {
				return err
			}
			if life == 0 {
				return foyer.Errorf(foyer.Invalid, "a key that expires at once is of no use; give --expires 90d, or leave it out")
			}
			n.ExpiresAt = o.Now().Add(life)
		}
		key, source, err := o.CreateKey(a.ctx, o.operator, org.ID, n)
		if err != nil {
			return err
		}
		if a.cli.JSON {
			out := toKeyJSON(key, org, &source, names, o.Now())
			out.ClientSecret = made.Secret
			return a.json(out)
		}
		a.printf("client_id     = %s", key.ID)
		a.printf("client_secret = %s", made.Secret)
		a.printf("The secret is shown this once. The key delivers for the source %q of %s%s.", source.Name, org.Name, until(key.ExpiresAt))
		return nil
	})
}

func until(t time.Time) string {
	if t.IsZero() {
		return ", until it is revoked"
	}
	return ", until " + when(t)
}

type keyListCmd struct{ orgFlag }

// Run lists the keys.
func (c *keyListCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		names, _, err := a.siteNames(o, org)
		if err != nil {
			return err
		}
		sources, err := o.Sources(a.ctx, o.operator, org.ID)
		if err != nil {
			return err
		}
		keys, err := o.Keys(a.ctx, o.operator, org.ID)
		if err != nil {
			return err
		}
		out, rows := []keyJSON{}, [][]string{}
		for _, k := range keys {
			source := &foyer.Source{}
			for i := range sources {
				if sources[i].ID == k.Source {
					source = &sources[i]
				}
			}
			out = append(out, toKeyJSON(k, org, source, names, o.Now()))
			rows = append(rows, []string{string(k.ID), dash(k.Name), source.Name, k.Scopes.String(), k.State(o.Now()), when(k.ExpiresAt), when(k.LastUsed)})
		}
		if a.cli.JSON {
			return a.json(out)
		}
		return a.table("CLIENT ID,NAME,SOURCE,SCOPES,STATE,EXPIRES,LAST USED", rows)
	})
}

type keyRevokeCmd struct {
	Org string `help:"Name or slug of the organization; the id says it too." placeholder:"ORG"`
	ID  string `arg:"" help:"The client id."`
}

// Run ends a key.
func (c *keyRevokeCmd) Run(a *app) error {
	id, ok := orgOfKey(c.ID)
	if !ok {
		return foyer.Errorf(foyer.Invalid, "%q is no client id; foyer key list shows them", c.ID)
	}
	org := c.Org
	if org == "" {
		org = string(id)
	}
	return a.withOrg(org, func(o *opened, org foyer.Org) error {
		if err := o.RevokeKey(a.ctx, o.operator, org.ID, foyer.KeyID(c.ID)); err != nil {
			return err
		}
		if a.cli.JSON {
			return a.json(map[string]string{"client_id": c.ID, "state": "revoked"})
		}
		a.printf("Revoked %s. It and its tokens work no more.", c.ID)
		return nil
	})
}

package main

import (
	"slices"
	"strings"

	"foyer"
	"foyer/match"
	"foyer/phone"
)

type orgCmd struct {
	Create  orgCreateCmd  `cmd:"" help:"Make an organization."`
	List    orgListCmd    `cmd:"" help:"List the organizations."`
	Allow   orgAllowCmd   `cmd:"" help:"Replace the list of addresses from which any of its keys may be used."`
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
	if _, err := phone.New(c.Country); err != nil {
		return err
	}
	o, err := a.openOrMake()
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

// orgsFlag is orgFlag where no organization means all of them.
type orgsFlag struct {
	Org string `help:"Name or slug of the organization; all of them unless given." env:"FOYER_ORG" placeholder:"ORG"`
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

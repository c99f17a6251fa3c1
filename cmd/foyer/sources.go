package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"foyer"
	"foyer/csvfile"
	"foyer/reconcile"
)

type sourceCmd struct {
	Create sourceCreateCmd `cmd:"" help:"Make a source."`
	List   sourceListCmd   `cmd:"" help:"List the sources."`
	Show   sourceShowCmd   `cmd:"" help:"Show the settings of a source."`
	Edit   sourceEditCmd   `cmd:"" help:"Change the settings of a source, its guard among them."`
	End    sourceEndCmd    `cmd:"" help:"End a source: it lists nobody any more."`
}

type sourceJSON struct {
	ID            string            `json:"id"`
	Name          string            `json:"name"`
	Kind          foyer.SourceKind  `json:"kind"`
	Site          *string           `json:"site"`
	Priority      int               `json:"priority"`
	LeaveHandMade bool              `json:"leave_hand_made"`
	Headers       map[string]string `json:"headers"`
	Guard         foyer.Guard       `json:"guard"`
	Expect        string            `json:"expect"`
	CreatedAt     *string           `json:"created_at"`
	EndedAt       *string           `json:"ended_at"`
}

func toSourceJSON(s foyer.Source, names siteNames) sourceJSON {
	return sourceJSON{s.ID.String(), s.Name, s.Kind, names.orNull(s.Site), s.Priority, s.LeaveHandMade, s.Headers, s.Guard, expect(s), stamp(s.CreatedAt), stamp(s.EndedAt)}
}

// findSource returns the source of a name or id (S-1); "" is none.
func findSource(sources []foyer.Source, name string) (foyer.SourceID, error) {
	if name == "" {
		return 0, nil
	}
	all := []string{}
	for _, source := range sources {
		if strings.EqualFold(source.Name, name) || strings.EqualFold(source.ID.String(), name) {
			return source.ID, nil
		}
		all = append(all, source.Name)
	}
	if len(all) == 0 {
		return 0, foyer.Errorf(foyer.NotFound, "there is no source yet; make one: foyer source create %s, or a key, which makes the source csv", name)
	}
	return 0, foyer.Errorf(foyer.NotFound, "there is no source %q; there are: %s", name, strings.Join(all, ", "))
}

type sourceCreateCmd struct {
	orgFlag
	Name          string            `arg:"" help:"Name of the source."`
	Site          string            `help:"It covers this site only." placeholder:"SITE"`
	Priority      int               `help:"Of two sources that differ about a person, the higher number wins; between equals the older source." default:"0"`
	LeaveHandMade bool              `help:"Do not disable hand-made entries that the source does not list."`
	Windows1252   bool              `help:"Its files are Windows-1252." name:"windows-1252"`
	Header        map[string]string `help:"A further header of its files, and the field it holds: Cost=division." placeholder:"HEADER=FIELD"`
	Expect        string            `help:"How often it syncs at least: 26h, 8d; when it does not, an alert opens. never: none does. Otherwise 26h once it has synced." placeholder:"26h|never"`
}

// Run makes a source.
func (c *sourceCreateCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		names, sites, err := a.siteNames(o, org)
		if err != nil {
			return err
		}
		site, err := findSite(sites, c.Site)
		if err != nil {
			return err
		}
		if err := csvfile.CheckHeaders(c.Header); err != nil {
			return err
		}
		interval, err := parseExpect(c.Expect)
		if err != nil {
			return err
		}
		source, err := o.CreateSource(a.ctx, o.operator, org.ID, foyer.Source{
			Name: c.Name, Kind: foyer.CSV, Site: site, Priority: c.Priority, LeaveHandMade: c.LeaveHandMade, Windows1252: c.Windows1252, Headers: c.Header,
			Expect: interval,
		})
		if err != nil {
			return err
		}
		if a.cli.JSON {
			return a.json(toSourceJSON(source, names))
		}
		a.printf("Made the source %s. A key for it: foyer key create --org %s --source %q", source.Name, org.Slug, source.Name)
		return nil
	})
}

type sourceListCmd struct{ orgFlag }

// Run lists the sources.
func (c *sourceListCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		names, _, err := a.siteNames(o, org)
		if err != nil {
			return err
		}
		sources, err := o.Sources(a.ctx, o.operator, org.ID)
		if err != nil {
			return err
		}
		out, rows := []sourceJSON{}, [][]string{}
		for _, s := range sources {
			out = append(out, toSourceJSON(s, names))
			guard := "on"
			if s.Guard.Off {
				guard = "OFF"
			}
			rows = append(rows, []string{s.ID.String(), s.Name, string(s.Kind), dash(names[s.Site]), strconv.Itoa(s.Priority), guard, when(s.EndedAt)})
		}
		if a.cli.JSON {
			return a.json(out)
		}
		return a.table("ID,SOURCE,KIND,SITE,PRIORITY,GUARD,ENDED", rows)
	})
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

type sourceShowCmd struct {
	orgFlag
	Source string `arg:"" help:"Name or id of the source."`
}

// Run shows a source.
func (c *sourceShowCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		s, err := a.findSource(o, org, c.Source)
		if err != nil {
			return err
		}
		names, _, err := a.siteNames(o, org)
		if err != nil {
			return err
		}
		if a.cli.JSON {
			return a.json(toSourceJSON(*s, names))
		}
		a.printSource(*s, names)
		return nil
	})
}

func (a *app) printSource(s foyer.Source, names siteNames) {
	covers := "the whole organization"
	if s.Site != 0 {
		covers = "the site " + names[s.Site]
	}
	a.printf("%v  %s  (%s)  covers %s", s.ID, s.Name, s.Kind, covers)
	if !s.EndedAt.IsZero() {
		a.printf("ended: %s", when(s.EndedAt))
	}
	a.printf("priority: %d   leaves hand-made entries alone: %v   files are Windows-1252: %v", s.Priority, s.LeaveHandMade, s.Windows1252)
	a.printf("expected every: %s", expect(s))
	for _, header := range slices.Sorted(maps.Keys(s.Headers)) {
		a.printf("header: %s = %s", header, s.Headers[header])
	}
	if s.Guard.Off {
		a.printf("guard: OFF")
		return
	}
	g := s.Guard
	a.printf("guard: holds what disables %d and more than %d %%, or %d and more than %d %%; renames %d and more than %d %%; changes the names of %d and more than %d %%",
		g.Many.Count, g.Many.Percent, g.Few.Count, g.Few.Percent, g.Renames.Count, g.Renames.Percent, g.Names.Count, g.Names.Percent)
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
		a.printf("Changed. It is now:")
		names, _, err := a.siteNames(o, org)
		if err != nil {
			return err
		}
		a.printSource(edited, names)
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
		run, err := reconcile.EndSource(a.ctx, o.Store, o.operator, org.ID, reconcile.Ending{Source: source.ID, Leave: c.Leave, DryRun: c.DryRun})
		if err != nil {
			return err
		}
		return a.reportRun(o, run, org, n, c.DryRun)
	})
}

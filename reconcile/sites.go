package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"foyer"
	"foyer/match"
)

// siteNames finds an organization's sites by name or alias, ignoring case, accents and spacing (R14).
type siteNames struct {
	byName map[string]foyer.SiteID // by folded name
	names  []string                // for suggestions
	of     map[foyer.SiteID]string
	cells  map[string]siteCell // cells met before: a file repeats few
}

// siteCell is what a cell names.
type siteCell struct {
	sites []foyer.SiteID
	err   error
}

func newSiteNames(sites []foyer.Site) *siteNames {
	s := &siteNames{byName: map[string]foyer.SiteID{}, of: map[foyer.SiteID]string{}, cells: map[string]siteCell{}}
	for _, site := range sites {
		s.of[site.ID] = site.Name
		for _, name := range append([]string{site.Name}, site.Aliases...) {
			s.byName[match.Fold(name)] = site.ID
			s.names = append(s.names, name)
		}
	}
	return s
}

// find returns the sites that a cell names, ascending; several are separated by ";". The error is for the admin.
func (s *siteNames) find(cell string) ([]foyer.SiteID, error) {
	if met, ok := s.cells[cell]; ok {
		return met.sites, met.err
	}
	sites, err := s.read(cell)
	if len(s.cells) < 10_000 {
		s.cells[strings.Clone(cell)] = siteCell{sites, err}
	}
	return sites, err
}

func (s *siteNames) read(cell string) ([]foyer.SiteID, error) {
	var sites []foyer.SiteID
	for name := range strings.SplitSeq(cell, ";") {
		folded := match.Fold(name)
		if folded == "" {
			continue
		}
		id, ok := s.byName[folded]
		if !ok {
			return nil, s.unknown(strings.TrimSpace(name))
		}
		sites = append(sites, id)
	}
	return union(sites, nil), nil
}

func (s *siteNames) unknown(name string) error {
	if near := match.Nearest(name, s.names); near != "" {
		return fmt.Errorf("there is no site %q; did you mean %q? Nothing of this row is applied", name, near)
	}
	if len(s.names) == 0 {
		return fmt.Errorf("there is no site %q: the organization has no sites yet; nothing of this row is applied", name)
	}
	return fmt.Errorf("there is no site %q; make it, give it as an alias, or correct the file. Nothing of this row is applied", name)
}

// union returns the sites that are in a or b, ascending.
func union(a, b []foyer.SiteID) []foyer.SiteID {
	if len(a)+len(b) == 0 {
		return nil
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// without returns the sites of a but one.
func without(a []foyer.SiteID, site foyer.SiteID) []foyer.SiteID {
	return slices.DeleteFunc(slices.Clone(a), func(s foyer.SiteID) bool { return s == site })
}

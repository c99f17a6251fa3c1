package connect

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"foyer"
	"foyer/entra"
	"foyer/store"
)

// members says of people by their id of which of the groups in the settings they are, a bit each.
type members map[string]uint64

// readMembers reads who is in the groups of the settings, nested ones too.
func readMembers(ctx context.Context, tenant *entra.Tenant, groups []foyer.GroupSite, h *holder) (members, error) {
	m := members{}
	if len(groups) == 0 {
		return m, nil
	}
	if sees, err := tenant.MaySeeGroups(ctx); err != nil {
		return nil, err
	} else if !sees {
		return nil, errUnseen // one permission that is missing is not all of them taken back
	}
	for i, g := range groups {
		err := tenant.Members(ctx, g.Group, func(ids []string) error {
			for _, id := range ids {
				m[id] |= 1 << i
			}
			return h.hold(ctx)
		})
		if err != nil {
			return nil, &groupError{g, err}
		}
	}
	return m, nil
}

// errUnseen says that the tenant does not let the application see who is in which group.
var errUnseen = errors.New("the tenant does not let the application see who is in which group")

// groupError says which group could not be read.
type groupError struct {
	group foyer.GroupSite
	err   error
}

func (e *groupError) Error() string { return "read the group " + e.group.Group + ": " + e.err.Error() }
func (e *groupError) Unwrap() error { return e.err }

// digest returns what stands for all that a delivery says: what is known of the tenant by now, how it is set, and who is in which group.
func (m members) digest(c foyer.Connection) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "entra %s %d\n", c.Tenant, c.Version)
	for _, id := range slices.Sorted(maps.Keys(m)) {
		h.Write([]byte(id))
		h.Write(binary.BigEndian.AppendUint64(nil, m[id]))
	}
	return h.Sum(nil)
}

// people is what is known of a tenant, as rows for the book.
type people struct {
	ctx    context.Context
	c      *Connector
	org    foyer.OrgID
	conn   foyer.Connection
	member members
	sites  map[foyer.SiteID]string
}

// Rows implements reconcile.Input.
func (p *people) Rows(yield func(*foyer.Row) error) (warnings []foyer.Problem, err error) {
	line := 0
	row := &foyer.Row{}
	err = p.c.Store.EntraPeople(p.ctx, p.c.operator, p.org, p.conn.Source, func(person *store.EntraPerson) error {
		if !p.row(person, row) {
			return nil
		}
		line++
		row.Line = line
		return yield(row)
	})
	return nil, err
}

// row makes the row of a person; false where the settings do not list them.
func (p *people) row(person *store.EntraPerson, row *foyer.Row) bool {
	s := &p.conn.Settings
	*row = foyer.Row{}
	mail := strings.TrimSpace(person.Text("mail"))
	if mail == "" && s.PrincipalNames {
		mail = strings.TrimSpace(person.Text("userPrincipalName"))
	}
	guest := strings.EqualFold(person.Text("userType"), "Guest")
	of := p.member[person.ID]
	enabled := string(person.Attributes["accountEnabled"])
	switch {
	case mail == "", guest && !s.Guests, s.OnlyGroups && of == 0, s.LeaveDisabled && enabled == "false":
		return false
	}
	row.Values[foyer.Email], row.ExternalID = mail, person.ID
	for f := foyer.FirstName; f < foyer.NumFields; f++ {
		if attribute := s.Attribute(f); attribute != "" {
			row.Values[f] = strings.TrimSpace(person.Text(attribute))
		}
	}
	row.Values[foyer.Manager] = person.ManagerMail
	if !s.NoOffices {
		row.Office = strings.TrimSpace(person.Text("officeLocation"))
	}
	var at []string
	for i, g := range s.Groups {
		if name := p.sites[g.Site]; of&(1<<i) != 0 && name != "" && !slices.Contains(at, name) {
			at = append(at, name)
		}
	}
	row.Site = strings.Join(at, ";")
	switch enabled {
	case "true":
		row.Enabled = foyer.Yes
	case "false":
		row.Enabled = foyer.No
	}
	return true
}

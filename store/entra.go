package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"foyer"
)

// Tenant is a Microsoft Entra tenant, as it told of itself to whoever signed in.
type Tenant struct {
	ID      string
	Name    string
	Domains []string // verified ones only
}

// BindTenant connects a tenant by a link: it makes the source, which reads nothing before the tenant's administrator has agreed, and ends the link. foyer.Forbidden where the link
// was made for another tenant, foyer.Conflict where the tenant is another organization's, or this one's already.
func (s *Store) BindTenant(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id int64, tenant Tenant) (source foyer.Source, err error) {
	if err := caller.May(foyer.ConnectDirectory, org); err != nil {
		return source, err
	}
	err = s.transact(ctx, org, "connect the tenant", func(t *txn) error {
		link, err := readLink(t, org, "id = $2", id)
		if err != nil {
			return err
		}
		if !link.AnyTenant && link.For != tenant.ID && !slices.Contains(tenant.Domains, link.For) {
			return foyer.Errorf(foyer.Forbidden, "this link is for %s, which is no verified domain of %s (it has %s): sign in with an account of the right organization, or ask for a link for one of these domains",
				link.For, tenant.Name, strings.Join(tenant.Domains, ", "))
		}
		if source, err = s.entraSource(t, org, link); err != nil {
			return err
		}
		if err := holdTenant(t, org, link, tenant, source.ID); err != nil {
			return err
		}
		domains, err := json.Marshal(append([]string{}, tenant.Domains...))
		if err != nil {
			return err
		}
		const q = `INSERT INTO entra_connection (org, source, tenant, tenant_name, domains, state, settings, delta, people, plan, problem, failures, connected_at, checked_at, next_at, version, lease, leased_until)
			VALUES ($1, $2, $3, $4, $5, $6, '{}', '', 0, '', '', 0, $7, 0, 0, 1, '', 0)`
		if err := t.exec(q, org, source.ID, tenant.ID, tenant.Name, string(domains), foyer.Consenting, millis(t.now)); err != nil {
			return err
		}
		if err := t.exec(`UPDATE entra_link SET used_at = $1, source = $2 WHERE org = $3 AND id = $4`, millis(t.now), source.ID, org, id); err != nil {
			return err
		}
		return s.audit(t, caller, org, "entra.bind", source.ID.String(), "tenant="+tenant.ID+" by="+linkName(id))
	})
	return source, err
}

// entraSource makes the source of a link. Where one of its name is there, it gets a number behind it.
func (s *Store) entraSource(t *txn, org foyer.OrgID, link foyer.EntraLink) (source foyer.Source, err error) {
	name := link.Name
	for n := 2; ; n++ {
		source, err = createSource(t, s, org, foyer.Source{Name: name, Kind: foyer.Entra, Site: link.Site, Expect: foyer.Never, LeaveHandMade: true})
		if foyer.KindOf(err) != foyer.Conflict {
			break
		}
		name = fmt.Sprintf("%s %d", link.Name, n)
	}
	if err == nil {
		err = t.exec(`UPDATE book SET version = version + 1, settings = settings + 1 WHERE org = $1`, org)
	}
	return source, err
}

// holdTenant notes that a tenant is an organization's. What other organization has it nobody is told.
func holdTenant(t *txn, org foyer.OrgID, link foyer.EntraLink, tenant Tenant, source foyer.SourceID) error {
	var mine int
	if err := t.get(`SELECT COUNT(*) FROM entra_tenant WHERE tenant = $1 AND org = $2`, []any{tenant.ID, org}, &mine); err != nil {
		return err
	}
	if mine > 0 {
		return foyer.Errorf(foyer.Conflict, "%s is connected to this organization already; foyer entra status shows it", tenant.Name)
	}
	slot := ""
	if link.Shared {
		slot = string(org)
	}
	n, err := t.count(`INSERT INTO entra_tenant (tenant, slot, org, source) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, tenant.ID, slot, org, source)
	if err == nil && n == 0 {
		err = foyer.Errorf(foyer.Conflict, "%s is connected to another organization here. Whoever runs Foyer can make a link that lets both have it", tenant.Name)
	}
	return err
}

const connectionColumns = `source, tenant, tenant_name, domains, state, settings, people, plan, problem, failures, connected_at, checked_at, next_at, version`

func scanConnection(rows *sql.Rows) (c foyer.Connection, err error) {
	var domains, settings []byte
	var connected, checked, next int64
	err = rows.Scan(&c.Source, &c.Tenant, &c.TenantName, &domains, &c.State, &settings, &c.People, &c.Plan, &c.Problem, &c.Failures, &connected, &checked, &next, &c.Version)
	if err != nil {
		return c, err
	}
	c.ConnectedAt, c.CheckedAt, c.NextAt = fromMillis(connected), fromMillis(checked), fromMillis(next)
	return c, errors.Join(json.Unmarshal(domains, &c.Domains), json.Unmarshal(settings, &c.Settings))
}

func readConnections(t *txn, org foyer.OrgID) (connections []foyer.Connection, err error) {
	err = t.each(`SELECT `+connectionColumns+` FROM entra_connection WHERE org = $1 ORDER BY source`, []any{org}, func(rows *sql.Rows) error {
		c, err := scanConnection(rows)
		connections = append(connections, c)
		return err
	})
	return connections, err
}

func readConnection(t *txn, org foyer.OrgID, source foyer.SourceID) (c foyer.Connection, err error) {
	all, err := readConnections(t, org)
	if err != nil {
		return c, err
	}
	if at := slices.IndexFunc(all, func(c foyer.Connection) bool { return c.Source == source }); at >= 0 {
		return all[at], nil
	}
	return c, foyer.Errorf(foyer.NotFound, "the source %v is no connection to a tenant; foyer entra status shows them", source)
}

// Connections lists an organization's connections to Microsoft Entra.
func (s *Store) Connections(ctx context.Context, caller foyer.Caller, org foyer.OrgID) (connections []foyer.Connection, err error) {
	if caller.May(foyer.ConnectDirectory, org) != nil {
		if err := caller.May(foyer.ReadBook, org); err != nil {
			return nil, err
		}
	}
	err = s.snapshot(ctx, org, "list the connections", func(t *txn) error {
		connections, err = readConnections(t, org)
		return err
	})
	return connections, err
}

// EditConnection changes the settings of a connection, or its state: what edit changes of these two, of the name and the domains, and of NextAt. act says in the audit what it is: agree, confirm, set,
// pause, resume, resync, disconnect. Settings that cannot be meant are refused. Where whom the settings list may differ, everybody is read anew.
func (s *Store) EditConnection(ctx context.Context, caller foyer.Caller, org foyer.OrgID, source foyer.SourceID, act string, edit func(*foyer.Connection) error) (c foyer.Connection, err error) {
	if err := caller.May(foyer.ConnectDirectory, org); err != nil {
		return c, err
	}
	err = s.transact(ctx, org, "change the connection", func(t *txn) error {
		if c, err = readConnection(t, org, source); err != nil {
			return err
		}
		before, was := c.Settings, c.State
		if err := edit(&c); err != nil {
			return err
		}
		sites, err := readSites(t, org)
		if err != nil {
			return err
		}
		if err := c.Settings.Check(sites); err != nil {
			return err
		}
		settings, err := json.Marshal(c.Settings)
		if err != nil {
			return err
		}
		c.Version++
		const q = `UPDATE entra_connection SET state = $1, settings = $2, next_at = $3, version = $4, failures = $5, problem = $6 WHERE org = $7 AND source = $8`
		if err := t.exec(q, c.State, string(settings), millis(c.NextAt), c.Version, c.Failures, c.Problem, org, source); err != nil {
			return err
		}
		if act == "resync" || before.Guests != c.Settings.Guests || was != c.State && was == foyer.Disconnected {
			if err := t.exec(`UPDATE entra_connection SET delta = '' WHERE org = $1 AND source = $2`, org, source); err != nil {
				return err
			}
		}
		if was != c.State {
			if err := forgetTenant(t, org, &c); err != nil {
				return err
			}
		}
		return s.audit(t, caller, org, "entra."+act, source.String(), "state="+string(c.State))
	})
	return c, err
}

// forgetTenant drops, once a connection is disconnected for good, what is kept of the tenant: it may be connected again, also elsewhere.
func forgetTenant(t *txn, org foyer.OrgID, c *foyer.Connection) error {
	for _, kind := range []foyer.AlertKind{foyer.AlertUnread, foyer.AlertDisconnected} {
		if err := closeAlert(t, org, foyer.AlertCause(kind, c.Source), ending{t.now, "the connection is " + string(c.State) + " now"}); err != nil {
			return err
		}
	}
	if c.State != foyer.Removed {
		return nil
	}
	return errors.Join(
		t.exec(`DELETE FROM entra_person WHERE org = $1 AND source = $2`, org, c.Source),
		t.exec(`DELETE FROM entra_visit WHERE org = $1 AND source = $2`, org, c.Source),
		t.exec(`DELETE FROM entra_tenant WHERE org = $1 AND source = $2`, org, c.Source),
		t.exec(`DELETE FROM entra_connection WHERE org = $1 AND source = $2`, org, c.Source),
	)
}

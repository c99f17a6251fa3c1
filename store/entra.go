package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

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
	if err := tenant.clean(); err != nil {
		return source, err
	}
	elsewhere, err := s.heldElsewhere(ctx, org, tenant)
	if err != nil {
		return source, err
	}
	err = s.transact(ctx, org, "connect the tenant", func(t *txn) error {
		link, err := readLink(t, org, "id = $2", id)
		if err != nil {
			return err
		}
		if err := tenant.mayUse(link); err != nil {
			return err
		}
		if source, err = s.entraSource(t, org, link); err != nil {
			return err
		}
		if err := holdTenant(t, org, link, tenant, source.ID, elsewhere); err != nil {
			return err
		}
		domains, err := json.Marshal(append([]string{}, tenant.Domains...))
		if err != nil {
			return err
		}
		const q = `INSERT INTO entra_connection (org, source, tenant, tenant_name, domains, state, settings, delta, people, problem, failures, connected_at, checked_at, next_at, version, lease, leased_until, reading, unswept)
			VALUES ($1, $2, $3, $4, $5, $6, '{}', '', 0, '', 0, $7, 0, 0, 1, '', 0, 0, 0)`
		if err := t.exec(q, org, source.ID, tenant.ID, tenant.Name, string(domains), foyer.Consenting, millis(t.now)); err != nil {
			return err
		}
		if err := t.exec(`UPDATE entra_link SET used_at = $1, source = $2 WHERE org = $3 AND id = $4`, millis(t.now), source.ID, org, id); err != nil {
			return err
		}
		return s.audit(t, caller, org, "entra.bind", source.ID.String(), "tenant="+tenant.ID+" by="+linkName(id))
	})
	if err != nil {
		return foyer.Source{}, err
	}
	return source, nil
}

// clean makes of what a tenant says of itself what every database takes and a page can show, and refuses one without an id.
func (t *Tenant) clean() error {
	t.ID, t.Name = strings.ToLower(cleanLine(t.ID)), cleanLine(t.Name)
	if t.ID == "" {
		return foyer.Errorf(foyer.Invalid, "the sign-in does not say of which tenant it is")
	}
	if t.Name == "" {
		t.Name = t.ID
	}
	domains := []string{}
	for _, domain := range t.Domains {
		if domain = strings.ToLower(cleanLine(domain)); domain != "" {
			domains = append(domains, domain)
		}
	}
	t.Domains = domains
	return nil
}

// shownDomains is how many of a tenant's domains a message names.
const shownDomains = 5

// mayUse returns an error where a link was made for another tenant.
func (t *Tenant) mayUse(link foyer.EntraLink) error {
	if link.AnyTenant || link.For == t.ID || slices.Contains(t.Domains, link.For) {
		return nil
	}
	has := strings.Join(t.Domains[:min(shownDomains, len(t.Domains))], ", ")
	if more := len(t.Domains) - shownDomains; more > 0 {
		has += fmt.Sprintf(" and %d more", more)
	}
	return foyer.Errorf(foyer.Forbidden, "this link is for %s, which is no verified domain of %s (it has %s): sign in with an account of the right organization, or ask for a link for one of these domains",
		link.For, t.Name, cmp.Or(has, "none"))
}

// maxText is the most bytes of a text that others wrote, or that tells of what they wrote.
const maxText = 2000

// cleanText returns a text of others as every database takes it: UTF-8 without control characters but for the ends of lines, and not long.
func cleanText(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}

// cleanLine is cleanText for what stands in one line, and is shorter.
func cleanLine(text string) string {
	text = strings.TrimSpace(strings.ReplaceAll(cleanText(text), "\n", " "))
	if len(text) > maxName {
		text = strings.ToValidUTF8(text[:maxName], "")
	}
	return text
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

// heldElsewhere tells whether a tenant is another organization's too.
func (s *Store) heldElsewhere(ctx context.Context, org foyer.OrgID, tenant Tenant) (held bool, err error) {
	err = s.snapshot(ctx, everyOrg, "look for the tenant", func(t *txn) error {
		var others int
		err := t.get(`SELECT COUNT(*) FROM entra_tenant WHERE tenant = $1 AND org <> $2`, []any{tenant.ID, org}, &others)
		held = others > 0
		return err
	})
	return held, err
}

// holdTenant notes that a tenant is an organization's. What other organization has it nobody is told. elsewhere: another one had it just now; of two who come at once the key
// lets one in.
func holdTenant(t *txn, org foyer.OrgID, link foyer.EntraLink, tenant Tenant, source foyer.SourceID, elsewhere bool) error {
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
	n, err := int64(0), error(nil)
	if link.Shared || !elsewhere {
		n, err = t.count(`INSERT INTO entra_tenant (tenant, slot, org, source) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, tenant.ID, slot, org, source)
	}
	if err == nil && n == 0 {
		err = foyer.Errorf(foyer.Conflict, "%s is connected to another organization here. Whoever runs Foyer can make a link that lets both have it", tenant.Name)
	}
	return err
}

const connectionColumns = `source, tenant, tenant_name, domains, state, settings, people, problem, failures, connected_at, checked_at, next_at, version`

func scanConnection(rows *sql.Rows) (c foyer.Connection, err error) {
	var domains, settings []byte
	var connected, checked, next int64
	err = rows.Scan(&c.Source, &c.Tenant, &c.TenantName, &domains, &c.State, &settings, &c.People, &c.Problem, &c.Failures, &connected, &checked, &next, &c.Version)
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
		// The row is taken before it is read: a reading that ends at the same moment waits, or is seen.
		if err := t.exec(`UPDATE entra_connection SET version = version + 1 WHERE org = $1 AND source = $2`, org, source); err != nil {
			return err
		}
		before, err := readConnection(t, org, source)
		if err != nil {
			return err
		}
		if c, err = s.editConnection(t, before, org, edit); err != nil {
			return err
		}
		if act == "resync" || listsOthers(before.Settings, c.Settings) || before.State == foyer.Disconnected && c.State != before.State {
			if err := readAnew(t, org, source); err != nil {
				return err
			}
		}
		if before.State != c.State {
			if err := forgetTenant(t, org, &c); err != nil {
				return err
			}
		}
		return s.audit(t, caller, org, "entra."+act, source.String(), "state="+string(c.State))
	})
	if err != nil {
		return foyer.Connection{}, err
	}
	return c, nil
}

// editConnection changes what may be changed of a connection.
func (s *Store) editConnection(t *txn, before foyer.Connection, org foyer.OrgID, edit func(*foyer.Connection) error) (c foyer.Connection, err error) {
	now := before
	now.Domains = slices.Clone(before.Domains)
	if err := edit(&now); err != nil {
		return c, err
	}
	c = before
	c.State, c.Settings, c.NextAt, c.Failures, c.Problem = now.State, now.Settings, now.NextAt, now.Failures, cleanText(now.Problem)
	tenant := Tenant{ID: before.Tenant, Name: now.TenantName, Domains: now.Domains}
	sites, err := readSites(t, org)
	if err = errors.Join(err, tenant.clean()); err != nil {
		return c, err
	}
	c.TenantName, c.Domains = tenant.Name, tenant.Domains
	if err := c.Settings.Check(sites); err != nil {
		return c, err
	}
	if !slices.Contains([]foyer.ConnectionState{foyer.Consenting, foyer.Confirming, foyer.Connected, foyer.Paused, foyer.Disconnected, foyer.Removed}, c.State) {
		return c, fmt.Errorf("there is no state %q of a connection", c.State)
	}
	settings, err := json.Marshal(c.Settings)
	if err != nil {
		return c, err
	}
	domains, err := json.Marshal(c.Domains)
	if err != nil {
		return c, err
	}
	const q = `UPDATE entra_connection SET state = $1, settings = $2, next_at = $3, failures = $4, problem = $5, tenant_name = $6, domains = $7 WHERE org = $8 AND source = $9`
	return c, t.exec(q, c.State, string(settings), millis(c.NextAt), c.Failures, c.Problem, c.TenantName, string(domains), org, c.Source)
}

// listsOthers tells whether settings may list others than those who were kept under the ones before.
func listsOthers(before, after foyer.EntraSettings) bool {
	return before.Guests != after.Guests || before.PrincipalNames != after.PrincipalNames || before.LeaveDisabled != after.LeaveDisabled
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
		oweEmpty(t, org, 0), // or SQLite's log would keep it
		t.exec(`DELETE FROM entra_person WHERE org = $1 AND source = $2`, org, c.Source),
		t.exec(`DELETE FROM entra_visit WHERE org = $1 AND source = $2`, org, c.Source),
		t.exec(`DELETE FROM entra_tenant WHERE org = $1 AND source = $2`, org, c.Source),
		t.exec(`DELETE FROM entra_connection WHERE org = $1 AND source = $2`, org, c.Source),
	)
}

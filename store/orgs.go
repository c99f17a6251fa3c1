package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base32"
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"foyer"
	"foyer/match"
)

// idAlphabet makes ids and secrets that survive being pasted into a form unescaped and read out over the phone.
var idAlphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// orgIDLength is the length of an OrgID: 30 random bits.
const orgIDLength = 6

// CreateOrg makes an organization. Its slug is made from the name; foyer.Conflict where it is taken.
func (s *Store) CreateOrg(ctx context.Context, caller foyer.Caller, name, country string) (foyer.Org, error) {
	o := foyer.Org{Name: strings.TrimSpace(name), Country: strings.ToUpper(country), CreatedAt: s.clock()}
	o.Slug = slug(o.Name)
	if err := caller.May(foyer.Operate, ""); err != nil {
		return o, err
	}
	if err := checkName("an organization", o.Name); err != nil {
		return o, err
	}
	if o.Slug == "" {
		return o, foyer.Errorf(foyer.Invalid, "the name %q holds no letter or digit from a to z; give one that does", name)
	}
	taken := foyer.Errorf(foyer.Conflict, "there is an organization %q already; give another name", o.Slug)
	err := s.snapshot(ctx, everyOrg, "look for the organization", func(t *txn) error {
		known, err := readOrgs(t, `WHERE slug = $1`, o.Slug)
		if err == nil && len(known) > 0 {
			return taken
		}
		if err == nil {
			o.ID, err = newOrgID(t)
		}
		return err
	})
	if err != nil {
		return o, err
	}
	err = s.transact(ctx, o.ID, "create the organization", func(t *txn) error {
		const insertOrg = `INSERT INTO org (id, slug, name, country, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`
		made, err := t.count(insertOrg, o.ID, o.Slug, o.Name, o.Country, millis(o.CreatedAt))
		if err != nil {
			return err
		}
		if made == 0 {
			return taken // by somebody else at the same moment
		}
		if err := t.exec(`INSERT INTO book (org, version, settings, next_entry, next_site, next_source) VALUES ($1, 1, 1, 1, 1, 1)`, o.ID); err != nil {
			return err
		}
		return s.audit(t, caller, o.ID, "org.create", string(o.ID), "slug="+o.Slug)
	})
	return o, err
}

// maxName is the most bytes that a name may have.
const maxName = 200

// checkName refuses a name that not every database takes, or that no screen shows.
func checkName(of, name string) error {
	if len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return foyer.Errorf(foyer.Invalid, "the name of %s is at most %d bytes of UTF-8, in one line", of, maxName)
	}
	return nil
}

// newOrgID draws an id that no organization has. Organizations are never removed, so none is given twice.
func newOrgID(t *txn) (foyer.OrgID, error) {
	for {
		random := make([]byte, 5)
		rand.Read(random)
		id := foyer.OrgID(idAlphabet.EncodeToString(random)[:orgIDLength])
		taken, err := readOrgs(t, `WHERE id = $1`, id)
		if err != nil || len(taken) == 0 {
			return id, err
		}
	}
}

// slug returns the name in lower-case ASCII letters and digits, without accents, with hyphens between words.
func slug(name string) string {
	var words []string
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) }) {
		word = strings.Map(func(r rune) rune {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
				return -1
			}
			return r
		}, match.Fold(word))
		if word != "" {
			words = append(words, word)
		}
	}
	return strings.Join(words, "-")
}

// Orgs lists the organizations: the operator's list.
func (s *Store) Orgs(ctx context.Context, caller foyer.Caller) (orgs []foyer.Org, err error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return nil, err
	}
	err = s.snapshot(ctx, everyOrg, "list the organizations", func(t *txn) error {
		orgs, err = readOrgs(t, `ORDER BY slug`)
		return err
	})
	return orgs, err
}

// FindOrg returns the organization of that name, slug or id; foyer.NotFound where there is none.
func (s *Store) FindOrg(ctx context.Context, caller foyer.Caller, name string) (o foyer.Org, err error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return o, err
	}
	err = s.snapshot(ctx, everyOrg, "find the organization", func(t *txn) error {
		orgs, err := readOrgs(t, `WHERE slug = $1 OR slug = $2 OR id = $1 ORDER BY slug = $1 DESC`, strings.ToLower(name), slug(name))
		if err == nil && len(orgs) == 0 {
			return foyer.Errorf(foyer.NotFound, "there is no organization %q; foyer org list shows them", name)
		}
		if err == nil {
			o = orgs[0]
		}
		return err
	})
	return o, err
}

func readOrgs(t *txn, query string, args ...any) (orgs []foyer.Org, err error) {
	err = t.each(`SELECT id, slug, name, country, created_at FROM org `+query, args, func(rows *sql.Rows) error {
		var o foyer.Org
		var created int64
		err := rows.Scan(&o.ID, &o.Slug, &o.Name, &o.Country, &created)
		o.CreatedAt = fromMillis(created)
		orgs = append(orgs, o)
		return err
	})
	return orgs, err
}

func readOrg(t *txn, org foyer.OrgID) (foyer.Org, error) {
	orgs, err := readOrgs(t, `WHERE id = $1`, org)
	if err == nil && len(orgs) == 0 {
		err = foyer.Errorf(foyer.NotFound, "there is no such organization")
	}
	if err != nil {
		return foyer.Org{}, err
	}
	return orgs[0], nil
}

// changeSettings runs fn in a transaction that holds the organization's book, and notes that what decides a row's outcome changed (R17), and the act.
func (s *Store) changeSettings(ctx context.Context, caller foyer.Caller, org foyer.OrgID, act string, fn func(*txn) (target, detail string, err error)) error {
	if err := caller.May(foyer.Administer, org); err != nil {
		return err
	}
	return s.transact(ctx, org, act, func(t *txn) error {
		if _, err := readOrg(t, org); err != nil {
			return err
		}
		if err := t.exec(`UPDATE book SET version = version + 1, settings = settings + 1 WHERE org = $1`, org); err != nil {
			return err
		}
		target, detail, err := fn(t)
		if err != nil {
			return err
		}
		return s.audit(t, caller, org, act, target, detail)
	})
}

// takeID takes the next number of a kind of thing; counter is a column of book.
func takeID(t *txn, org foyer.OrgID, counter string) (id int64, err error) {
	if err := t.exec(`UPDATE book SET `+counter+` = `+counter+` + 1 WHERE org = $1`, org); err != nil {
		return 0, err
	}
	err = t.get(`SELECT `+counter+` - 1 FROM book WHERE org = $1`, []any{org}, &id)
	return id, err
}

// CreateSite makes a site. Its name and aliases must differ from those of the organization's other sites by more than case, accents and spacing (R14).
func (s *Store) CreateSite(ctx context.Context, caller foyer.Caller, org foyer.OrgID, site foyer.Site) (foyer.Site, error) {
	err := s.changeSettings(ctx, caller, org, "site.create", func(t *txn) (target, detail string, err error) {
		sites, err := readSites(t, org)
		if err != nil {
			return "", "", err
		}
		if err := checkSiteNames(site, sites); err != nil {
			return "", "", err
		}
		id, err := takeID(t, org, "next_site")
		if err != nil {
			return "", "", err
		}
		site.ID = foyer.SiteID(id)
		aliases, err := json.Marshal(append([]string{}, site.Aliases...))
		if err != nil {
			return "", "", err
		}
		err = t.exec(`INSERT INTO site (org, id, name, aliases) VALUES ($1, $2, $3, $4)`, org, site.ID, site.Name, string(aliases))
		return site.ID.String(), "", err
	})
	return site, err
}

// EditSite changes the name and the aliases of a site. A site that is renamed keeps its old name as an alias (R14).
func (s *Store) EditSite(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id foyer.SiteID, edit func(*foyer.Site)) (site foyer.Site, err error) {
	err = s.changeSettings(ctx, caller, org, "site.edit", func(t *txn) (target, detail string, err error) {
		sites, err := readSites(t, org)
		if err != nil {
			return "", "", err
		}
		at := slices.IndexFunc(sites, func(s foyer.Site) bool { return s.ID == id })
		if at < 0 {
			return "", "", foyer.Errorf(foyer.NotFound, "there is no site %v", id)
		}
		site = sites[at]
		before := site.Name
		edit(&site)
		if match.Fold(site.Name) != match.Fold(before) {
			site.Aliases = append(site.Aliases, before)
		}
		site.Aliases = distinct(site)
		if err := checkSiteNames(site, slices.Delete(sites, at, at+1)); err != nil {
			return "", "", err
		}
		aliases, err := json.Marshal(site.Aliases)
		if err != nil {
			return "", "", err
		}
		err = t.exec(`UPDATE site SET name = $1, aliases = $2 WHERE org = $3 AND id = $4`, site.Name, string(aliases), org, id)
		return site.ID.String(), "", err
	})
	return site, err
}

// distinct returns the aliases of a site that differ from its name and from one another by more than case, accents and spacing.
func distinct(site foyer.Site) []string {
	aliases, met := []string{}, map[string]bool{match.Fold(site.Name): true}
	for _, alias := range site.Aliases {
		if folded := match.Fold(alias); !met[folded] {
			met[folded] = true
			aliases = append(aliases, alias)
		}
	}
	return aliases
}

func checkSiteNames(site foyer.Site, others []foyer.Site) error {
	taken := map[string]string{}
	for _, other := range others {
		for _, name := range append([]string{other.Name}, other.Aliases...) {
			taken[match.Fold(name)] = other.Name
		}
	}
	for _, name := range append([]string{site.Name}, site.Aliases...) {
		if err := checkName("a site", name); err != nil {
			return err
		}
		folded := match.Fold(name)
		switch {
		case folded == "":
			return foyer.Errorf(foyer.Invalid, "the name of a site is empty")
		case strings.Contains(name, ";"):
			return foyer.Errorf(foyer.Invalid, `the name %q holds a ";", which separates sites in a file; leave it out`, name)
		case taken[folded] != "":
			return foyer.Errorf(foyer.Conflict, "%q is a name of the site %q already", name, taken[folded])
		}
	}
	return nil
}

// Sites lists an organization's sites.
func (s *Store) Sites(ctx context.Context, caller foyer.Caller, org foyer.OrgID) (sites []foyer.Site, err error) {
	err = s.View(ctx, caller, org, func(b *Book) error {
		sites = b.Sites
		return nil
	})
	return sites, err
}

func readSites(t *txn, org foyer.OrgID) (sites []foyer.Site, err error) {
	err = t.each(`SELECT id, name, aliases FROM site WHERE org = $1 ORDER BY id`, []any{org}, func(rows *sql.Rows) error {
		var site foyer.Site
		var aliases []byte
		if err := rows.Scan(&site.ID, &site.Name, &aliases); err != nil {
			return err
		}
		sites = append(sites, site)
		return json.Unmarshal(aliases, &sites[len(sites)-1].Aliases)
	})
	return sites, err
}

// OrgOf returns the organization of a caller that has one: a key's.
func (s *Store) OrgOf(ctx context.Context, caller foyer.Caller) (o foyer.Org, err error) {
	err = s.identify(ctx, caller.Org, "read the organization", func(t *txn) error {
		o, err = readOrg(t, caller.Org)
		return err
	})
	return o, err
}

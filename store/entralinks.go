package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"foyer"
)

// The steps of a visit. The state of the first two is what Microsoft must give back, within minutes and once; a session is a cookie.
const (
	StepSignIn  = "sign-in"
	StepConsent = "consent"
	StepSession = "session"
)

// visitLife is how long each step may take.
var visitLife = map[string]time.Duration{StepSignIn: 10 * time.Minute, StepConsent: 10 * time.Minute, StepSession: 12 * time.Hour}

// Visit is somebody on the way through the pages of a link.
type Visit struct {
	Org       foyer.OrgID
	Step      string
	Link      int64
	Source    foyer.SourceID // 0: nothing is bound yet
	Visitor   string         // who signed in
	ExpiresAt time.Time
}

// newToken returns 256 random bits, which name their organization, and what is stored of them.
func (s *Store) newToken(org foyer.OrgID) (token string, mac []byte) {
	random := make([]byte, 32)
	rand.Read(random)
	token = string(org) + "." + base64.RawURLEncoding.EncodeToString(random)
	return token, s.tokenMAC(token)
}

func (s *Store) tokenMAC(token string) []byte {
	mac := hmac.New(sha256.New, s.vault.Key("connect"))
	mac.Write([]byte(token))
	return mac.Sum(nil)
}

// orgOfToken returns the organization that a token names; "" where it can be none.
func orgOfToken(token string) foyer.OrgID {
	org, random, ok := strings.Cut(token, ".")
	if !ok || len(random) != 43 || len(org) != orgIDLength || strings.Trim(org, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		return ""
	}
	return foyer.OrgID(org)
}

// CreateEntraLink makes a link to connect a tenant with, and returns its token, which is shown this once.
func (s *Store) CreateEntraLink(ctx context.Context, caller foyer.Caller, org foyer.OrgID, link foyer.EntraLink) (token string, made foyer.EntraLink, err error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return "", link, err
	}
	if link.AnyTenant || link.Shared { // it could make a tenant somebody's whose it is not
		if err := caller.May(foyer.Operate, org); err != nil {
			return "", link, err
		}
	}
	if err := checkLink(&link, s.clock()); err != nil {
		return "", link, err
	}
	token, mac := s.newToken(org)
	err = s.transact(ctx, org, "make the link", func(t *txn) error {
		if _, err := readOrg(t, org); err != nil {
			return err
		}
		if link.Site != 0 {
			var name string
			err := t.get(`SELECT name FROM site WHERE org = $1 AND id = $2`, []any{org, link.Site}, &name)
			if errors.Is(err, sql.ErrNoRows) {
				return foyer.Errorf(foyer.NotFound, "there is no site %v", link.Site)
			} else if err != nil {
				return err
			}
		}
		if link.ID, err = takeID(t, org, "next_link"); err != nil {
			return err
		}
		link.CreatedAt = t.now
		const q = `INSERT INTO entra_link (org, id, mac, made_for, any_tenant, shared, name, site, created_at, expires_at, used_at, source) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0)`
		err := t.exec(q, org, link.ID, mac, link.For, flag(link.AnyTenant), flag(link.Shared), link.Name, link.Site, millis(link.CreatedAt), millis(link.ExpiresAt))
		if err != nil {
			return err
		}
		return s.audit(t, caller, org, "entra.link", linkName(link.ID), fmt.Sprintf("for=%s any=%v site=%v shared=%v expires=%d", link.For, link.AnyTenant, link.Site, link.Shared, millis(link.ExpiresAt)))
	})
	if err != nil {
		return "", link, err
	}
	return token, link, nil
}

func linkName(id int64) string { return fmt.Sprintf("link-%d", id) }

// maxLinkName leaves room behind the name of a source for a number.
const maxLinkName = maxName - 10

func checkLink(link *foyer.EntraLink, now time.Time) error {
	link.For, link.Name = strings.ToLower(strings.Trim(link.For, " @")), strings.TrimSpace(link.Name)
	link.UsedAt, link.Source = time.Time{}, 0
	if link.Name == "" {
		link.Name = "entra"
	}
	if link.ExpiresAt.IsZero() {
		link.ExpiresAt = now.Add(foyer.LinkLife)
	}
	switch {
	case link.For == "" && !link.AnyTenant:
		return foyer.Errorf(foyer.Invalid, "say for which domain, or which tenant, the link is: whoever gets it could connect a tenant of their own otherwise")
	case link.For != "" && !isDomain(link.For) && !isTenantID(link.For):
		return foyer.Errorf(foyer.Invalid, "%.80q is neither a domain nor the id of a tenant", link.For)
	case link.ExpiresAt.After(now.Add(foyer.LinkLife)) || !link.ExpiresAt.After(now):
		return foyer.Errorf(foyer.Invalid, "a link can be used for at most %d hours, beginning now", int(foyer.LinkLife.Hours()))
	case len(link.Name) > maxLinkName:
		return foyer.Errorf(foyer.Invalid, "the name of the source that a link makes is at most %d bytes", maxLinkName)
	}
	return checkName("a source", link.Name)
}

// isDomain tells whether a text may be a domain: words with dots between.
func isDomain(text string) bool {
	return len(text) <= 253 && strings.Contains(text, ".") && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '.' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
}

// isTenantID tells whether a text is a UUID.
func isTenantID(text string) bool {
	digits, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	return err == nil && len(digits) == 16 && len(text) == 36
}

const linkColumns = `id, made_for, any_tenant, shared, name, site, created_at, expires_at, used_at, source`

func scanLink(rows *sql.Rows) (link foyer.EntraLink, err error) {
	var created, expires, used int64
	err = rows.Scan(&link.ID, &link.For, &link.AnyTenant, &link.Shared, &link.Name, &link.Site, &created, &expires, &used, &link.Source)
	link.CreatedAt, link.ExpiresAt, link.UsedAt = fromMillis(created), fromMillis(expires), fromMillis(used)
	return link, err
}

// errNoLink says nothing of whether there is such a link.
var errNoLink = foyer.Errorf(foyer.NotFound, "this link cannot be used: it was used already, it has ended, or it is not whole. Ask whoever sent it for a new one")

// readLink returns a link that can be used still; errNoLink where it cannot.
func readLink(t *txn, org foyer.OrgID, where string, arg any) (link foyer.EntraLink, err error) {
	found := false
	err = t.each(`SELECT `+linkColumns+` FROM entra_link WHERE org = $1 AND `+where, []any{org, arg}, func(rows *sql.Rows) error {
		found = true
		link, err = scanLink(rows)
		return err
	})
	if err == nil && (!found || !link.UsedAt.IsZero() || !link.ExpiresAt.After(t.now)) {
		err = errNoLink
	}
	if err != nil {
		return foyer.EntraLink{}, err
	}
	return link, nil
}

// FollowEntraLink returns whose link a token is; foyer.NotFound where it cannot be used, whatever the reason. The token is all that is asked for.
func (s *Store) FollowEntraLink(ctx context.Context, token string) (org foyer.Org, link foyer.EntraLink, err error) {
	id := orgOfToken(token)
	if id == "" {
		return org, link, errNoLink
	}
	err = s.identify(ctx, id, "follow the link", func(t *txn) error {
		if link, err = readLink(t, id, "mac = $2", s.tokenMAC(token)); err != nil {
			return err
		}
		org, err = readOrg(t, id)
		return err
	})
	return org, link, err
}

// BeginVisit notes that somebody takes a step, and returns the token that they must come back with: the state, or a session's cookie. browser is what their
// browser is told apart by.
func (s *Store) BeginVisit(ctx context.Context, v Visit, browser string) (token string, err error) {
	if visitLife[v.Step] == 0 || browser == "" {
		return "", fmt.Errorf("begin the visit: the step is %q, and it must be known whose browser it is", v.Step)
	}
	token, mac := s.newToken(v.Org)
	err = s.beside(ctx, v.Org, "begin the visit", func(t *txn) error {
		if err := t.exec(`DELETE FROM entra_visit WHERE org = $1 AND expires_at <= $2`, v.Org, millis(t.now)); err != nil {
			return err
		}
		if v.Step == StepSignIn {
			if _, err := readLink(t, v.Org, "id = $2", v.Link); err != nil {
				return err
			}
		}
		const q = `INSERT INTO entra_visit (org, mac, step, link, source, browser, visitor, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
		return t.exec(q, v.Org, mac, v.Step, v.Link, v.Source, s.tokenMAC(browser), cleanLine(v.Visitor), millis(t.now.Add(visitLife[v.Step])))
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// TakeVisit returns the visit of a state that came back, once: it cannot be taken again. foyer.Forbidden where there is none, it is for another step or has ended,
// or another browser brings it.
func (s *Store) TakeVisit(ctx context.Context, token, step, browser string) (v Visit, err error) {
	org := orgOfToken(token)
	refused := foyer.Errorf(foyer.Forbidden, "this page was reached in a way that Foyer did not begin, or too late, or twice: nothing was changed. Open the link again, in one browser")
	if org == "" {
		return v, refused
	}
	err = s.beside(ctx, org, "take the visit", func(t *txn) error {
		if v, err = s.readVisit(t, org, token, step, browser); err != nil {
			return err
		}
		taken, err := t.count(`DELETE FROM entra_visit WHERE org = $1 AND mac = $2`, org, s.tokenMAC(token))
		if err == nil && taken == 0 { // by another request at the same moment
			err = errNoVisit
		}
		return err
	})
	if errors.Is(err, errNoVisit) {
		err = refused
	}
	if err != nil {
		return Visit{}, err
	}
	return v, nil
}

// Session returns the visit of a session's cookie; foyer.Unauthenticated where there is none.
func (s *Store) Session(ctx context.Context, token, browser string) (v Visit, err error) {
	org := orgOfToken(token)
	ended := foyer.Errorf(foyer.Unauthenticated, "your visit to this page has ended; foyer entra status shows how the connection stands")
	if org == "" {
		return v, ended
	}
	err = s.identify(ctx, org, "look for the session", func(t *txn) error {
		v, err = s.readVisit(t, org, token, StepSession, browser)
		return err
	})
	if errors.Is(err, errNoVisit) {
		err = ended
	}
	if err != nil {
		return Visit{}, err
	}
	return v, nil
}

var errNoVisit = errors.New("there is no such visit")

// readVisit returns the visit of a token; errNoVisit where there is none, it is at another step or over, or the browser is another.
func (s *Store) readVisit(t *txn, org foyer.OrgID, token, step, browser string) (v Visit, err error) {
	var expires int64
	var of []byte
	const q = `SELECT step, link, source, browser, visitor, expires_at FROM entra_visit WHERE org = $1 AND mac = $2`
	err = t.get(q, []any{org, s.tokenMAC(token)}, &v.Step, &v.Link, &v.Source, &of, &v.Visitor, &expires)
	v.Org, v.ExpiresAt = org, fromMillis(expires)
	if errors.Is(err, sql.ErrNoRows) || err == nil && (v.Step != step || !hmac.Equal(of, s.tokenMAC(browser)) || !v.ExpiresAt.After(t.now)) {
		err = errNoVisit
	}
	return v, err
}

// RefuseVisit notes in the audit that somebody who followed a link was refused, and why.
func (s *Store) RefuseVisit(ctx context.Context, caller foyer.Caller, org foyer.OrgID, link int64, why string) error {
	if err := caller.May(foyer.ConnectDirectory, org); err != nil {
		return err
	}
	return s.beside(ctx, org, "note the refusal", func(t *txn) error {
		if _, err := readOrg(t, org); err != nil {
			return err
		}
		return s.audit(t, caller, org, "entra.refuse", linkName(link), cleanLine(why))
	})
}

// EntraLinks lists an organization's links, the newest first.
func (s *Store) EntraLinks(ctx context.Context, caller foyer.Caller, org foyer.OrgID) (links []foyer.EntraLink, err error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return nil, err
	}
	err = s.snapshot(ctx, org, "list the links", func(t *txn) error {
		return t.each(`SELECT `+linkColumns+` FROM entra_link WHERE org = $1 ORDER BY id DESC`, []any{org}, func(rows *sql.Rows) error {
			link, err := scanLink(rows)
			links = append(links, link)
			return err
		})
	})
	return links, err
}

// RevokeEntraLink ends a link, and the visits of whoever came by it; foyer.NotFound where neither is there.
func (s *Store) RevokeEntraLink(ctx context.Context, caller foyer.Caller, org foyer.OrgID, id int64) error {
	if err := caller.May(foyer.Administer, org); err != nil {
		return err
	}
	return s.transact(ctx, org, "revoke the link", func(t *txn) error {
		n, err := t.count(`UPDATE entra_link SET expires_at = $1 WHERE org = $2 AND id = $3 AND used_at = 0 AND expires_at > $1`, millis(t.now), org, id)
		if err != nil {
			return err
		}
		visits, err := t.count(`DELETE FROM entra_visit WHERE org = $1 AND link = $2`, org, id)
		if err == nil && n+visits == 0 {
			err = foyer.Errorf(foyer.NotFound, "there is no link %d that could be used, and nobody is there who came by it; foyer entra links shows them", id)
		}
		if err != nil {
			return err
		}
		return s.audit(t, caller, org, "entra.unlink", linkName(id), fmt.Sprintf("visits=%d", visits))
	})
}

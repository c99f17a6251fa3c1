package directory

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// noAttributes asks for the names of entries alone (RFC 4511 §4.5.1.8).
const noAttributes = "1.1"

// scopes are what the setting stands for.
var scopes = map[string]int{"subtree": ldap.ScopeWholeSubtree, "one": ldap.ScopeSingleLevel, "base": ldap.ScopeBaseObject}

// search calls each for every entry below base that matches, page by page (RFC 2696). It returns nil only if the directory said of every page
// that it is complete, and of none that more is elsewhere.
func (s *session) search(base string, scope int, filter string, attributes []string, each func(*ldap.Entry) error) error {
	paging := ldap.NewControlPaging(uint32(s.PageSize))
	req := ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, 0, 0, false, filter, attributes, []ldap.Control{paging})
	for page := 1; ; page++ {
		result, err := s.conn.Search(req)
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if err != nil {
			return fmt.Errorf("search below %q with %s, page %d: %w", base, filter, page, explain(err))
		}
		if err := s.elsewhere(base, result.Referrals); err != nil {
			return err
		}
		for _, entry := range result.Entries {
			if err := each(entry); err != nil {
				return err
			}
		}
		if s.Progress != nil {
			s.Progress(len(s.people))
		}
		answer, ok := ldap.FindControl(result.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !ok && page > 1 {
			return fmt.Errorf("search below %q: the directory forgot at page %d that it gives pages, so it may have cut the rest; try again", base, page)
		}
		if !ok || len(answer.Cookie) == 0 {
			return nil
		}
		paging.SetCookie(answer.Cookie)
	}
}

// elsewhere judges references to parts of the tree that this directory does not hold (RFC 4511 §4.5.3): what is missing is refused, unless it is set to be
// ignored, or holds no people by its nature.
func (s *session) elsewhere(base string, referrals []string) error {
	for _, referral := range referrals {
		if s.Referrals == IgnoreReferrals || s.holdsNobody(referral) {
			s.result.Ignored++
			continue
		}
		return fmt.Errorf("below %q the directory refers to %s for a part of the tree, and whoever is there would be missing: "+
			`make it a [[directory]] of its own and name the part in exclude, choose narrower bases, or set referrals = "ignore"`, base, referral)
	}
	return nil
}

// holdsNobody tells whether a reference leads to where no people are: a partition of Active Directory for names or settings, or what is excluded.
func (s *session) holdsNobody(referral string) bool {
	u, err := url.Parse(referral)
	if err != nil {
		return false
	}
	name := strings.TrimPrefix(u.Path, "/")
	if s.Kind == ActiveDirectory {
		first, _, _ := strings.Cut(strings.ToLower(name), ",")
		switch first {
		case "dc=domaindnszones", "dc=forestdnszones", "cn=configuration", "cn=schema":
			return true
		}
	}
	return isBelowAny(name, s.Exclude)
}

// read returns one entry; nil where there is none of that name, or it is in another directory.
func (s *session) read(dn string, attributes ...string) (*ldap.Entry, error) {
	entry, err := s.look(dn, attributes...)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultReferral) {
		return nil, nil
	}
	return entry, err
}

// look returns one entry; nil where there is none of that name. That it is in another directory is an error.
func (s *session) look(dn string, attributes ...string) (*ldap.Entry, error) {
	req := ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", attributes, nil)
	result, err := s.conn.Search(req)
	if done := s.ctx.Err(); done != nil {
		return nil, done
	}
	if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", dn, explain(err))
	}
	if len(result.Entries) == 0 { // hidden by access rules, or a reference
		return nil, nil
	}
	return result.Entries[0], nil
}

// errLoop says that a directory gives the same range again.
var errLoop = errors.New("the directory gives the same range of values again")

// values returns all values of an entry's attribute, which may come in ranges: Active Directory gives 1,500 at a time. first holds
// what was read of the entry already.
func (s *session) values(first *ldap.Entry, attribute string) ([]string, error) {
	var all []string
	for entry := first; ; {
		got, next, last := rangeOf(entry, attribute)
		if len(got) == 0 && entry != first {
			return nil, fmt.Errorf("read %s of %q: the values after the first %d did not come; try again", attribute, first.DN, len(all))
		}
		all = append(all, got...)
		if last {
			return all, nil
		}
		if next <= 0 || next != len(all) {
			return nil, fmt.Errorf("read %s of %q: %w", attribute, first.DN, errLoop)
		}
		var err error
		entry, err = s.read(first.DN, fmt.Sprintf("%s;range=%d-*", attribute, next))
		if err != nil {
			return nil, err
		}
		if entry == nil {
			return nil, fmt.Errorf("read %s of %q: the entry vanished meanwhile; try again", attribute, first.DN)
		}
	}
}

// rangeOf returns the values of an attribute that an entry holds, which range comes next, and whether these are the last.
func rangeOf(entry *ldap.Entry, attribute string) (values []string, next int, last bool) {
	for _, a := range entry.Attributes {
		name, options, _ := strings.Cut(a.Name, ";")
		if !strings.EqualFold(name, attribute) {
			continue
		}
		var from, to int
		option := strings.ToLower(options)
		if n, _ := fmt.Sscanf(option, "range=%d-%d", &from, &to); n == 2 {
			return a.Values, to + 1, false
		}
		if strings.HasPrefix(option, "range=") || len(a.Values) > 0 {
			return a.Values, 0, true
		}
	}
	return nil, 0, true
}

// keyOf returns a distinguished name such that two spellings of one name are the same.
func keyOf(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return strings.ToLower(dn)
	}
	return strings.ToLower(parsed.String())
}

// isBelowAny tells whether an entry is one of those or below one.
func isBelowAny(dn string, ancestors []string) bool {
	if len(ancestors) == 0 {
		return false
	}
	name, err := ldap.ParseDN(dn)
	if err != nil { // written in a way that the library does not know: whom exclude means must not pass for that
		return slices.ContainsFunc(ancestors, func(above string) bool {
			return strings.EqualFold(dn, above) || strings.HasSuffix(strings.ToLower(dn), ","+keyOf(above))
		})
	}
	return slices.ContainsFunc(ancestors, func(above string) bool {
		ancestor, err := ldap.ParseDN(above)
		return err == nil && (ancestor.EqualFold(name) || ancestor.AncestorOfFold(name))
	})
}

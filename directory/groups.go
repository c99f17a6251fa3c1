package directory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// membership is who belongs to a group, directly or through groups in it: by a filter that the directory judges, or by names that were collected.
type membership struct {
	filter string          // "" where the names say it
	names  map[string]bool // keys of distinguished names
	uids   map[string]bool // of groups that list users by uid (RFC 2307), in lower case
}

// has tells whether an entry is among the collected names.
func (m *membership) has(e *ldap.Entry) bool {
	if m.names[keyOf(e.DN)] {
		return true
	}
	return len(m.uids) > 0 && slices.ContainsFunc(e.GetEqualFoldAttributeValues("uid"), func(uid string) bool { return m.uids[strings.ToLower(uid)] })
}

// memberAttributes are those by which groups name their members.
var memberAttributes = []string{"member", "uniqueMember"}

// group finds out how to tell who belongs to a group. A group that does not exist is an error: it has no members only in appearance.
func (s *session) group(dn string) (*membership, error) {
	if m, ok := s.groups[keyOf(dn)]; ok {
		return m, nil
	}
	entry, err := s.read(dn, append([]string{"objectClass", "objectSid", "memberUid"}, memberAttributes...)...)
	if err != nil {
		return nil, err
	}
	if entry == nil {
		return nil, fmt.Errorf("there is no group %q, or this account may not see it; write its distinguished name as the directory shows it", dn)
	}
	m := &membership{}
	switch s.Nesting {
	case InChain:
		m.filter, err = s.inChain(entry)
	case MemberOf:
		m.filter, err = s.memberOf(entry)
	default:
		m.names, m.uids = map[string]bool{}, map[string]bool{}
		err = s.collect(entry, m)
	}
	if err == nil {
		err = s.checkMembers(entry.DN, m)
	}
	if err != nil {
		return nil, err
	}
	s.groups[keyOf(dn)] = m
	return m, nil
}

// checkMembers returns an error for a group of which no member at all is to be seen: this account may have lost the right to, as with a base.
func (s *session) checkMembers(dn string, m *membership) error {
	here := *s // whoever is seen is enough, wherever others are
	here.Referrals, here.result, here.Progress = IgnoreReferrals, &Result{}, nil
	err := error(nil)
	switch {
	case m.filter == "" && len(m.names)+len(m.uids) > 1: // the group itself is among the names
		err = errFound
	case m.filter != "":
		for _, base := range s.Bases {
			if err == nil {
				err = here.search(base, scopes[s.Scope], "(&"+s.Filter+m.filter+")", []string{noAttributes}, func(*ldap.Entry) error { return errFound })
			}
		}
		if err == nil { // perhaps there are members elsewhere
			err = here.search(domainOf(dn), ldap.ScopeWholeSubtree, m.filter, []string{noAttributes}, func(*ldap.Entry) error { return errFound })
		}
	}
	if errors.Is(err, errFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("no member of the group %q is to be seen: may this account read its members? If it is empty for good, take it out of the settings", dn)
}

// inChain returns the filter by which Active Directory follows membership itself (LDAP_MATCHING_RULE_IN_CHAIN, MS-ADTS §3.1.1.3.4.4.3). It does not know who has a
// group as the primary one, which is stored with the user, by the last part of the group's SID: those are asked for beside.
func (s *session) inChain(group *ldap.Entry) (string, error) {
	rule := fmt.Sprintf("(memberOf:1.2.840.113556.1.4.1941:=%s)", ldap.EscapeFilter(group.DN))
	filter := rule + primaryOf(group)
	here := *s // a primary group is of the user's own domain: what its root refers to does not matter
	here.Referrals, here.result = IgnoreReferrals, &Result{}
	err := here.search(domainOf(group.DN), ldap.ScopeWholeSubtree, "(&(objectCategory=group)"+rule+")", []string{"objectSid"}, func(nested *ldap.Entry) error {
		filter += primaryOf(nested)
		return nil
	})
	return "(|" + filter + ")", err
}

// primaryOf returns a filter for users whose primary group an entry is; "" where the directory does not show its SID.
func primaryOf(group *ldap.Entry) string {
	sid := group.GetEqualFoldRawAttributeValue("objectSid")
	if len(sid) < 12 {
		return ""
	}
	return fmt.Sprintf("(primaryGroupID=%d)", binary.LittleEndian.Uint32(sid[len(sid)-4:]))
}

// domainOf returns the DC= end of a name: the domain in which an entry is.
func domainOf(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return ""
	}
	at := slices.IndexFunc(parsed.RDNs, func(r *ldap.RelativeDN) bool { return strings.EqualFold(r.Attributes[0].Type, "dc") })
	if at < 0 {
		at = len(parsed.RDNs) - 1
	}
	return (&ldap.DN{RDNs: parsed.RDNs[at:]}).String()
}

// memberOf follows groups in groups by their memberOf, and returns the filter for the members of all of them.
func (s *session) memberOf(group *ldap.Entry) (string, error) {
	filter := ""
	seen := map[string]bool{keyOf(group.DN): true}
	for todo := []string{group.DN}; len(todo) > 0; todo = todo[1:] {
		condition := fmt.Sprintf("(memberOf=%s)", ldap.EscapeFilter(todo[0]))
		filter += condition
		groups := "(&(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=group))" + condition + ")"
		err := s.search(domainOf(group.DN), ldap.ScopeWholeSubtree, groups, []string{noAttributes}, func(nested *ldap.Entry) error {
			if !seen[keyOf(nested.DN)] {
				seen[keyOf(nested.DN)] = true
				todo = append(todo, nested.DN)
			}
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return "(|" + filter + ")", nil
}

// collect walks from a group through the groups in it, and notes the names of all members. Whoever was found as a person already is not
// read again, but may be a group all the same, where the filter for people takes groups in.
func (s *session) collect(group *ldap.Entry, m *membership) error {
	m.names[keyOf(group.DN)] = true
	for todo := []*ldap.Entry{group}; len(todo) > 0; todo = todo[1:] {
		for _, uid := range todo[0].GetEqualFoldAttributeValues("memberUid") {
			m.uids[strings.ToLower(uid)] = true
		}
		for _, attribute := range memberAttributes {
			names, err := s.values(todo[0], attribute)
			if err != nil {
				return err
			}
			for _, name := range names {
				key := keyOf(name)
				if m.names[key] {
					continue
				}
				m.names[key] = true
				entry := s.people[key]
				if entry == nil {
					if entry, err = s.member(group.DN, name); err != nil {
						return err
					}
				}
				if entry != nil && len(entry.Attributes) > 0 {
					todo = append(todo, entry)
				}
			}
		}
	}
	return nil
}

// member reads a member of a group, which may be a group itself. It returns nil for one that is not to be seen, who is counted: it may be gone, or hidden, and then
// whoever is in it is missing. One in another directory is an error, unless such are to be ignored.
func (s *session) member(group, name string) (*ldap.Entry, error) {
	if isBelowAny(name, s.Exclude) {
		return nil, nil
	}
	entry, err := s.look(name, append([]string{"memberUid"}, memberAttributes...)...)
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultReferral) && s.Referrals == IgnoreReferrals:
		s.result.Ignored++
		return nil, nil
	case ldap.IsErrorWithCode(err, ldap.LDAPResultReferral):
		return nil, fmt.Errorf("the group %q has the member %q, which is in another directory, and if it is a group, whoever is in it would be missing: "+
			`name people by a group of their own directory, name the part in exclude, or set referrals = "ignore"`, group, name)
	case err == nil && entry == nil:
		s.unseen++
	}
	return entry, err
}

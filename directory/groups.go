package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// membership is who belongs to a group, directly or through groups in it: by a filter that the directory judges, or by names that were collected; and in Active
// Directory those who have one of the groups as the primary one, which no group lists.
type membership struct {
	filter  string          // "" where the names say it
	names   map[string]bool // keys of distinguished names
	uids    map[string]bool // of groups that list users by uid (RFC 2307), in lower case
	primary map[string]bool // SIDs of the groups, as bytes
}

// has tells whether an entry is among the collected names, or has one of the groups as the primary one.
func (m *membership) has(e *ldap.Entry) bool {
	if m.names[keyOf(e.DN)] || m.hasPrimary(e) {
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
	entry, err := s.read(dn, append([]string{"objectClass", objectSID, "memberUid"}, memberAttributes...)...)
	if err != nil {
		return nil, err
	}
	if entry == nil {
		return nil, fmt.Errorf("there is no group %q, or this account may not see it; write its distinguished name as the directory shows it", dn)
	}
	m := &membership{primary: map[string]bool{}}
	if err := s.notePrimary(m, entry); err != nil {
		return nil, err
	}
	switch s.Nesting {
	case InChain:
		m.filter, err = s.inChain(entry, m)
	case MemberOf:
		m.filter, err = s.memberOf(entry, m)
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
	if len(m.names)+len(m.uids) > 1 { // the group itself is among the names
		return nil
	}
	here := *s // whoever is seen is enough, wherever others are
	here.Referrals, here.result, here.Progress = IgnoreReferrals, &Result{}, nil
	for _, base := range s.Bases {
		if seen, err := here.seesMember(base, scopes[s.Scope], s.Filter, m); err != nil || seen {
			return err
		}
	}
	trees, err := s.trees(dn)
	if err != nil {
		return err
	}
	for _, tree := range trees { // perhaps there are members elsewhere
		if seen, err := here.seesMember(tree, ldap.ScopeWholeSubtree, "", m); err != nil || seen {
			return err
		}
	}
	return fmt.Errorf("no member of the group %q is to be seen: may this account read its members? If it is empty for good, take it out of the settings", dn)
}

// seesMember tells whether below a base a member is to be seen who matches a filter.
func (s *session) seesMember(base string, scope int, filter string, m *membership) (bool, error) {
	err := error(nil)
	if m.filter != "" {
		err = s.search(base, scope, "(&"+filter+m.filter+")", []string{noAttributes}, func(*ldap.Entry) error { return errFound })
	}
	if err == nil && len(m.primary) > 0 {
		err = s.search(base, scope, "(&"+filter+m.primaryFilter()+")", []string{objectSID, primaryID}, func(e *ldap.Entry) error {
			if m.hasPrimary(e) {
				return errFound
			}
			return nil
		})
	}
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}

// inChain returns the filter by which Active Directory follows membership itself (LDAP_MATCHING_RULE_IN_CHAIN, MS-ADTS §3.1.1.3.4.4.3), and notes the groups in the group, since
// the rule does not know who has one of them as the primary one.
func (s *session) inChain(group *ldap.Entry, m *membership) (string, error) {
	rule := fmt.Sprintf("(memberOf:1.2.840.113556.1.4.1941:=%s)", ldap.EscapeFilter(group.DN))
	here := *s // a primary group is of the user's own domain: what its root refers to does not matter
	here.Referrals, here.result = IgnoreReferrals, &Result{}
	trees, err := s.trees(group.DN)
	for _, tree := range trees {
		if err == nil {
			err = here.search(tree, ldap.ScopeWholeSubtree, "(&(objectCategory=group)"+rule+")", []string{"objectClass", objectSID}, func(nested *ldap.Entry) error {
				return s.notePrimary(m, nested)
			})
		}
	}
	return rule, err
}

// memberOf follows groups in groups by their memberOf, and returns the filter for the members of all of them.
func (s *session) memberOf(group *ldap.Entry, m *membership) (string, error) {
	filter := ""
	trees, err := s.trees(group.DN)
	if err != nil {
		return "", err
	}
	seen := map[string]bool{keyOf(group.DN): true}
	for todo := []string{group.DN}; len(todo) > 0; todo = todo[1:] {
		condition := fmt.Sprintf("(memberOf=%s)", ldap.EscapeFilter(todo[0]))
		filter += condition
		groups := "(&(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=group))" + condition + ")"
		for _, tree := range trees {
			err := s.search(tree, ldap.ScopeWholeSubtree, groups, []string{"objectClass", objectSID}, func(nested *ldap.Entry) error {
				if !seen[keyOf(nested.DN)] {
					seen[keyOf(nested.DN)] = true
					todo = append(todo, nested.DN)
				}
				return s.notePrimary(m, nested)
			})
			if err != nil {
				return "", err
			}
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
				if entry == nil {
					continue
				}
				if err := s.notePrimary(m, entry); err != nil {
					return err
				}
				if len(entry.Attributes) > 0 {
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
	entry, err := s.look(name, append([]string{"memberUid", "objectClass", objectSID}, memberAttributes...)...)
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

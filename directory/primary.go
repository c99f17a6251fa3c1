package directory

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// The attributes by which Active Directory stores a user's primary group: with the user, and as the last part of the group's SID alone (MS-ADA3 §2.120). Which group that is follows
// from the user's own SID, whose first parts are those of the user's domain: in another domain the same number is another group.
const (
	objectSID = "objectSid"
	primaryID = "primaryGroupID"
)

// relative is how many bytes of a SID its last part has, the one that tells those of a domain apart (MS-DTYP §2.4.2.2).
const relative = 4

// sidOf returns the SID of an entry; "" where it is not to be seen.
func sidOf(e *ldap.Entry) string {
	if sid := e.GetEqualFoldRawAttributeValue(objectSID); len(sid) >= 8+relative {
		return string(sid)
	}
	return ""
}

// isGroup tells whether an entry is a group of Active Directory, or may be one, since it does not say what it is.
func isGroup(e *ldap.Entry) bool {
	classes := e.GetEqualFoldAttributeValues("objectClass")
	return len(classes) == 0 || slices.ContainsFunc(classes, func(class string) bool { return strings.EqualFold(class, "group") })
}

// knowsPrimary tells whether users have a primary group there.
func (s *session) knowsPrimary() bool { return s.Kind == ActiveDirectory || s.Nesting == InChain }

// notePrimary notes that those who have a group as the primary one belong. A group of Active Directory whose SID is not to be seen is an error, for they would be missing.
func (s *session) notePrimary(m *membership, group *ldap.Entry) error {
	if !s.knowsPrimary() || !isGroup(group) {
		return nil
	}
	sid := sidOf(group)
	if sid == "" {
		return fmt.Errorf("this account may not read %s of the group %q, so whoever has it as primary group would be missing: give it the right to", objectSID, group.DN)
	}
	m.primary[sid] = true
	return nil
}

// primaryFilter returns a filter for those who may have one of the groups as the primary one: it asks for the last parts of the SIDs, and so finds people of other domains too.
func (m *membership) primaryFilter() string {
	filter := ""
	for sid := range m.primary {
		filter += fmt.Sprintf("(%s=%d)", primaryID, binary.LittleEndian.Uint32([]byte(sid[len(sid)-relative:])))
	}
	return "(|" + filter + ")"
}

// candidates returns a filter for everybody who may belong, some of whom hasPrimary has to judge; "" where the names say it.
func (m *membership) candidates() string {
	if m.filter == "" || len(m.primary) == 0 {
		return m.filter
	}
	return "(|" + m.filter + m.primaryFilter() + ")"
}

// hasPrimary tells whether one of the groups is the primary one of an entry, by its domain's SID and the number in it.
func (m *membership) hasPrimary(e *ldap.Entry) bool {
	id, ok := primaryOf(e)
	sid := sidOf(e)
	return ok && sid != "" && m.primary[string(binary.LittleEndian.AppendUint32([]byte(sid[:len(sid)-relative]), id))]
}

// seemsPrimary tells whether a group of that number, of this domain or another, is the primary one of an entry: whom primaryFilter finds.
func (m *membership) seemsPrimary(e *ldap.Entry) bool {
	id, ok := primaryOf(e)
	if !ok {
		return false
	}
	for sid := range m.primary {
		if binary.LittleEndian.Uint32([]byte(sid[len(sid)-relative:])) == id {
			return true
		}
	}
	return false
}

// primaryOf returns the number of the primary group of an entry, if it has one that is to be seen.
func primaryOf(e *ldap.Entry) (uint32, bool) {
	id, err := strconv.ParseInt(e.GetEqualFoldAttributeValue(primaryID), 10, 64) // signed, of 32 bits
	return uint32(id), err == nil
}

// judged returns those of the entries that match the candidates' filters who do belong to one of the groups.
func (s *session) judged(entries []*ldap.Entry, groups []*membership) ([]*ldap.Entry, error) {
	doubtful := map[string]bool{}
	for _, e := range entries {
		if slices.ContainsFunc(groups, func(m *membership) bool { return m.seemsPrimary(e) }) && !slices.ContainsFunc(groups, func(m *membership) bool { return m.hasPrimary(e) }) {
			doubtful[keyOf(e.DN)] = true
		}
	}
	if len(doubtful) == 0 {
		return entries, nil
	}
	listed := ""
	for _, m := range groups {
		listed += m.filter
	}
	names, err := s.namesOf("(&" + s.Filter + "(|" + listed + "))")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if key := keyOf(e.DN); doubtful[key] && !names[key] && sidOf(e) == "" {
			return nil, fmt.Errorf("this account may not read %s of %q, and so not tell of which domain the primary group is: give it the right to", objectSID, e.DN)
		}
	}
	return slices.DeleteFunc(entries, func(e *ldap.Entry) bool { return doubtful[keyOf(e.DN)] && !names[keyOf(e.DN)] }), nil
}

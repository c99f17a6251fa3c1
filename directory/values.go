package directory

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"

	"github.com/go-ldap/ldap/v3"

	"foyer"
)

// longest is how many bytes a value may have: the server takes no longer cell, and refuses a file with one.
const longest = 4096

// person makes of an entry what the columns say of it.
func (s *session) person(e *ldap.Entry) Person {
	p := Person{DN: e.DN, refs: map[foyer.Field]string{}}
	for column, attributes := range s.Map {
		values := s.valuesOf(e, attributes)
		if len(values) == 0 {
			continue
		}
		value := values[0]
		switch column {
		case "site":
			p.Sites = append(p.Sites, values...)
		case "office":
			p.Office = value
		case "external_id":
			p.ExternalID = value
		default:
			field, ok := foyer.ParseField(column)
			if !ok {
				panic("checkMap let the column " + column + " pass")
			}
			if isReference(field, value) {
				p.refs[field] = value
				continue
			}
			p.Values[field] = value
		}
		s.result.Filled[column]++
	}
	return p
}

// isReference tells whether a value names another entry, whose email is what is wanted.
func isReference(field foyer.Field, value string) bool {
	if field != foyer.Manager && field != foyer.Assistant || !strings.Contains(value, "=") {
		return false
	}
	_, err := ldap.ParseDN(value)
	return err == nil
}

// valuesOf returns the values of the first of the attributes that holds any, as text.
func (s *session) valuesOf(e *ldap.Entry, attributes []string) []string {
	for _, attribute := range attributes {
		var values []string
		for _, raw := range e.GetEqualFoldRawAttributeValues(attribute) {
			value := textOf(attribute, raw)
			if len(value) > longest {
				s.warnOnce(fmt.Sprintf("values of %s are longer than %d bytes and were left out", attribute, longest))
				continue
			}
			if value != "" {
				values = append(values, value)
			}
		}
		if len(values) > 0 {
			return values
		}
	}
	return nil
}

// warnOnce notes a warning, once.
func (s *session) warnOnce(text string) {
	for _, w := range s.result.Warnings {
		if w == text {
			return
		}
	}
	s.result.Warnings = append(s.result.Warnings, text)
}

// textOf returns a value as the server wants it: GUIDs written out, of proxyAddresses the primary address, of everything else the text without
// control characters. What is no UTF-8 is marked as such, not left out: the server then says so, and nobody vanishes.
func textOf(attribute string, raw []byte) string {
	switch strings.ToLower(attribute) {
	case "objectguid", "ms-ds-consistencyguid":
		if len(raw) == 16 {
			return guid(raw)
		}
	case "proxyaddresses":
		primary, ok := strings.CutPrefix(string(raw), "SMTP:")
		if !ok {
			return ""
		}
		raw = []byte(primary)
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(raw), "\uFFFD"))
	return strings.TrimSpace(text)
}

// guid writes 16 bytes as Windows does: the first three groups are little-endian (MS-DTYP §2.3.4).
func guid(b []byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:])
}

// findManagers turns the names of managers and assistants into their emails: of those who were read, and of others in this directory. Who is not
// there stays a name, for Join.
func (s *session) findManagers() error {
	Join(s.result)
	emails := map[string]string{}
	for _, p := range s.result.People {
		for field, dn := range p.refs {
			key := keyOf(dn)
			if _, known := emails[key]; !known {
				entry, err := s.read(dn, s.Map["email"]...)
				if ldap.IsErrorAnyOf(err, ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultUndefinedAttributeType) {
					s.warnOnce("of some managers or assistants the email may not be read, or there is no such name; they are left out")
					err = nil
				}
				if err != nil {
					return fmt.Errorf("read the email of a %s: %w", field, err)
				}
				emails[key] = ""
				if entry != nil {
					if values := s.valuesOf(entry, s.Map["email"]); len(values) > 0 {
						emails[key] = values[0]
					}
				}
			}
		}
	}
	link(s.result.People, emails)
	return nil
}

// linkAll turns the names of managers and assistants that are still unknown into emails, by the people of all the directories.
func linkAll(results []*Result) {
	emails := map[string]string{}
	for _, r := range results {
		for _, p := range r.People {
			emails[keyOf(p.DN)] = p.Values[foyer.Email]
		}
	}
	for _, r := range results {
		link(r.People, emails)
	}
}

func link(people []Person, emails map[string]string) {
	for i := range people {
		for field, dn := range people[i].refs {
			if email := emails[keyOf(dn)]; email != "" {
				people[i].Values[field] = email
				delete(people[i].refs, field)
			}
		}
	}
}

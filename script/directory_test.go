package script_test

import (
	"regexp"
	"slices"
	"strings"
)

// directory is an Active Directory as its commands show it.
type directory struct {
	imported bool
	people   []*person
	groups   map[string]*group // by name
	fails    int               // the call of a command that fails; 0: none
	calls    int
}

// person is a user: attributes by name. A value of several is []any.
type person struct {
	dn         string
	disabled   bool
	hidden     bool // nobody may read userAccountControl: as in Active Directory, the filter lets such a person pass
	slips      bool // the filter lets this person pass in any case
	attributes map[string]any
}

type group struct {
	dn      string
	members []string // distinguished names of people and groups
}

// called counts the calls, one of which may fail.
func (d *directory) called(w *windows, c call) {
	w.check(d.imported, "line %d: Import-Module ActiveDirectory comes first", c.line)
	d.calls++
	if d.calls == d.fails {
		panic(&thrown{"Unable to contact the server.", c.line})
	}
}

var (
	accounts = regexp.MustCompile(`^\(&\(objectCategory=person\)\(objectClass=user\)\(mail=\*\)\(!\(userAccountControl:1\.2\.840\.113556\.1\.4\.803:=2\)\)` +
		`(?:\(memberOf:1\.2\.840\.113556\.1\.4\.1941:=([^()*]+)\))?\)$`)
	unescape = strings.NewReplacer(`\5c`, `\`, `\2a`, `*`, `\28`, `(`, `\29`, `)`)
)

// users is Get-ADUser.
func (d *directory) users(w *windows, c call) any {
	d.called(w, c)
	filter := accounts.FindStringSubmatch(text(c.named.get("LDAPFilter")))
	w.check(filter != nil, "line %d: the filter %s", c.line, text(c.named.get("LDAPFilter")))
	base, server := text(c.named.get("SearchBase")), text(c.named.get("Server"))
	properties := elements(c.named.get("Properties"))
	var found []any
	for _, p := range d.people {
		in := strings.HasSuffix(strings.ToLower(p.dn), strings.ToLower(base)) && domainOf(p.dn) == server
		if in && (!p.disabled || p.hidden || p.slips) && p.attributes["mail"] != nil && (filter[1] == "" || d.belongs(p.dn, unescape.Replace(filter[1]), nil)) {
			found = append(found, p.shown(properties))
		}
	}
	return collapse(found)
}

func domainOf(dn string) string {
	_, domain, _ := strings.Cut(dn, ",DC=")
	return strings.ReplaceAll(domain, ",DC=", ".")
}

// belongs tells whether somebody is in a group, or in a group that is in it.
func (d *directory) belongs(dn, group string, seen []string) bool {
	for _, g := range d.groups {
		if g.dn != group || slices.Contains(seen, g.dn) {
			continue
		}
		for _, member := range g.members {
			if member == dn || d.belongs(dn, member, append(seen, g.dn)) {
				return true
			}
		}
	}
	return false
}

// shown is a user with the attributes that were asked for.
func (p *person) shown(properties []any) *table {
	made := &table{}
	made.put("DistinguishedName", p.dn)
	for _, name := range properties {
		made.put(text(name), p.attributes[text(name)])
	}
	if made.at("userAccountControl") >= 0 && !p.hidden {
		made.put("userAccountControl", map[bool]int{false: 512, true: 514}[p.disabled])
	}
	return made
}

// group is Get-ADGroup.
func (d *directory) group(w *windows, c call) any {
	d.called(w, c)
	g := d.groups[text(c.named.get("Identity"))]
	if g == nil {
		panic(&thrown{"Cannot find an object with identity: '" + text(c.named.get("Identity")) + "'", c.line})
	}
	return &table{[]string{"DistinguishedName"}, []any{g.dn}}
}

// object is Get-ADObject, by its distinguished name.
func (d *directory) object(w *windows, c call) any {
	d.called(w, c)
	filter := text(c.named.get("LDAPFilter"))
	name, ok := strings.CutPrefix(strings.TrimSuffix(filter, ")"), "(distinguishedName=")
	w.check(ok, "line %d: the filter %s", c.line, filter)
	w.check(domainOf(unescape.Replace(name)) == text(c.named.get("Server")), "line %d: %s is looked for at %v", c.line, name, c.named.get("Server"))
	for _, p := range d.people {
		if p.dn == unescape.Replace(name) {
			return p.shown([]any{"mail"})
		}
	}
	return nothing
}

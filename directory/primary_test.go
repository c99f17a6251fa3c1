package directory_test

import (
	"slices"
	"strings"
	"testing"

	"foyer/directory"
)

var nestings = []string{directory.InChain, directory.Members, directory.MemberOf}

// abroad returns a SID of another domain, with that relative id.
func abroad(rid uint32) []byte {
	return append([]byte("\x01\x05\x00\x00\x00\x00\x00\x05other-domain-sid"), sid(rid)[24:]...)
}

// TestAD_PrimaryGroupCounts holds that who has a group as the primary one belongs to it, though it does not list them, however groups are followed.
func TestAD_PrimaryGroupCounts(t *testing.T) {
	d := newDomain(t)
	d.account(t, "ann", nil)
	users := "CN=Domain Users,CN=Users," + d.base
	hosts := d.group(t, "Hosts", users)
	for _, nesting := range nestings {
		d.config.Nesting = nesting
		d.config.Groups = []string{users}
		if got := d.emails(t); got != "ann" {
			t.Errorf("%s: in Domain Users are %q", nesting, got)
		}
		d.config.Groups = []string{hosts}
		if got := d.emails(t); got != "ann" {
			t.Errorf("%s: in a group with Domain Users in it are %q", nesting, got)
		}
		d.config.Groups = nil
		d.config.Sites = []directory.SiteRule{{Name: "Toronto", Group: hosts}}
		if people, _ := d.read(t); !slices.Equal(people["ann@test.com"].Sites, []string{"Toronto"}) {
			t.Errorf("%s: by a site's group there is %+v", nesting, people)
		}
		d.config.Sites = nil
	}
}

// TestAD_PrimaryGroupIsOfTheUsersOwnDomain holds that over a catalog of several domains the Domain Users of one are not those of another, which has the same number, and that a group lists whom it
// wants from there all the same.
func TestAD_PrimaryGroupIsOfTheUsersOwnDomain(t *testing.T) {
	d := newDomain(t)
	if d.fake == nil {
		t.Skip("this takes a second domain, which only the fake one has")
	}
	d.account(t, "ann", nil)
	child := ",DC=child," + d.ou
	for _, name := range []string{"zoe", "eve"} {
		o := d.fake.put("CN="+name+child, map[string][]string{"objectClass": {"user"}, "mail": {name + "@test.com"}})
		o.set("objectSid", abroad(1200))
	}
	users := "CN=Domain Users,CN=Users," + d.base
	hosts := d.group(t, "Hosts", users, "CN=eve"+child)
	for _, nesting := range nestings {
		d.config.Nesting = nesting
		for _, step := range []struct{ group, want string }{{users, "ann"}, {hosts, "ann eve"}} {
			d.config.Groups, d.config.Sites = []string{step.group}, nil
			if got := d.emails(t); got != step.want {
				t.Errorf("%s: in %s are %q", nesting, step.group, got)
			}
			d.config.Groups, d.config.Sites = nil, []directory.SiteRule{{Name: "Toronto", Group: step.group}}
			people, _ := d.read(t)
			var there []string
			for email, p := range people {
				if len(p.Sites) > 0 {
					there = append(there, strings.TrimSuffix(email, "@test.com"))
				}
			}
			slices.Sort(there)
			if strings.Join(there, " ") != step.want || len(people) != 3 {
				t.Errorf("%s: at the site of %s are %q, of %d", nesting, step.group, there, len(people))
			}
		}
	}
}

// TestAD_AGroupWhoseSIDIsHiddenIsAnError holds that where it cannot be known who has a group as the primary one, also a group in the group, nothing is read.
func TestAD_AGroupWhoseSIDIsHiddenIsAnError(t *testing.T) {
	d := newDomain(t)
	if d.fake == nil {
		t.Skip("this takes rights away, which only the fake one does")
	}
	ann, rob := d.account(t, "ann", nil), d.account(t, "rob", nil)
	inner := d.group(t, "Inner", rob)
	outer := d.group(t, "Outer", ann, inner)
	for _, nesting := range nestings {
		for _, hidden := range []string{outer, inner} {
			d.config.Nesting, d.config.Groups = nesting, []string{outer}
			d.fake.sealed = hidden
			_, err := directory.Read(t.Context(), d.config, directory.Options{Password: d.password})
			if want := `may not read objectSid of the group "` + hidden + `"`; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; it should say %q", nesting, err, want)
			}
		}
	}
	d.fake.sealed = ""
	if got := d.emails(t); got != "ann rob" {
		t.Errorf("where all can be read there are %q", got)
	}
}

// TestAD_GroupsInGroupsAreLookedForInTheWholeTree holds that a name with DC= in its middle does not end the search for groups in a group there, whether the server says what it holds or not.
func TestAD_GroupsInGroupsAreLookedForInTheWholeTree(t *testing.T) {
	d := newDomain(t)
	if d.fake == nil {
		t.Skip("a real domain has no such names")
	}
	ann, rob := d.account(t, "ann", nil), d.account(t, "rob", nil)
	inner := d.group(t, "Inner", ann)
	d.fake.put("DC=part,"+d.ou, map[string][]string{"objectClass": {"container"}})
	outer := "CN=Outer,DC=part," + d.ou
	d.fake.put(outer, map[string][]string{"objectClass": {"group"}, "member": {rob, inner}})
	d.config.Groups = []string{outer}
	for _, d.fake.quiet = range []bool{false, true} {
		for _, nesting := range nestings {
			d.config.Nesting = nesting
			if got := d.emails(t); got != "ann rob" {
				t.Errorf("%s, quiet %v: in the outer group are %q", nesting, d.fake.quiet, got)
			}
		}
	}
}

// TestTrees_WhereGroupsAreLookedFor holds that it is the trees that the server says it holds, the innermost of several, with those of the people; and that of a server that says nothing the name decides.
func TestTrees_WhereGroupsAreLookedFor(t *testing.T) {
	forest := []string{"DC=corp,DC=example,DC=com", "CN=Configuration,DC=corp,DC=example,DC=com", "dc=child, dc=corp,dc=example,dc=com"}
	for _, step := range []struct {
		kind, url string
		held      []string
		base      string
		group     string
		want      []string
	}{
		{"ldap", "ldaps://x", []string{"o=Acme,c=CA", "cn=accesslog"}, "ou=people,o=acme,c=ca", "cn=hosts,o=acme,c=CA", []string{"o=Acme,c=CA"}},
		{"ldap", "ldaps://x", []string{"dc=a", "dc=b"}, "ou=people,dc=b", "cn=hosts,dc=a", []string{"dc=a", "dc=b"}},
		{"ldap", "ldaps://x", []string{}, "ou=people,dc=b", "cn=hosts,dc=x,ou=y,dc=b", []string{"dc=b"}},
		{"ldap", "ldaps://x", []string{}, "ou=people,o=acme", "cn=hosts,o=acme", []string{"o=acme"}},
		{"ad", "ldaps://x:636", forest, "OU=Staff,DC=corp,DC=example,DC=com", "CN=Hosts,DC=Child,DC=corp,DC=example,DC=com", []string{forest[2], forest[0]}},
		{"ad", "ldaps://x:3269", forest[:1], "OU=Staff,DC=corp,DC=example,DC=com", "CN=Hosts,DC=Child,DC=corp,DC=example,DC=com", []string{""}},
	} {
		got, err := directory.Trees(directory.Config{Kind: step.kind, Bases: []string{step.base}}, step.url, step.held, step.group)
		if err != nil || !slices.Equal(got, step.want) {
			t.Errorf("%s of %q: %q, %v; it should be %q", step.group, step.held, got, err, step.want)
		}
	}
}

package directory_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"foyer"
	"foyer/directory"
	"foyer/trust"
)

// domain is an Active Directory for a test: a fake one, or a real one, and in it an OU of the test's own.
type domain struct {
	fake *fakeAD // nil of a real one
	base string  // of the domain
	ou   string  // of the test's
	conn *ldap.Conn

	config   directory.Config
	password string
}

// newDomain returns the domain that the environment names (docs/push.md, "Against a real Active Directory"), else a fake one.
func newDomain(t *testing.T) *domain {
	t.Helper()
	d := &domain{base: os.Getenv("FOYER_TEST_AD_BASE"), password: os.Getenv("FOYER_TEST_AD_PASSWORD")}
	d.config = directory.Config{Kind: "ad", URLs: []string{os.Getenv("FOYER_TEST_AD_URL")}, CAFile: os.Getenv("FOYER_TEST_AD_CA"), BindDN: os.Getenv("FOYER_TEST_AD_USER")}
	if d.config.URLs[0] == "" {
		d.fake = startFakeAD(t)
		d.base, d.password = adBase, adPassword
		d.config.URLs, d.config.CAFile, d.config.BindDN = []string{d.fake.url}, d.fake.caFile, adUser
	}
	config, err := trust.Config(d.config.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	if d.conn, err = ldap.DialURL(d.config.URLs[0], ldap.DialWithTLSConfig(config)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.conn.Close() })
	if err := d.conn.Bind(d.config.BindDN, d.password); err != nil {
		t.Fatal(err)
	}
	d.ou = "OU=foyer-test-" + rand.Text()[:8] + "," + d.base
	d.add(t, d.ou, map[string][]string{"objectClass": {"organizationalUnit"}})
	d.config.Bases = []string{d.ou}
	return d
}

// add adds an entry, and takes it out again when the test ends.
func (d *domain) add(t *testing.T, dn string, attributes map[string][]string) {
	t.Helper()
	req := ldap.NewAddRequest(dn, nil)
	for name, values := range attributes {
		req.Attribute(name, values)
	}
	if err := d.conn.Add(req); err != nil {
		t.Fatalf("add %s: %v", dn, err)
	}
	if d.fake == nil { // what a fake holds is gone with it
		t.Cleanup(func() { d.conn.Del(ldap.NewDelRequest(dn, nil)) })
	}
}

// account adds a user, enabled unless further attributes say otherwise, and returns its name.
func (d *domain) account(t *testing.T, name string, further map[string][]string) string {
	t.Helper()
	dn := "CN=" + ldap.EscapeDN(name) + "," + d.ou
	attributes := map[string][]string{"objectClass": {"user"}, "sAMAccountName": {"t" + rand.Text()[:14]}, "userAccountControl": {"544"}, "mail": {name + "@test.com"}, "givenName": {"G " + name}, "sn": {name}}
	for key, values := range further {
		attributes[key] = values
		if len(values) == 0 {
			delete(attributes, key)
		}
	}
	d.add(t, dn, attributes)
	return dn
}

// group adds a group, and returns its name.
func (d *domain) group(t *testing.T, name string, members ...string) string {
	t.Helper()
	dn := "CN=" + ldap.EscapeDN(name) + "," + d.ou
	d.add(t, dn, map[string][]string{"objectClass": {"group"}, "sAMAccountName": {"g" + rand.Text()[:14]}, "member": members})
	return dn
}

// read reads the domain and returns who is in it, by email.
func (d *domain) read(t *testing.T) (map[string]directory.Person, *directory.Result) {
	t.Helper()
	r, err := directory.Read(t.Context(), d.config, directory.Options{Password: d.password})
	if err != nil {
		t.Fatal(err)
	}
	people := map[string]directory.Person{}
	for _, p := range r.People {
		people[p.Values[foyer.Email]] = p
	}
	return people, r
}

// emails returns who is in it, in order.
func (d *domain) emails(t *testing.T) string {
	t.Helper()
	people, _ := d.read(t)
	var all []string
	for email := range people {
		all = append(all, strings.TrimSuffix(email, "@test.com"))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestAD_DisabledAccountsAreLeftOutOrSentAsDisabled(t *testing.T) {
	d := newDomain(t)
	d.account(t, "ann", nil)
	d.account(t, "dora", map[string][]string{"userAccountControl": {"546"}})
	d.account(t, "old-ann", map[string][]string{"userAccountControl": {"546"}, "mail": {"Ann@test.com"}})
	d.add(t, "CN=printer,"+d.ou, map[string][]string{"objectClass": {"contact"}, "mail": {"printer@test.com"}})
	if got := d.emails(t); got != "ann" {
		t.Errorf("with disabled accounts left out there are %q", got)
	}
	d.config.Disabled = directory.Send
	people, r := d.read(t)
	if len(people) != 2 || people["ann@test.com"].Enabled != foyer.Yes || people["dora@test.com"].Enabled != foyer.No || r.Disabled != 1 || len(r.Warnings) != 1 {
		t.Errorf("with disabled accounts sent there are %+v", people)
	}
}

// TestAD_WhoIsDisabledMustBeReadable holds that an account which may not read userAccountControl does not take everybody for enabled, and that a contact, which has none, is no such case.
func TestAD_WhoIsDisabledMustBeReadable(t *testing.T) {
	d := newDomain(t)
	if d.fake == nil {
		t.Skip("this takes rights away, which only the fake one does")
	}
	d.account(t, "ann", nil)
	d.account(t, "dora", map[string][]string{"userAccountControl": {"546"}})
	d.add(t, "CN=printer,"+d.ou, map[string][]string{"objectClass": {"contact"}, "mail": {"printer@test.com"}})
	d.config.Filter = "(objectCategory=person)"
	if got := d.emails(t); got != "ann printer" {
		t.Errorf("where it can be read there are %q", got)
	}
	d.fake.hides = "useraccountcontrol"
	for _, disabled := range []string{directory.LeaveOut, directory.Send} {
		for _, filter := range []string{"", "(|(userAccountControl:1.2.840.113556.1.4.803:=2)(mail=x))"} {
			d.config.Disabled, d.config.DisabledFilter = disabled, filter
			if _, err := directory.Read(t.Context(), d.config, directory.Options{Password: d.password}); err == nil || !strings.Contains(err.Error(), "this account may not read userAccountControl") {
				t.Errorf("%s, %q: %v", disabled, filter, err)
			}
		}
	}
}

func TestAD_GroupsAreFollowedThroughGroups(t *testing.T) {
	d := newDomain(t)
	ann, rob := d.account(t, "ann", nil), d.account(t, "Jones, Rob", map[string][]string{"mail": {"rob@test.com"}})
	d.account(t, "zoe", nil)
	inner := d.group(t, "Inner (all) *, #1", rob)
	middle := d.group(t, "Middle", inner)
	outer := d.group(t, "Outer", ann, middle)
	for _, nesting := range []string{directory.InChain, directory.Members, directory.MemberOf} {
		d.config.Nesting = nesting
		d.config.Groups = []string{outer}
		if got := d.emails(t); got != "ann rob" {
			t.Errorf("%s: in the outer group are %q", nesting, got)
		}
		d.config.Groups = []string{strings.ToUpper(inner)}
		if got := d.emails(t); got != "rob" {
			t.Errorf("%s: in the inner group are %q", nesting, got)
		}
	}
	d.config.Groups = []string{"CN=Nobody," + d.ou}
	if _, err := directory.Read(t.Context(), d.config, directory.Options{Password: d.password}); err == nil || !strings.Contains(err.Error(), "there is no group") {
		t.Errorf("a group that is not there: %v", err)
	}
}

// TestAD_ABaseWithoutMembersIsNoHiddenOne holds that an OU where nobody belongs is passed over where somebody is there, and an error where nobody is to be seen.
func TestAD_ABaseWithoutMembersIsNoHiddenOne(t *testing.T) {
	d := newDomain(t)
	ann := d.account(t, "ann", nil)
	d.add(t, "OU=others,"+d.ou, map[string][]string{"objectClass": {"organizationalUnit"}})
	d.config.Bases = append(d.config.Bases, "OU=others,"+d.ou)
	d.config.Groups = []string{d.group(t, "Hosts", ann)}
	if _, err := directory.Read(t.Context(), d.config, directory.Options{Password: d.password}); err == nil || !strings.Contains(err.Error(), `nobody is found below "OU=others`) {
		t.Errorf("nobody is there: %v", err)
	}
	d.add(t, "CN=rob,OU=others,"+d.ou, map[string][]string{"objectClass": {"user"}, "sAMAccountName": {"t" + rand.Text()[:14]}, "userAccountControl": {"544"}})
	if people, r := d.read(t); len(people) != 1 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "OU=others") {
		t.Errorf("there are %d people, and the warnings are %q", len(people), r.Warnings)
	}
}

// TestAD_WhatTheSettingsNameMustBeThere holds that a part of the tree that is not there, and a group without a member that is to be seen, are errors.
func TestAD_WhatTheSettingsNameMustBeThere(t *testing.T) {
	d := newDomain(t)
	ann := d.account(t, "ann", nil)
	empty, hosts := d.group(t, "Empty"), d.group(t, "Hosts", ann)
	good := d.config
	for _, nesting := range []string{directory.InChain, directory.Members, directory.MemberOf} {
		for _, step := range []struct {
			change func(c *directory.Config)
			want   string
		}{
			{func(c *directory.Config) { c.Exclude = []string{"OU=Stuff," + d.ou} }, "exclude: there is no \"OU=Stuff"},
			{func(c *directory.Config) { c.Sites = []directory.SiteRule{{Name: "Toronto", OU: "OU=Toronto," + d.ou}} }, "ou of site \"Toronto\": there is no \"OU=Toronto"},
			{func(c *directory.Config) { c.Groups = []string{hosts, empty} }, "no member of the group \"CN=Empty"},
			{func(c *directory.Config) { c.Sites = []directory.SiteRule{{Name: "Toronto", Group: empty}} }, "site \"Toronto\": no member of the group \"CN=Empty"},
			{func(c *directory.Config) {
				c.Groups, c.Sites = []string{hosts}, []directory.SiteRule{{Name: "Toronto", Group: hosts}}
			}, ""},
		} {
			c := good
			c.Nesting = nesting
			step.change(&c)
			_, err := directory.Read(t.Context(), c, directory.Options{Password: d.password})
			if (err == nil) != (step.want == "") || err != nil && !strings.Contains(err.Error(), step.want) {
				t.Errorf("%s: %v; it should say %q", nesting, err, step.want)
			}
		}
	}
}

// TestAD_MembersThatAreNotSeenAreTold holds that a member in another directory is an error until such are to be ignored, and that one who is gone or hidden is counted.
func TestAD_MembersThatAreNotSeenAreTold(t *testing.T) {
	d := newDomain(t)
	if d.fake == nil {
		t.Skip("a real domain refuses members that are not there")
	}
	ann := d.account(t, "ann", nil)
	d.config.Nesting = directory.Members
	d.config.Groups = []string{d.group(t, "Hosts", ann, "CN=gone,"+d.ou, "CN=gone too,"+d.ou)}
	if people, r := d.read(t); len(people) != 1 || len(r.Warnings) != 1 || !strings.HasPrefix(r.Warnings[0], "2 members of groups are not to be seen") {
		t.Errorf("there are %d people, and the warnings are %q", len(people), r.Warnings)
	}
	d.config.Groups = []string{d.group(t, "Wide", ann, "CN=Group,DC=other,DC=org")}
	if _, err := directory.Read(t.Context(), d.config, directory.Options{Password: d.password}); err == nil || !strings.Contains(err.Error(), `has the member "CN=Group,DC=other,DC=org", which is in another directory`) {
		t.Errorf("a member in another directory: %v", err)
	}
	d.config.Referrals = directory.IgnoreReferrals
	if people, r := d.read(t); len(people) != 1 || r.Ignored != 1 {
		t.Errorf("with references ignored there are %d people, and %d were ignored", len(people), r.Ignored)
	}
}

// TestAD_AGroupThatTheFilterTakesForAPersonIsFollowed holds that a group in a group is followed though it matches the filter for people, in whatever order they are.
func TestAD_AGroupThatTheFilterTakesForAPersonIsFollowed(t *testing.T) {
	d := newDomain(t)
	ann := d.account(t, "ann", nil)
	d.account(t, "zoe", nil)
	inner := d.group(t, "Inner", ann)
	d.config.Groups = []string{d.group(t, "Outer", inner)}
	d.config.Filter = "(|(objectCategory=person)(objectCategory=group))"
	d.config.Nesting = directory.Members
	if got := d.emails(t); got != "ann" {
		t.Errorf("in the outer group are %q", got)
	}
}

// TestAD_ObjectGUIDIsWrittenAsWindowsDoes holds that the external id is the one by which Active Directory itself finds the account.
func TestAD_ObjectGUIDIsWrittenAsWindowsDoes(t *testing.T) {
	d := newDomain(t)
	ann := d.account(t, "ann", nil)
	people, _ := d.read(t)
	id := people["ann@test.com"].ExternalID
	req := ldap.NewSearchRequest("<GUID="+id+">", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"mail"}, nil)
	found, err := d.conn.Search(req)
	if err != nil || len(found.Entries) != 1 || !same(found.Entries[0].DN, ann) || len(id) != 36 {
		t.Errorf("by the id %q is found %+v, %v", id, found, err)
	}
}

// TestAD_BigGroupsComeInRanges holds that of a group with more members than the directory gives at a time none is lost, in pages and in ranges.
func TestAD_BigGroupsComeInRanges(t *testing.T) {
	d := newDomain(t)
	var names []string
	for i := range 1610 {
		names = append(names, d.account(t, fmt.Sprintf("p%04d", i), nil))
	}
	d.account(t, "zoe", nil)
	d.config.Groups = []string{d.group(t, "Big", names...)}
	for _, nesting := range []string{directory.Members, directory.InChain} {
		d.config.Nesting = nesting
		if people, _ := d.read(t); len(people) != len(names) || people["zoe@test.com"].DN != "" {
			t.Errorf("%s: there are %d people, of %d", nesting, len(people), len(names))
		}
	}
	if d.fake == nil {
		return // a real one cuts nothing
	}
	d.config.Nesting, d.fake.cutRanges = directory.Members, true
	if _, err := directory.Read(t.Context(), d.config, directory.Options{Password: d.password}); err == nil || !strings.Contains(err.Error(), "did not come") {
		t.Errorf("the second range is missing: %v", err)
	}
}

// TestAD_ReferencesToOtherPartitionsHoldNobody holds that the whole domain can be read though its root refers to where names and settings are.
func TestAD_ReferencesToOtherPartitionsHoldNobody(t *testing.T) {
	d := newDomain(t)
	d.account(t, "ann", nil)
	d.config.Bases = []string{d.base}
	d.config.Filter = "(&(objectCategory=person)(objectClass=user)(mail=ann@test.com))"
	people, r := d.read(t)
	if people["ann@test.com"].DN == "" || r.Ignored == 0 {
		t.Errorf("there are %d people, and %d references", len(people), r.Ignored)
	}
}

// TestAD_AChildDomainIsNotPassedOver holds that a reference to where people may be is an error, until it is said that nobody there is wanted.
func TestAD_AChildDomainIsNotPassedOver(t *testing.T) {
	d := newDomain(t)
	if d.fake == nil {
		t.Log("a real domain has no child: this is held by the fake one")
		d.fake = startFakeAD(t)
		d.base, d.password = adBase, adPassword
		d.config = directory.Config{Kind: "ad", URLs: []string{d.fake.url}, CAFile: d.fake.caFile, BindDN: adUser}
		d.fake.put("CN=ann,"+adBase, map[string][]string{"objectClass": {"user"}, "mail": {"ann@test.com"}, "userAccountControl": {"512"}})
	} else {
		d.account(t, "ann", nil)
	}
	d.fake.references = append(d.fake.references, "ldap://child.corp.example.com/DC=child,"+adBase)
	d.config.Bases = []string{d.base}
	if _, err := directory.Read(t.Context(), d.config, directory.Options{Password: d.password}); err == nil || !strings.Contains(err.Error(), "DC=child") {
		t.Errorf("a child domain: %v", err)
	}
	narrow := d.config
	narrow.Bases, narrow.Groups = []string{d.ou}, []string{"CN=Domain Users,CN=Users," + adBase}
	if r, err := directory.Read(t.Context(), narrow, directory.Options{Password: d.password}); d.ou != "" && (err != nil || len(r.People) != 1) {
		t.Errorf("an OU beside a child domain, by group: %v", err)
	}
	d.config.Exclude = []string{"dc=child," + adBase}
	if got := d.emails(t); got != "ann" {
		t.Errorf("with the child excluded there are %q", got)
	}
	d.config.Exclude, d.config.Referrals = nil, directory.IgnoreReferrals
	if got := d.emails(t); got != "ann" {
		t.Errorf("with references ignored there are %q", got)
	}
}

func TestAD_AttributesFillTheColumns(t *testing.T) {
	d := newDomain(t)
	boss := d.account(t, "boss", map[string][]string{"userAccountControl": {"546"}}) // left out, but the manager of somebody
	d.account(t, "ann", map[string][]string{"displayName": {"Lee, \"Ann\""}, "department": {"Sales"}, "title": {"Ingénieure"}, "mobile": {"+1 647 555 0001"},
		"telephoneNumber": {"+1 416 555 0001"}, "manager": {boss}, "physicalDeliveryOfficeName": {"Toronto"}, "l": {"Toronto"}})
	d.account(t, "no-mail", map[string][]string{"mail": nil, "userPrincipalName": {"upn@corp.example.com"}})
	d.account(t, "nothing", map[string][]string{"mail": nil})
	d.config.Sites = []directory.SiteRule{{Name: "Toronto", Attribute: "l", Values: []string{"TORONTO"}}, {Name: "All", OU: d.ou}}
	people, r := d.read(t)
	ann := people["ann@test.com"]
	for field, want := range map[foyer.Field]string{foyer.DisplayName: "Lee, \"Ann\"", foyer.Division: "Sales", foyer.Title: "Ingénieure", foyer.Mobile: "+1 647 555 0001",
		foyer.DeskPhone: "+1 416 555 0001", foyer.Manager: "boss@test.com", foyer.FirstName: "G ann", foyer.LastName: "ann"} {
		if ann.Values[field] != want {
			t.Errorf("%v is %q, not %q", field, ann.Values[field], want)
		}
	}
	if !slices.Equal(ann.Sites, []string{"Toronto", "All"}) || ann.Office != "Toronto" {
		t.Errorf("the sites are %q, the office is %q", ann.Sites, ann.Office)
	}
	if len(people) != 2 || people["upn@corp.example.com"].DN == "" || r.WithoutEmail != 1 {
		t.Errorf("there are %d people, and %d without email", len(people), r.WithoutEmail)
	}
}

// TestAD_AnotherDomainIsNoEmptyOne holds that a base that this server does not hold is an error.
func TestAD_AnotherDomainIsNoEmptyOne(t *testing.T) {
	d := newDomain(t)
	d.account(t, "ann", nil)
	d.config.Bases = append(d.config.Bases, "OU=Staff,DC=other,DC=org")
	if _, err := directory.Read(t.Context(), d.config, directory.Options{Password: d.password}); err == nil || !strings.Contains(err.Error(), "OU=Staff,DC=other,DC=org") {
		t.Errorf("%v", err)
	}
}

func TestAD_ARefusedBindIsExplained(t *testing.T) {
	d := newDomain(t)
	start := time.Now()
	_, err := directory.Read(t.Context(), d.config, directory.Options{Password: "wrong"})
	if err == nil || !strings.Contains(err.Error(), "the password is wrong") || time.Since(start) > time.Minute {
		t.Errorf("%v", err)
	}
	if _, err := directory.Read(t.Context(), d.config, directory.Options{}); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("no password: %v", err)
	}
}

// TestAD_APageThatIsCutIsAnError holds that an answer which says no more of pages, in the middle of them, does not pass for the last one.
func TestAD_APageThatIsCutIsAnError(t *testing.T) {
	d := &domain{fake: startFakeAD(t)}
	for i := range 5 {
		d.fake.put(fmt.Sprintf("CN=p%d,%s", i, adBase), map[string][]string{"objectClass": {"user"}, "mail": {fmt.Sprintf("p%d@test.com", i)}})
	}
	d.fake.cutPages = true
	d.config = directory.Config{Kind: "ad", URLs: []string{d.fake.url}, CAFile: d.fake.caFile, BindDN: adUser, Bases: []string{adBase}, PageSize: 2}
	if _, err := directory.Read(t.Context(), d.config, directory.Options{Password: adPassword}); err == nil || !strings.Contains(err.Error(), "forgot at page 2") {
		t.Errorf("%v", err)
	}
	d.fake.cutPages = false
	if r, err := directory.Read(t.Context(), d.config, directory.Options{Password: adPassword}); err != nil || len(r.People) != 5 {
		t.Errorf("of one that gives all pages: %v", err)
	}
}

// TestAD_DyingAfterAnyEntryIsAnError holds that of a directory that ends nothing is taken, however far it came.
func TestAD_DyingAfterAnyEntryIsAnError(t *testing.T) {
	d := newDomain(t)
	if d.fake == nil {
		t.Log("a real domain does not die on demand: this is held by the fake one")
		return
	}
	boss := d.account(t, "boss", map[string][]string{"userAccountControl": {"546"}})
	var names []string
	for i := range 7 {
		names = append(names, d.account(t, fmt.Sprintf("p%d", i), map[string][]string{"manager": {boss}}))
	}
	d.config.Groups, d.config.PageSize, d.config.Nesting, d.config.Disabled = []string{d.group(t, "G", names...)}, 2, directory.Members, directory.Send
	d.fake.dieAfter = 1000
	d.fake.given = 0
	if people, _ := d.read(t); len(people) != 7 {
		t.Fatalf("of one that lives there are %d", len(people))
	}
	whole := d.fake.given
	if whole < 10 {
		t.Fatalf("it gave %d entries only", whole)
	}
	for k := 1; k < whole; k++ {
		d.fake.mu.Lock()
		d.fake.dieAfter, d.fake.given = k, 0
		d.fake.mu.Unlock()
		if _, err := directory.Read(t.Context(), d.config, directory.Options{Password: d.password}); err == nil {
			t.Errorf("it dies after %d of %d entries, and that is no error", k, whole)
		}
	}
}

// TestAD_OddValuesHarmNobody holds that a value which the server would not take costs nobody their place: control characters become blanks, what is too long is left out, what is no UTF-8
// is marked, and of several addresses the primary one counts.
func TestAD_OddValuesHarmNobody(t *testing.T) {
	d := &domain{fake: startFakeAD(t), password: adPassword}
	d.config = directory.Config{Kind: "ad", URLs: []string{d.fake.url}, CAFile: d.fake.caFile, BindDN: adUser, Bases: []string{adBase},
		Map: map[string][]string{"email": {"proxyAddresses", "mail"}, "desk_phone": {"telephoneNumber", "otherTelephone"}, "manager": {"manager"}}}
	d.fake.put("CN=ann,"+adBase, map[string][]string{"objectClass": {"user"}, "proxyAddresses": {"smtp:old@test.com", "SMTP:ann@test.com", "X400:c=US"}, "mail": {"other@test.com"},
		"title": {"Chief\r\n\tof\x00all "}, "department": {strings.Repeat("x", 5000)}, "sn": {"M\xfcller"}, "telephoneNumber": {"  "}, "otherTelephone": {"+1 416 555 0001", "+1 416 555 0002"},
		"manager": {"CN=gone," + adBase}})
	d.fake.put("CN=rob,"+adBase, map[string][]string{"objectClass": {"user"}, "mail": {"rob@test.com"}, "manager": {"The Boss"}})
	people, r := d.read(t)
	ann, rob := people["ann@test.com"], people["rob@test.com"]
	for field, want := range map[foyer.Field]string{foyer.Title: "Chief   of all", foyer.Division: "", foyer.LastName: "M\uFFFDller", foyer.DeskPhone: "+1 416 555 0001", foyer.Manager: ""} {
		if ann.Values[field] != want {
			t.Errorf("%v is %q, not %q", field, ann.Values[field], want)
		}
	}
	if rob.Values[foyer.Manager] != "The Boss" || len(people) != 2 {
		t.Errorf("a manager who is no entry is %q, of %d people", rob.Values[foyer.Manager], len(people))
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "department are longer than 4096 bytes") {
		t.Errorf("the warnings are %q", r.Warnings)
	}
}

// TestJoin_AManagerInAnotherDomain holds that managers are found across all directories that are read.
func TestJoin_AManagerInAnotherDomain(t *testing.T) {
	var results []*directory.Result
	for range 2 {
		ad := startFakeAD(t)
		name, manager := "ann", "CN=Boss,OU=Heads,DC=other,DC=org"
		if len(results) == 1 {
			name, manager = "rob", "CN=ann,"+adBase
		}
		ad.put("CN="+name+","+adBase, map[string][]string{"objectClass": {"user"}, "mail": {name + "@test.com"}, "manager": {manager}})
		r, err := directory.Read(t.Context(), directory.Config{Kind: "ad", URLs: []string{ad.url}, CAFile: ad.caFile, BindDN: adUser, Bases: []string{adBase}}, directory.Options{Password: adPassword})
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	rob := func() string { return results[1].People[0].Values[foyer.Manager] }
	if rob() != "" {
		t.Fatalf("the manager is %q before both are known", rob())
	}
	directory.Join(results...)
	if rob() != "ann@test.com" || results[0].People[0].Values[foyer.Manager] != "" {
		t.Errorf("the managers are %q and %q", rob(), results[0].People[0].Values[foyer.Manager])
	}
}

// TestJoin_WhoIsEnabledAnywhereIsNotDisabled holds that a disabled account in one directory takes nothing from the enabled one of the same email in another, whichever is read first,
// and that addresses are compared as the server compares them.
func TestJoin_WhoIsEnabledAnywhereIsNotDisabled(t *testing.T) {
	person := func(email string, enabled foyer.Tristate) directory.Person {
		p := directory.Person{Record: foyer.Record{Enabled: enabled}, DN: "CN=" + email}
		p.Values[foyer.Email] = email
		return p
	}
	for _, address := range []string{"ANN@test.com", "ann@TEST.com", "ann@test.com"} {
		for _, first := range []bool{true, false} {
			old := &directory.Result{People: []directory.Person{person(address, foyer.No), person("dora@test.com", foyer.No)}, Disabled: 2}
			now := &directory.Result{People: []directory.Person{person("ann@test.com", foyer.Yes)}}
			if first {
				directory.Join(old, now)
			} else {
				directory.Join(now, old)
			}
			if len(old.People) != 1 || old.People[0].Values[foyer.Email] != "dora@test.com" || old.Disabled != 1 || len(old.Warnings) != 1 || len(now.People) != 1 {
				t.Errorf("%s: the old directory has %+v, the new one %+v", address, old, now)
			}
		}
	}
	encoded := &directory.Result{People: []directory.Person{person("ann@xn--bcher-kva.example", foyer.No)}}
	directory.Join(&directory.Result{People: []directory.Person{person("ann@bücher.example", foyer.Yes)}}, encoded)
	if len(encoded.People) != 0 {
		t.Errorf("of one address in two spellings there is %+v", encoded.People)
	}
}

// TestRead_TheSecondServerIsAskedWhereTheFirstIsAway holds that one domain controller that is away keeps nobody back.
func TestRead_TheSecondServerIsAskedWhereTheFirstIsAway(t *testing.T) {
	ad := startFakeAD(t)
	ad.put("CN=ann,"+adBase, map[string][]string{"objectClass": {"user"}, "mail": {"ann@test.com"}})
	c := directory.Config{Kind: "ad", URLs: []string{"ldaps://127.0.0.1:1", ad.url}, CAFile: ad.caFile, BindDN: adUser, Bases: []string{adBase}}
	if r, err := directory.Read(t.Context(), c, directory.Options{Password: adPassword}); err != nil || len(r.People) != 1 {
		t.Errorf("%v", err)
	}
	c.URLs = c.URLs[:1]
	if _, err := directory.Read(t.Context(), c, directory.Options{Password: adPassword}); err == nil || !strings.Contains(err.Error(), "may this machine reach port 1") {
		t.Errorf("%v", err)
	}
}

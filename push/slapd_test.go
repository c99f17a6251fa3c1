package push_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"foyer"
	"foyer/foyertest"
	"foyer/push"
	"foyer/store"
	"foyer/trust"
)

// colleague is somebody in a directory, as its attributes say.
type colleague struct {
	uid        string
	attributes map[string][]string
	groups     []string // cn of the groups that list them
}

// dn returns the colleague's name.
func (c *colleague) dn() string { return "uid=" + c.uid + ",ou=people," + foyertest.SlapdBase }

// given and family are names in several scripts, and such as break a careless CSV.
var (
	given  = []string{"Ann", "André", "Zoë", "Søren", "Łukasz", "Иван", "Ελένη", "美咲", "محمد", "Anne \"Annie\"", "Jean, Luc", "O'Neil", "=SUM(A1)", "नेहा"}
	family = []string{"Lee", "Müller", "Jones, Jr.", "van der Berg", "Петров", "Παπαδοπούλου", "佐藤", "الحسن", "D'Angelo", "Smith; Co", "Tab\tbed", "  Leading", "Quote\"d", "@home"}
)

// staff returns n colleagues of all sorts, the same every time: some without email, some of several phones, some of one name only.
func staff(n int) []*colleague {
	var all []*colleague
	for i := range n {
		c := &colleague{uid: fmt.Sprintf("p%04d", i), attributes: map[string][]string{}}
		first, last := given[i%len(given)], family[(i/3)%len(family)]
		c.attributes["givenName"] = []string{first}
		c.attributes["sn"] = []string{last}
		c.attributes["cn"] = []string{first + " " + last}
		c.attributes["displayName"] = []string{fmt.Sprintf("%s, %s (%d)", last, first, i)}
		c.attributes["title"] = []string{[]string{"Engineer", "Ingénieure", "\"Chief\", of; everything", "-1 Manager"}[i%4]}
		c.attributes["departmentNumber"] = []string{fmt.Sprintf("Division %d", i%17)}
		c.attributes["telephoneNumber"] = []string{fmt.Sprintf("+1 416 555 %04d", i)}
		c.attributes["l"] = []string{[]string{"Toronto", "montréal", "Elsewhere"}[i%3]}
		if i%5 == 0 {
			c.attributes["telephoneNumber"] = append(c.attributes["telephoneNumber"], "+1 514 555 0000", "+1 604 555 0000")
		}
		if i%4 == 0 {
			c.attributes["mobile"] = []string{fmt.Sprintf("+1 647 555 %04d", i)}
		}
		if i%40 != 7 {
			c.attributes["mail"] = []string{fmt.Sprintf("P.%04d@Test.com", i)}
		}
		if i > 0 {
			c.attributes["manager"] = []string{fmt.Sprintf("uid=p%04d, OU=People,DC=test,DC=com", i/10)}
		}
		if i%20 == 3 {
			c.attributes["pwdAccountLockedTime"] = []string{"000001010000Z"}
		}
		c.groups = []string{[]string{"toronto", "montreal", "nobody"}[i%3]}
		all = append(all, c)
	}
	return all
}

// ldif writes colleagues as a directory is filled with them.
func ldif(all []*colleague) string {
	var b strings.Builder
	for _, c := range all {
		fmt.Fprintf(&b, "dn: %s\nobjectClass: inetOrgPerson\nuid: %s\n", c.dn(), c.uid)
		for name, values := range c.attributes {
			for _, value := range values {
				fmt.Fprintf(&b, "%s:: %s\n", name, base64.StdEncoding.EncodeToString([]byte(value)))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// nest makes groups in a directory that runs: hosts holds north, which holds toronto and montreal, which holds hosts again; nobody is apart.
func nest(t *testing.T, s *foyertest.Slapd, all []*colleague) {
	t.Helper()
	config, err := trust.Config(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ldap.DialURL(s.URL, ldap.DialWithTLSConfig(config))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Bind(foyertest.SlapdAdmin, foyertest.SlapdSecret); err != nil {
		t.Fatal(err)
	}
	members := map[string][]string{"toronto": {}, "montreal": {group("hosts")}, "north": {group("toronto"), group("montreal")}, "hosts": {group("north"), "uid=gone,ou=people," + foyertest.SlapdBase}}
	for _, c := range all {
		for _, g := range c.groups {
			members[g] = append(members[g], c.dn())
		}
	}
	for _, name := range []string{"nobody", "toronto", "montreal", "north", "hosts"} {
		add := ldap.NewAddRequest(group(name), nil)
		add.Attribute("objectClass", []string{"groupOfNames"})
		add.Attribute("cn", []string{name})
		add.Attribute("member", members[name])
		if err := conn.Add(add); err != nil {
			t.Fatalf("add the group %s: %v", name, err)
		}
	}
	// memberof of OpenLDAP notes a membership when the group is written: of montreal, whose member hosts came later, once more.
	modify := ldap.NewModifyRequest(group("montreal"), nil)
	modify.Delete("member", []string{group("hosts")})
	modify.Add("member", []string{group("hosts")})
	if err := conn.Modify(modify); err != nil {
		t.Fatal(err)
	}
}

// group returns the name of a group.
func group(cn string) string { return "cn=" + cn + ",ou=groups," + foyertest.SlapdBase }

// directorySettings are those of a [[directory]], with further ones.
func directorySettings(s *foyertest.Slapd, further string) string {
	return fmt.Sprintf("[[directory]]\nkind = \"ldap\"\nurls = [%q]\nca_file = %q\nbind_dn = %q\npassword_file = \"ldap.secret\"\nbases = [%q]\n%s\n",
		s.URL, s.CAFile, foyertest.SlapdReader, "ou=people,"+foyertest.SlapdBase, further)
}

// sendDirectory sends the people of the directories.
func (c *customer) sendDirectory(t *testing.T) []push.Sent {
	t.Helper()
	c.write(t, "ldap.secret", foyertest.SlapdSecret)
	config := c.load(t)
	files, err := push.FromDirectories(t.Context(), config, c.logger(), nil)
	if err != nil {
		t.Fatal(err)
	}
	sent, worst, err := push.Send(t.Context(), config, c.client(t, config), files, false)
	if err != nil || worst != push.Applied {
		t.Fatalf("%v, %v, %+v", worst, err, sent)
	}
	return sent
}

// checkBook compares the book with what the directory says of those who are to be in it.
func checkBook(t *testing.T, f *foyertest.Foyer, all []*colleague, listed func(*colleague) bool) {
	t.Helper()
	book := f.Book(t)
	want := 0
	for i, c := range all {
		if c.attributes["mail"] == nil || !listed(c) {
			continue
		}
		want++
		e := book[c.attributes["mail"][0]]
		if e == nil {
			t.Errorf("%s is not in the book", c.uid)
			continue
		}
		for field, attribute := range map[foyer.Field]string{foyer.FirstName: "givenName", foyer.LastName: "sn", foyer.DisplayName: "displayName",
			foyer.Title: "title", foyer.Division: "departmentNumber", foyer.DeskPhone: "telephoneNumber", foyer.Mobile: "mobile"} {
			said := ""
			if len(c.attributes[attribute]) > 0 {
				said = strings.TrimSpace(strings.ReplaceAll(c.attributes[attribute][0], "\t", " "))
			}
			if e.Values[field] != said {
				t.Errorf("%s: %v is %q in the book and %q in the directory", c.uid, field, e.Values[field], said)
			}
		}
		manager := ""
		if i > 0 && all[i/10].attributes["mail"] != nil {
			manager = all[i/10].attributes["mail"][0]
		}
		if !strings.EqualFold(e.Values[foyer.Manager], manager) {
			t.Errorf("%s: the manager is %q in the book and %q in the directory", c.uid, e.Values[foyer.Manager], manager)
		}
		if locked := c.attributes["pwdAccountLockedTime"] != nil; e.Enabled == locked {
			t.Errorf("%s: enabled is %v in the book, locked is %v in the directory", c.uid, e.Enabled, locked)
		}
		if t.Failed() && want > 20 {
			t.FailNow()
		}
	}
	if len(book) != want {
		t.Errorf("the book has %d entries; it should have %d", len(book), want)
	}
}

// TestSlapd_TheBookIsWhatTheDirectorySays holds the whole way: 2,000 people of a real OpenLDAP, which gives 500 entries at a time, speaks TLS only, and nests its groups.
func TestSlapd_TheBookIsWhatTheDirectorySays(t *testing.T) {
	all := staff(2000)
	s := foyertest.StartSlapd(t, ldif(all))
	nest(t, s, all)
	inGroups := func(c *colleague) bool { return !slices.Contains(c.groups, "nobody") }
	sites := "[[directory.site]]\nname = \"Toronto\"\ngroup = \"" + group("toronto") + "\"\n[[directory.site]]\nname = \"Montréal\"\nattribute = \"l\"\nvalues = [\"MONTRÉAL\"]\n"
	for _, nesting := range []string{"members", "memberof"} {
		t.Run(nesting, func(t *testing.T) {
			f := foyertest.Start(t)
			further := fmt.Sprintf("nesting = %q\ngroups = [%q]\ndisabled = \"send\"\ndisabled_filter = \"(pwdAccountLockedTime=000001010000Z)\"\npage_size = 300\n%s",
				nesting, strings.Replace(group("hosts"), ",ou=", ", OU = ", 1), sites)
			c := newCustomer(t, f, f.Script.URL, f.CAFile, directorySettings(s, further))
			sent := c.sendDirectory(t)
			if r := sent[0].Reply; r.Errors != 0 || r.Skipped != 0 || nesting == "members" && r.Added != sent[0].File.Rows {
				t.Errorf("the reply is %s", r.Text())
			}
			checkBook(t, f, all, inGroups)
			toronto, montreal := 0, 0
			for _, e := range f.Book(t) {
				if slices.Equal(e.Sites, []foyer.SiteID{1}) {
					toronto++
				} else if slices.Equal(e.Sites, []foyer.SiteID{2}) {
					montreal++
				}
			}
			if toronto+montreal != len(f.Book(t)) || toronto == 0 || montreal == 0 {
				t.Errorf("%d are at Toronto and %d at Montréal, of %d", toronto, montreal, len(f.Book(t)))
			}
			again := c.sendDirectory(t)
			if r := again[0].Reply; r.Added+r.Updated+r.Disabled+r.Enabled != 0 {
				t.Errorf("sent again, it changes something: %s", r.Text())
			}
		})
	}
}

// TestSlapd_AKeyForEachSite holds that one configuration serves two keys, each of which gets its site's people only.
func TestSlapd_AKeyForEachSite(t *testing.T) {
	all := staff(60)
	s := foyertest.StartSlapd(t, ldif(all))
	f := foyertest.Start(t)
	f.Script = f.NewKey(t, f.Org, store.NewKey{Site: 1})
	second := f.NewKey(t, f.Org, store.NewKey{Site: 2})
	c := newCustomer(t, f, second.URL, f.CAFile, fmt.Sprintf("site = \"Toronto\"\n[[key]]\nid = %q\nsecret_file = \"montreal.secret\"\nsite = \"Montréal\"\n%s",
		second.ClientID, directorySettings(s, "filter = \"(&(objectClass=inetOrgPerson)(!(l=Elsewhere)))\"\n[directory.map]\nsite = [\"l\"]\n")))
	c.write(t, "montreal.secret", second.ClientSecret)
	c.write(t, "ldap.secret", foyertest.SlapdSecret)
	config := c.load(t)
	files, err := push.FromDirectories(t.Context(), config, c.logger(), nil)
	if err != nil {
		t.Fatal(err)
	}
	sent, worst, err := push.Send(t.Context(), config, c.client(t, config), files, false)
	if err != nil || worst != push.Applied || len(sent) != 2 || sent[0].Reply.Added != 20 || sent[1].Reply.Added != 19 {
		t.Fatalf("%v, %v, %+v", worst, err, sent)
	}
	book := f.Book(t)
	listed := 0
	for _, p := range all {
		want := map[string][]foyer.SiteID{"Toronto": {1}, "montréal": {2}}[p.attributes["l"][0]]
		if p.attributes["mail"] == nil || want == nil {
			continue
		}
		listed++
		if e := book[p.attributes["mail"][0]]; e == nil || !slices.Equal(e.Sites, want) {
			t.Errorf("%s is %+v in the book; the sites should be %v", p.uid, e, want)
		}
	}
	if len(book) != listed {
		t.Errorf("the book has %d entries, and %d are at a site", len(book), listed)
	}
}

// TestSlapd_DyingAtAnyPageSendsNothing holds that of a directory that ends while it is read nothing is sent, whatever page it is at.
func TestSlapd_DyingAtAnyPageSendsNothing(t *testing.T) {
	all := staff(600)
	s := foyertest.StartSlapd(t, ldif(all))
	f := foyertest.Start(t)
	fr := newFront(t, f, func(n int, w http.ResponseWriter, r *http.Request, pass http.Handler) { pass.ServeHTTP(w, r) })
	c := newCustomer(t, f, fr.url, fr.caFile, directorySettings(s, "page_size = 100\ndisabled = \"send\"\ndisabled_filter = \"(pwdAccountLockedTime=000001010000Z)\""))
	c.write(t, "ldap.secret", foyertest.SlapdSecret)
	const pages = 6
	for k := range pages {
		page := 0
		_, err := push.FromDirectories(t.Context(), c.load(t), c.logger(), func(int) {
			if page++; page == k+1 {
				s.Kill()
			}
		})
		if err == nil || push.OutcomeOf(err) != push.NotRead || !strings.Contains(err.Error(), "nothing was sent") {
			t.Errorf("it dies after page %d: %v", k+1, err)
		}
		s.Start(t)
	}
	files, err := push.FromDirectories(t.Context(), c.load(t), c.logger(), nil)
	if err != nil || files[0].Rows != 585 {
		t.Errorf("of one that lives: %v, %v", files, err)
	}
	if n := fr.uploads.Load(); n != 0 || len(f.Book(t)) != 0 {
		t.Errorf("%d files were sent", n)
	}
}

// TestSlapd_WhatIsNotReadWholeIsAnError holds that each limit and slip that would let people vanish is an error that says what to do.
func TestSlapd_WhatIsNotReadWholeIsAnError(t *testing.T) {
	all := staff(600)
	s := foyertest.StartSlapd(t, ldif(all)+"dn: ou=elsewhere,ou=people,"+foyertest.SlapdBase+"\nobjectClass: referral\nobjectClass: extensibleObject\nou: elsewhere\nref: ldaps://other.test.com/ou=elsewhere,ou=people,"+
		foyertest.SlapdBase+"\n\ndn: ou=hidden,"+foyertest.SlapdBase+"\nobjectClass: organizationalUnit\nou: hidden\n\n")
	f := foyertest.Start(t)
	ignore := "referrals = \"ignore\"\n"
	for _, step := range []struct{ name, old, new, further, want string }{
		{"a reference", "", "", "", "refers to ldaps://other.test.com"},
		{"a reference that is ignored", "", "", ignore, ""},
		{"a reference that is excluded", "", "", "exclude = [\"ou=elsewhere,ou=people," + foyertest.SlapdBase + "\"]\n", ""},
		{"a page beyond the limit", "", "", ignore + "page_size = 600\n", "set page_size below"},
		{"an account with a limit for all pages", foyertest.SlapdReader, foyertest.SlapdLimited, ignore, "Exceeded\": the directory gives this account no more entries than a limit of its own"},
		{"another directory's base", "ou=people," + foyertest.SlapdBase, "dc=other,dc=org", ignore, "dc=other,dc=org"},
		{"a base that is not there", "ou=people,", "ou=staff,", ignore, "no such entry"},
		{"a base that is hidden", "ou=people,", "ou=hidden,", ignore, "no such entry"},
		{"a filter that finds nobody", "", "", ignore + "filter = \"(uid=nobody)\"\n", "nobody is found"},
		{"a group that is not there", "", "", ignore + "groups = [\"cn=hosts,ou=groups," + foyertest.SlapdBase + "\"]\n", "there is no group"},
		{"no email at all", "", "", ignore + "map.email = [\"labeledURI\"]\n", "have no email"},
		{"a wrong password", foyertest.SlapdReader, foyertest.SlapdAdmin + "x", ignore, "the name or the password is wrong"},
		{"another authority", s.CAFile, f.CAFile, ignore, "set ca_file"},
	} {
		text := directorySettings(s, step.further)
		if step.old != "" {
			text = strings.Replace(text, step.old, step.new, 1)
		}
		c := newCustomer(t, f, f.Script.URL, f.CAFile, text)
		c.write(t, "ldap.secret", foyertest.SlapdSecret)
		files, err := push.FromDirectories(t.Context(), c.load(t), c.logger(), nil)
		if step.want == "" {
			if err != nil || files[0].Rows != 585 {
				t.Errorf("%s: %v", step.name, err)
			}
			continue
		}
		if err == nil || push.OutcomeOf(err) != push.NotRead || !strings.Contains(err.Error(), step.want) {
			t.Errorf("%s: %v; it should say %q", step.name, err, step.want)
		}
		if err != nil && strings.Contains(err.Error()+c.log.String(), foyertest.SlapdSecret) {
			t.Errorf("%s: the password is in %v", step.name, err)
		}
	}
}

// TestSlapd_WhoIsDisabledMustBeKnown holds that people of whom a directory says neither that they are disabled nor that they are not, for the account may not read it, are an error
// that counts them.
func TestSlapd_WhoIsDisabledMustBeKnown(t *testing.T) {
	sealed := "ou=sealed,ou=people," + foyertest.SlapdBase
	more := "dn: " + sealed + "\nobjectClass: organizationalUnit\nou: sealed\n\n"
	for _, uid := range []string{"ann", "rob"} {
		more += "dn: uid=" + uid + "," + sealed + "\nobjectClass: inetOrgPerson\nuid: " + uid + "\ncn: " + uid + "\nsn: " + uid + "\nmail: " + uid + "@test.com\n\n"
	}
	s := foyertest.StartSlapd(t, ldif(staff(20))+more)
	f := foyertest.Start(t)
	for _, step := range []struct {
		further string
		rows    int
		want    string
	}{
		{"", 21, ""}, // of staff(20), one has no email
		{"disabled_filter = \"(pwdAccountLockedTime=000001010000Z)\"\n", 0, "does not say of 2 people whether they are disabled"},
		{"disabled = \"send\"\ndisabled_filter = \"(pwdAccountLockedTime=000001010000Z)\"\n", 0, "does not say of 2 people whether they are disabled"},
		{"disabled_filter = \"(noSuchAttribute=TRUE)\"\n", 0, "does not say of 22 people whether they are disabled"},
		{"disabled_filter = \"(pwdAccountLockedTime=000001010000Z)\"\nexclude = [\"" + sealed + "\"]\n", 18, ""}, // and one is locked
	} {
		c := newCustomer(t, f, f.Script.URL, f.CAFile, directorySettings(s, step.further))
		c.write(t, "ldap.secret", foyertest.SlapdSecret)
		files, err := push.FromDirectories(t.Context(), c.load(t), c.logger(), nil)
		if step.want == "" && (err != nil || files[0].Rows != step.rows) {
			t.Errorf("%q: %v, %+v", step.further, err, files)
		} else if step.want != "" && (push.OutcomeOf(err) != push.NotRead || !strings.Contains(err.Error(), step.want)) {
			t.Errorf("%q: %v; it should say %q", step.further, err, step.want)
		}
	}
}

// TestSlapd_StartTLS holds that ldap:// speaks TLS before it says anything.
func TestSlapd_StartTLS(t *testing.T) {
	s := foyertest.StartSlapd(t, ldif(staff(5)))
	f := foyertest.Start(t)
	for caFile, want := range map[string]string{s.CAFile: "", f.CAFile: "set ca_file"} {
		text := strings.NewReplacer(s.URL, s.StartTLS, s.CAFile, caFile).Replace(directorySettings(s, ""))
		c := newCustomer(t, f, f.Script.URL, f.CAFile, text)
		c.write(t, "ldap.secret", foyertest.SlapdSecret)
		_, err := push.FromDirectories(t.Context(), c.load(t), c.logger(), nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", caFile, err)
		}
	}
}

package directory_test

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"foyer"
	"foyer/foyertest"
	"foyer/push"
)

// others is what an OpenLDAP beside an Active Directory holds: a manager of somebody there, somebody whose manager is there, and somebody who has a disabled account there.
const others = `dn: uid=boss,ou=people,dc=test,dc=com
objectClass: inetOrgPerson
uid: boss
cn: Boss
sn: Boss
mail: boss@test.com

dn: uid=rob,ou=people,dc=test,dc=com
objectClass: inetOrgPerson
uid: rob
cn: Rob
sn: Jones
mail: rob@test.com
manager: cn=Ann, dc=CORP,dc=example,dc=com

dn: uid=dora,ou=people,dc=test,dc=com
objectClass: inetOrgPerson
uid: dora
cn: Dora
sn: Now
mail: dora@test.com

`

// TestTogether_TwoDirectoriesAreOneBook holds the whole way of one file of settings with an Active Directory and an OpenLDAP, in either order: managers are found across both, who has an enabled account in one is not disabled
// by that in the other, and the doctor foresees what is sent.
func TestTogether_TwoDirectoriesAreOneBook(t *testing.T) {
	ad := startFakeAD(t)
	account := func(name string, attributes map[string][]string) {
		attributes["objectClass"] = []string{"user"}
		attributes["sn"] = []string{"of AD"}
		ad.put("CN="+name+","+adBase, attributes)
	}
	account("ann", map[string][]string{"mail": {"ann@test.com"}, "manager": {"uid=boss,ou=people,dc=test,dc=com"}})
	account("dora", map[string][]string{"mail": {"Dora@TEST.com"}, "userAccountControl": {"514"}})
	account("gus", map[string][]string{"mail": {"gus@test.com"}, "accountExpires": {"1"}})
	s := foyertest.StartSlapd(t, others)
	one := fmt.Sprintf("[[directory]]\nname = \"AD\"\nkind = \"ad\"\nurls = [%q]\nca_file = %q\nbind_dn = %q\npassword_file = \"ad.secret\"\nbases = [%q]\ndisabled = \"send\"\n", ad.url, ad.caFile, adUser, adBase)
	two := fmt.Sprintf("[[directory]]\nname = \"LDAP\"\nkind = \"ldap\"\nurls = [%q]\nca_file = %q\nbind_dn = %q\npassword_file = \"ldap.secret\"\nbases = [%q]\n", s.URL, s.CAFile, foyertest.SlapdReader, "ou=people,"+foyertest.SlapdBase)
	for name, directories := range map[string]string{"AD first": one + two, "LDAP first": two + one} {
		t.Run(name, func(t *testing.T) { together(t, directories) })
	}
}

// together sends the people of the directories of those settings, and looks what is in the book.
func together(t *testing.T, directories string) {
	f := foyertest.Start(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "foyer-push.toml")
	for name, text := range map[string]string{"ad.secret": adPassword, "ldap.secret": foyertest.SlapdSecret, "key.secret": f.Script.ClientSecret,
		"foyer-push.toml": fmt.Sprintf("[server]\nurl = %q\nca_file = %q\nproxy = \"none\"\n[[key]]\nid = %q\nsecret_file = \"key.secret\"\n%s", f.Script.URL, f.CAFile, f.Script.ClientID, directories)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	var said strings.Builder
	getenv := func(string) string { return "" }
	outcome := push.Doctor(t.Context(), push.DoctorConfig{File: file, Getenv: getenv, Log: log, Report: func(c push.Check) { fmt.Fprintf(&said, "[%s] %s %v\n", c.Name, c.Said, c.Err) }})
	if outcome != push.Applied || !strings.Contains(said.String(), "5 to send: 1 disabled accounts have the email of an enabled one in another directory") || !strings.Contains(said.String(), "DRY RUN would have: added=5 ") {
		t.Errorf("the doctor: %v\n%s", outcome, said.String())
	}
	config, err := push.Load(file, getenv)
	if err != nil {
		t.Fatal(err)
	}
	files, err := push.FromDirectories(t.Context(), config, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := push.NewClient(config, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	if sent, worst, err := push.Send(t.Context(), config, client, files, false); err != nil || worst != push.Applied || sent[0].Reply.Added != 5 {
		t.Fatalf("%v, %v, %+v", worst, err, sent)
	}
	book := f.Book(t)
	for email, want := range map[string]struct {
		last, manager string
		enabled       bool
	}{"ann@test.com": {"of AD", "boss@test.com", true}, "boss@test.com": {"Boss", "", true}, "rob@test.com": {"Jones", "ann@test.com", true}, "dora@test.com": {"Now", "", true}, "gus@test.com": {"of AD", "", false}} {
		e := book[email]
		if e == nil || e.Values[foyer.LastName] != want.last || e.Values[foyer.Manager] != want.manager || e.Enabled != want.enabled {
			t.Errorf("%s is %+v in the book; it should be %+v", email, e, want)
		}
	}
	if len(book) != 5 {
		t.Errorf("the book has %d entries", len(book))
	}
}

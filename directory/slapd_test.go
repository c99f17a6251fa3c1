package directory_test

import (
	"strings"
	"testing"

	"foyer"
	"foyer/directory"
	"foyer/foyertest"
)

// TestSlapd_AManagerWhoIsNoNameKeepsNobodyBack holds that a manager whom the directory refuses to look for is left out, with a warning, rather than everybody.
func TestSlapd_AManagerWhoIsNoNameKeepsNobodyBack(t *testing.T) {
	s := foyertest.StartSlapd(t, strings.Replace(others, "manager: cn=Ann, dc=CORP,dc=example,dc=com", "description: Team=Red", 1))
	c := directory.Config{Kind: "ldap", URLs: []string{s.URL}, CAFile: s.CAFile, BindDN: foyertest.SlapdReader, Bases: []string{"ou=people," + foyertest.SlapdBase}, Map: map[string][]string{"manager": {"description"}}}
	r, err := directory.Read(t.Context(), c, directory.Options{Password: foyertest.SlapdSecret})
	if err != nil || len(r.People) != 3 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "managers or assistants") {
		t.Fatalf("%v, %+v", err, r)
	}
	for _, p := range r.People {
		if p.Values[foyer.Manager] != "" {
			t.Errorf("the manager of %s is %q", p.DN, p.Values[foyer.Manager])
		}
	}
}

// TestConnect_TheOtherPortIsExplained holds that who asks for ldaps where ldap is spoken is told that there are two ports.
func TestConnect_TheOtherPortIsExplained(t *testing.T) {
	s := foyertest.StartSlapd(t, others)
	for _, scheme := range []string{"ldap:", "ldaps:"} {
		url := scheme + s.URL[strings.Index(s.URL, "//"):]
		if url == s.URL {
			continue
		}
		c := directory.Config{Kind: "ldap", URLs: []string{url}, CAFile: s.CAFile, BindDN: foyertest.SlapdReader, Bases: []string{"ou=people," + foyertest.SlapdBase}}
		_, err := directory.Read(t.Context(), c, directory.Options{Password: foyertest.SlapdSecret})
		if err == nil || !strings.Contains(err.Error(), "389 for ldap, which has StartTLS, and 636 for ldaps") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestExclude_ANameThatIsWrittenOddlyIsExcludedToo holds that who is to be left out is not sent for a name that the library cannot read.
func TestExclude_ANameThatIsWrittenOddlyIsExcludedToo(t *testing.T) {
	for dn, want := range map[string]bool{`CN=50\% done,OU=Out,DC=x`: true, `CN=50\% done,OU=In,DC=x`: false, `CN=ann,ou=out, dc=X`: true, `OU=Out,DC=x`: true, `OU=Throughout,DC=x`: false} {
		if got := directory.IsBelowAny(dn, []string{"OU=Out, DC=x"}); got != want {
			t.Errorf("%s: %v", dn, got)
		}
	}
}

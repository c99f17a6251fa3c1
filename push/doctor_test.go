package push_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"foyer/foyertest"
	"foyer/push"
)

// examine returns what the doctor says: the outcome, and a line of each step.
func examine(t *testing.T, c *customer, csv string) (push.Outcome, string) {
	t.Helper()
	var said strings.Builder
	outcome := push.Doctor(context.Background(), push.DoctorConfig{
		File: filepath.Join(c.dir, "foyer-push.toml"), Getenv: func(string) string { return "" }, CSV: csv, Log: c.logger(),
		Report: func(check push.Check) {
			state := "ok"
			if check.Needed != "" {
				state = "skip, needs " + check.Needed
			} else if check.Err != nil {
				state = "FAIL " + check.Err.Error()
			}
			fmt.Fprintf(&said, "[%s] %s %s\n", check.Name, state, strings.ReplaceAll(check.Said, "\n", " / "))
		},
	})
	return outcome, said.String()
}

// TestDoctor_AllIsWell holds that each step is looked at, and that nothing is changed.
func TestDoctor_AllIsWell(t *testing.T) {
	all := staff(60)
	s := foyertest.StartSlapd(t, ldif(all))
	f := foyertest.Start(t)
	c := newCustomer(t, f, f.Script.URL, f.CAFile, "name = \"all\"\n"+directorySettings(s, "name = \"main\"\n[directory.map]\nsite = [\"l\"]"))
	c.write(t, "ldap.secret", foyertest.SlapdSecret)
	outcome, said := examine(t, c, "")
	for _, want := range []string{"[settings] ok", "[secrets] ok 2 read", "[proxy] ok none", "[name] ok 127.0.0.1", "[TLS] ok TLS 1.3", "[clock] ok", "[key all] ok accepted",
		"[directory main] ok OpenLDAP", "[people main] ok 58 to send", "left out: 2 without email", "at Toronto: 20", "[columns main] ok", "email: 58, from mail", "[dry run all] ok DRY RUN would have: added="} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	if outcome != push.Applied {
		t.Errorf("the outcome is %v", outcome)
	}
	if len(f.Book(t)) != 0 {
		t.Error("it changed the book")
	}
	if strings.Contains(said, foyertest.SlapdSecret) || strings.Contains(said, f.Script.ClientSecret) {
		t.Errorf("it tells a secret:\n%s", said)
	}
}

// TestDoctor_SaysWhatIsInTheWay holds that a step that is not well is named, with what to do, and that what needs it is not looked at.
func TestDoctor_SaysWhatIsInTheWay(t *testing.T) {
	s := foyertest.StartSlapd(t, ldif(staff(5)))
	f := foyertest.Start(t)
	good := newCustomer(t, f, f.Script.URL, f.CAFile, "name = \"all\"\n"+directorySettings(s, "name = \"main\"\n")).read(t, "foyer-push.toml")
	for _, step := range []struct {
		old, new string
		outcome  push.Outcome
		want     []string
	}{
		{"[server]", "[sever]", push.Misused, []string{"[settings] FAIL", "there is no setting sever"}},
		{"key.secret", "none.secret", push.Misused, []string{"[secrets] FAIL", "none.secret", "[key all] skip, needs secrets", "[directory main] ok"}},
		{f.Script.URL, "https://no-such-name.invalid", push.Unreachable, []string{"[name] FAIL", "is not known", "[key all] skip, needs server", "[people main] ok", "[dry run all] skip, needs key all"}},
		{f.CAFile, s.CAFile, push.Unreachable, []string{"[TLS] FAIL", "set ca_file"}},
		{f.Script.ClientID, "fk_other", push.Refused, []string{"[key all] FAIL", "may not be used from this address", "foyer key show fk_other"}},
		{s.URL, "ldaps://127.0.0.1:1", push.NotRead, []string{"[directory main] FAIL", "may this machine reach port 1", "[dry run] skip, needs directory"}},
		{foyertest.SlapdReader, "cn=other", push.NotRead, []string{"[directory main] FAIL", "check bind_dn"}},
		{"ou=people", "ou=staff", push.NotRead, []string{"[directory main] ok", "[people main] FAIL", "no such entry"}},
		{"name = \"all\"", "name = \"all\"\nsite = \"Toronto\"", push.NotRead, []string{"[sites] FAIL", "5 people would be in no file: ", "(at no site)"}},
	} {
		text := strings.Replace(good, step.old, step.new, 1)
		if text == good {
			t.Fatalf("%q is not in the settings", step.old)
		}
		c := newCustomer(t, f, f.Script.URL, f.CAFile, "")
		c.write(t, "ldap.secret", foyertest.SlapdSecret)
		c.write(t, "foyer-push.toml", text)
		outcome, said := examine(t, c, "")
		for _, want := range step.want {
			if !strings.Contains(said, want) {
				t.Errorf("%q for %q: it does not say %q:\n%s", step.new, step.old, want, said)
			}
		}
		if outcome != step.outcome {
			t.Errorf("%q for %q: the outcome is %v, not %v", step.new, step.old, outcome, step.outcome)
		}
	}
}

// TestDoctor_TriesAFile holds that a CSV is looked at too: how its headers are read, and what the server would do with it.
func TestDoctor_TriesAFile(t *testing.T) {
	f := foyertest.Start(t)
	c := newCustomer(t, f, f.Script.URL, f.CAFile, "name = \"all\"\n")
	outcome, said := examine(t, c, c.write(t, "staff.csv", "mail;sn;Shoe size\nann@test.com;Lee;38\n"))
	if outcome != push.Applied || !strings.Contains(said, "[file of all] ok 1 rows, 3 columns: mail, sn, Shoe size / Shoe size: this column is unknown") || !strings.Contains(said, "[dry run all] ok DRY RUN would have: added=1") {
		t.Errorf("%v:\n%s", outcome, said)
	}
	outcome, said = examine(t, c, c.write(t, "staff.csv", "name;title\nAnn Lee;Boss\n"))
	if outcome != push.Refused || !strings.Contains(said, "no email column") {
		t.Errorf("%v:\n%s", outcome, said)
	}
	if outcome, said = examine(t, c, ""); outcome != push.Misused || !strings.Contains(said, "nothing to try") {
		t.Errorf("%v:\n%s", outcome, said)
	}
}

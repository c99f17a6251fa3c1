package push_test

import (
	"strings"
	"testing"

	"foyer"
	"foyer/directory"
	"foyer/foyertest"
	"foyer/push"
)

// TestFromCSV_WhatIsBrokenIsNotSent holds that a file which was cut or is broken is an error before anything is sent.
func TestFromCSV_WhatIsBrokenIsNotSent(t *testing.T) {
	f := foyertest.Start(t)
	c := newCustomer(t, f, f.Script.URL, f.CAFile, "")
	config := c.load(t)
	for name, text := range map[string]string{
		"cut in a row":   "EMAIL,TITLE,DIVISION\nann@test.com,Boss,Sales\nrob@te",
		"an open quote":  "EMAIL,TITLE\nann@test.com,\"Boss\nrob@test.com,Clerk\n",
		"no rows":        "EMAIL,TITLE\n",
		"nothing at all": "",
		"a workbook":     "PK\x03\x04 and so on, which is a ZIP file",
	} {
		if _, err := push.FromCSV(config, c.write(t, "staff.csv", text), ""); err == nil || push.OutcomeOf(err) != push.NotRead {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := push.FromCSV(config, c.dir+"/none.csv", ""); push.OutcomeOf(err) != push.NotRead {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestFromCSV_HeadersAreTheServersBusiness holds that a file whose headers mean nothing here is sent: the source may map its own.
func TestFromCSV_HeadersAreTheServersBusiness(t *testing.T) {
	f := foyertest.Start(t)
	c := newCustomer(t, f, f.Script.URL, f.CAFile, "")
	const text = "Courriel;Nom\nann@test.com;Lee\n"
	files, err := push.FromCSV(c.load(t), c.write(t, "staff.csv", text), "")
	if err != nil || len(files) != 1 || string(files[0].CSV) != text {
		t.Fatalf("%v, %v", files, err)
	}
	sent, outcome := c.send(t, text, false)
	if outcome != push.Refused || !strings.Contains(sent.Err.Error(), "email column") {
		t.Errorf("%v, %v", outcome, sent.Err)
	}
}

// TestFromPeople_SitesAreComparedAsTheServerDoes holds that case, accents and spacing keep nobody out of the file of their site, that the office counts where there is no site, and that
// whom no key would get are an error, which names a few.
func TestFromPeople_SitesAreComparedAsTheServerDoes(t *testing.T) {
	person := func(email, office string, sites ...string) directory.Person {
		p := directory.Person{Sites: sites}
		p.Values[foyer.Email], p.Office = email, office
		return p
	}
	keys := []push.Key{{Name: "t", Site: "Toronto"}, {Name: "m", Site: "Saint-Jérôme"}}
	people := []directory.Person{person("ann@test.com", "", " toronto "), person("rob@test.com", "TORONTO"), person("zoe@test.com", "Toronto", "SAINT - JEROME"), person("eve@test.com", "", "Toronto", "saint-jérôme")}
	files, err := push.FromPeople(keys, people)
	if err != nil || files[0].Rows != 3 || files[1].Rows != 2 || strings.Contains(string(files[0].CSV), "zoe") {
		t.Fatalf("%v, %+v", err, files)
	}
	lost := append(people, person("a@test.com", "3rd floor"), person("b@test.com", ""), person("c@test.com", "Toronto", "Paris"), person("d@test.com", ""))
	_, err = push.FromPeople(keys, lost)
	if push.OutcomeOf(err) != push.NotRead || !strings.Contains(err.Error(), "4 people would be in no file: a@test.com (at 3rd floor), b@test.com (at no site), c@test.com (at Paris) …;") {
		t.Errorf("whom no key would get: %v", err)
	}
	if files, err := push.FromPeople(append(keys, push.Key{Name: "all"}), lost); err != nil || files[2].Rows != 8 {
		t.Errorf("with a key for all: %v", err)
	}
}

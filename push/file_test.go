package push_test

import (
	"strings"
	"testing"

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

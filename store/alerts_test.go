package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"foyer"
)

// openAlerts returns the causes of an organization's open alerts, the newest first.
func openAlerts(t *testing.T, s *Store, org foyer.OrgID) string {
	t.Helper()
	alerts, err := s.Alerts(t.Context(), operator, org, false)
	if err != nil {
		t.Fatal(err)
	}
	causes := []string{}
	for _, a := range alerts {
		causes = append(causes, a.Cause)
	}
	return strings.Join(causes, " ")
}

// newSource makes a source of an organization.
func newSource(t *testing.T, s *Store, org foyer.OrgID, source foyer.Source) foyer.SourceID {
	t.Helper()
	source.Kind = foyer.CSV
	made, err := s.CreateSource(t.Context(), operator, org, source)
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// record stores a run of a source.
func record(t *testing.T, s *Store, org foyer.OrgID, r foyer.Run) *foyer.Run {
	t.Helper()
	if r.Kind == "" {
		r.Kind = foyer.Sync
	}
	if err := s.RecordRun(t.Context(), operator, Act{Org: org, Right: foyer.SyncBook, Source: r.Source}, &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

// TestR27_RunsOpenAndCloseAlerts holds which runs open and close what.
func TestR27_RunsOpenAndCloseAlerts(t *testing.T) {
	s := openTest(t)
	org := newOrg(t, s).ID
	hr := newSource(t, s, org, foyer.Source{Name: "hr"})
	other := newSource(t, s, org, foyer.Source{Name: "other"})
	record(t, s, org, foyer.Run{Source: other, Status: foyer.Refused})
	for _, step := range []struct {
		status foyer.RunStatus
		want   string
	}{
		{foyer.Refused, "refused:S-1"}, {foyer.Failed, "failed:S-1 refused:S-1"}, {foyer.Failed, "failed:S-1 refused:S-1"}, {foyer.Held, "held:S-1"},
		{foyer.Held, "held:S-1"}, {foyer.Refused, "refused:S-1 held:S-1"}, {"undone", "refused:S-1 held:S-1"}, {foyer.Applied, ""}, {foyer.Held, "held:S-1"}, {foyer.Applied, ""},
	} {
		r := record(t, s, org, foyer.Run{Source: hr, Status: step.status, Message: "would disable 412 of 900 (limit 20%)"})
		want := strings.TrimSpace(step.want + " refused:S-2") // the other source's stays as it is
		if got := openAlerts(t, s, org); got != want {
			t.Errorf("after %v, %s, the open alerts are %q, want %q", r.ID, r.Status, got, want)
		}
	}
	record(t, s, org, foyer.Run{Kind: foyer.Edit, Status: foyer.Applied})
	if got := openAlerts(t, s, org); got != "refused:S-2" {
		t.Errorf("after an edit the open alerts are %q", got)
	}
}

func TestR27_AlertSaysWhatAndWhatToDo(t *testing.T) {
	s := openTest(t)
	org := newOrg(t, s)
	hr := newSource(t, s, org.ID, foyer.Source{Name: "hr"})
	r := record(t, s, org.ID, foyer.Run{Source: hr, Status: foyer.Held, Message: "would disable 412 of 900 (limit 20%). Nothing changed."})
	alerts, err := s.Alerts(t.Context(), operator, org.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	a := alerts[0]
	if a.ID != 1 || a.Title != `sync of "hr" held: would disable 412 of 900` || a.Run != r.ID || a.Source != hr || !a.Opened.Equal(r.Finished.Truncate(time.Millisecond)) {
		t.Errorf("the alert is %+v", a)
	}
	if !strings.Contains(a.Message, `the source "hr"`) || !strings.Contains(a.Message, "412 of 900 (limit 20%)") || !strings.Contains(a.Cure, "foyer run show --org elan-fils-2 R-1") {
		t.Errorf("the alert is %+v", a)
	}
}

// TestR27_DecisionClosesAHeldRun holds what whoever decides on a held run calls.
func TestR27_DecisionClosesAHeldRun(t *testing.T) {
	s := openTest(t)
	org := newOrg(t, s).ID
	hr := newSource(t, s, org, foyer.Source{Name: "hr"})
	record(t, s, org, foyer.Run{Source: hr, Status: foyer.Held})
	err := s.transact(t.Context(), org, "reject", func(t *txn) error {
		return closeAlert(t, org, foyer.AlertCause(foyer.AlertHeld, hr), ending{s.clock(), "R-1 was rejected"})
	})
	if err != nil || openAlerts(t, s, org) != "" {
		t.Errorf("the open alerts are %q, %v", openAlerts(t, s, org), err)
	}
}

// TestR27_ReplayIsOverWithAnotherFile holds that a run which applied an old file raises an alert, and the next that does not ends it.
func TestR27_ReplayIsOverWithAnotherFile(t *testing.T) {
	s := openTest(t)
	org := newOrg(t, s).ID
	hr := newSource(t, s, org, foyer.Source{Name: "hr"})
	apply := func(old foyer.RunID) {
		t.Helper()
		err := s.transact(t.Context(), org, "apply", func(tx *txn) (err error) {
			r := &foyer.Run{Kind: foyer.Sync, Source: hr, Status: foyer.Applied, Finished: s.clock()}
			if r.ID, err = nextRun(tx, org); err != nil {
				return err
			}
			if old != 0 {
				if err := replayed(tx, org, r, old, r.Finished); err != nil {
					return err
				}
			}
			return insertRun(tx, org, r)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for n, step := range []struct {
		old  foyer.RunID
		want string
	}{{0, ""}, {0, ""}, {1, "replayed:S-1"}, {2, "replayed:S-1"}, {0, ""}} {
		apply(step.old)
		if got := openAlerts(t, s, org); got != step.want {
			t.Errorf("after R-%d the open alerts are %q, want %q", n+1, got, step.want)
		}
	}
	all, err := s.Alerts(t.Context(), operator, org, true)
	if err != nil || len(all) != 1 || all[0].Run != 4 || !strings.Contains(all[0].Message, "R-4 applied the very file of \"hr\" that R-2 had applied") {
		t.Errorf("the alerts are %+v, %v", all, err)
	}
}

// TestR27_FailedTransactionOpensNothing holds that an alert is there with its run, or neither is.
func TestR27_FailedTransactionOpensNothing(t *testing.T) {
	s := openTest(t)
	org := newOrg(t, s).ID
	r := &foyer.Run{Kind: foyer.Sync, Source: 7, Status: foyer.Refused} // of a source that is not there
	if err := s.RecordRun(t.Context(), operator, Act{Org: org, Right: foyer.SyncBook, Source: r.Source}, r); foyer.KindOf(err) != foyer.NotFound {
		t.Errorf("the error is %v", err)
	}
	runs, err := s.Runs(t.Context(), operator, org, 0, true)
	if err != nil || len(runs) != 0 || openAlerts(t, s, org) != "" {
		t.Errorf("there are the runs %v, the alerts %q, %v", runs, openAlerts(t, s, org), err)
	}
}

// TestR27_WatchingWritesNothingWhereNothingTurns holds that the job which runs every minute does not wait for the writer.
func TestR27_WatchingWritesNothingWhereNothingTurns(t *testing.T) {
	s := openTest(t)
	org := newOrg(t, s).ID
	record(t, s, org, foyer.Run{Source: newSource(t, s, org, foyer.Source{Name: "hr"}), Status: foyer.Applied})
	err := s.transact(t.Context(), org, "write", func(*txn) error {
		for name, watch := range map[string]func() error{
			"sources": func() error { return s.WatchSources(t.Context(), operator) },
			"keys":    func() error { return s.WatchKeys(t.Context(), operator) },
			"news":    func() error { _, err := s.TakeNews(t.Context(), operator); return err },
			"mail":    func() error { _, err := s.TakeMail(t.Context(), operator, 1); return err },
			"old":     func() error { _, err := s.DropMail(t.Context(), operator); return err },
		} {
			if err := watch(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestR27_AlertsAreTheOrganizationsOwn holds that another organization's key sees none, and that no key changes contacts or works the lists
// that span organizations.
func TestR27_AlertsAreTheOrganizationsOwn(t *testing.T) {
	s := openTest(t)
	org := newOrg(t, s).ID
	all := foyer.ScopeRead | foyer.ScopeSync
	stranger := foyer.KeyCaller("zzzzzz", &foyer.Key{ID: "fk_x", Source: 1, Scopes: all}, 1, all, operator.Address)
	own := foyer.KeyCaller(org, &foyer.Key{ID: "fk_x", Source: 1, Scopes: all}, 1, all, operator.Address)
	if _, err := s.Alerts(t.Context(), own, org, true); err != nil {
		t.Errorf("a key that may read gets %v", err)
	}
	contact := foyer.Contact{Email: "it@test.com"}
	for name, call := range map[string]func(foyer.Caller) error{
		"Alerts":        func(c foyer.Caller) error { _, err := s.Alerts(t.Context(), c, org, false); return err },
		"Contacts":      func(c foyer.Caller) error { _, err := s.Contacts(t.Context(), c, org); return err },
		"AddContact":    func(c foyer.Caller) error { _, err := s.AddContact(t.Context(), c, org, contact); return err },
		"RemoveContact": func(c foyer.Caller) error { return s.RemoveContact(t.Context(), c, org, contact.Email) },
	} {
		if err := call(stranger); foyer.KindOf(err) != foyer.NotFound || err.Error() != "there is no such organization" {
			t.Errorf("%s: a stranger gets %v", name, err)
		}
		if err := call(own); name != "Alerts" && foyer.KindOf(err) != foyer.Forbidden {
			t.Errorf("%s: a key gets %v", name, err)
		}
	}
	for name, call := range map[string]func(foyer.Caller) error{
		"WatchSources": func(c foyer.Caller) error { return s.WatchSources(t.Context(), c) },
		"WatchKeys":    func(c foyer.Caller) error { return s.WatchKeys(t.Context(), c) },
		"TakeNews":     func(c foyer.Caller) error { _, err := s.TakeNews(t.Context(), c); return err },
		"TakeMail":     func(c foyer.Caller) error { _, err := s.TakeMail(t.Context(), c, 1); return err },
		"MailSent":     func(c foyer.Caller) error { return s.MailSent(t.Context(), c, &Mail{}) },
		"MailFailed":   func(c foyer.Caller) error { return s.MailFailed(t.Context(), c, &Mail{}) },
		"DropMail":     func(c foyer.Caller) error { _, err := s.DropMail(t.Context(), c); return err },
	} {
		for _, c := range []foyer.Caller{own, stranger, {}} {
			if err := call(c); foyer.KindOf(err) != foyer.NotFound {
				t.Errorf("%s: %s gets %v", name, c.Name, err)
			}
		}
	}
}

func TestAddContact_TakesAddressesThatMailCanBeSentTo(t *testing.T) {
	s := openTest(t)
	org := newOrg(t, s).ID
	for _, c := range []struct {
		email, stored string
		kind          foyer.Kind
	}{
		{" IT@Bücher.example ", "IT@xn--bcher-kva.example", 0}, {"it@bücher.example", "", foyer.Conflict}, {"nonsense", "", foyer.Invalid},
		{"jörg@test.com", "", foyer.Invalid}, {"a@test.com\r\nBcc: b@test.com", "", foyer.Invalid}, {"", "", foyer.Invalid},
	} {
		made, err := s.AddContact(t.Context(), operator, org, foyer.Contact{Email: c.email})
		if err == nil && made.Email != c.stored || err != nil && foyer.KindOf(err) != c.kind || (err == nil) != (c.stored != "") {
			t.Errorf("%q gives %q, %v", c.email, made.Email, err)
		}
	}
	if _, err := s.AddContact(t.Context(), operator, org, foyer.Contact{Email: "b@test.com", Name: "x\ny"}); foyer.KindOf(err) != foyer.Invalid {
		t.Errorf("a name of two lines gives %v", err)
	}
	if _, err := s.AddContact(t.Context(), operator, "qqqqqq", foyer.Contact{Email: "b@test.com"}); foyer.KindOf(err) != foyer.NotFound {
		t.Errorf("an organization that is not there gives %v", err)
	}
	for n := range maxContacts {
		_, err := s.AddContact(t.Context(), operator, org, foyer.Contact{Email: fmt.Sprintf("p%d@test.com", n)})
		if full := n == maxContacts-1; (foyer.KindOf(err) == foyer.Invalid) != full || !full && err != nil {
			t.Errorf("contact %d gives %v", n+2, err)
		}
	}
	if contacts, err := s.Contacts(t.Context(), operator, org); err != nil || len(contacts) != maxContacts {
		t.Errorf("there are %d contacts, %v", len(contacts), err)
	}
}

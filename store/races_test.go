package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"foyer"
	"foyer/store"
	"foyer/store/storetest"
)

// TestBeside_DoesNotWaitForSyncs holds that a key can be revoked, and a site made in an organization at rest, however many syncs of others are under way, and however many wait for one.
func TestBeside_DoesNotWaitForSyncs(t *testing.T) {
	if !storetest.OnPostgres() {
		return // there a sync does not hold the writer while it is worked out
	}
	w := startWorld(t)
	began, release := make(chan bool), make(chan bool)
	var all sync.WaitGroup
	busy, err := w.Store.CreateOrg(t.Context(), w.Operator, "Busy", "CA")
	w.must(err)
	syncs := 6 // of organizations of their own; two connections are left for those at rest
	for i := range syncs {
		org := busy
		if i > 0 {
			org, err = w.Store.CreateOrg(t.Context(), w.Operator, fmt.Sprint("Busy ", i), "CA")
			w.must(err)
		}
		all.Go(func() {
			err := w.Store.Update(context.Background(), w.Operator, store.Act{Org: org.ID, Right: foyer.EditBook}, func(*store.Book) (*store.Delta, error) {
				began <- true
				<-release
				return nil, nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range syncs {
		<-began
	}
	for range 12 { // files that are refused wait for the sync of their organization
		all.Go(func() {
			r := &foyer.Run{Kind: foyer.Sync, Status: foyer.Refused, Started: w.Clock.Now()}
			if err := w.Store.RecordRun(context.Background(), w.Operator, store.Act{Org: busy.ID, Right: foyer.EditBook}, r); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	w.must(w.Store.RevokeKey(ctx, w.Operator, w.Org.ID, w.spare))
	_, err = w.Store.CreateSite(ctx, w.Operator, w.Org.ID, foyer.Site{Name: "Ottawa"})
	w.must(err)
	close(release)
	all.Wait()
}

// TestR18_AKeyRevokedWhileItsSyncIsWrittenWritesNothing holds that nothing is written by a key whose end was confirmed, to the last moment.
func TestR18_AKeyRevokedWhileItsSyncIsWrittenWritesNothing(t *testing.T) {
	if !storetest.OnPostgres() {
		return // there nobody else writes meanwhile
	}
	w := startWorld(t)
	caller := w.callers()["sync"]
	err := w.Store.Update(t.Context(), caller, store.Act{Org: w.Org.ID, Right: foyer.SyncBook, Source: 1}, func(b *store.Book) (*store.Delta, error) {
		return &store.Delta{Run: &foyer.Run{Kind: foyer.Sync, Source: 1, Status: foyer.Applied}, Writes: func(yield func(*store.Write, error) bool) {
			if err := w.Store.RevokeKey(context.Background(), w.Operator, w.Org.ID, caller.Key); err != nil {
				t.Error(err)
			}
			e := &foyer.Entry{ID: b.NextEntry, Enabled: true}
			e.Values[foyer.Email] = "late@test.com"
			yield(&store.Write{ID: e.ID, Entry: e, New: true, Key: "late@test.com"}, nil)
		}}, nil
	})
	if foyer.KindOf(err) != foyer.Unauthenticated {
		t.Errorf("the error is %v", err)
	}
	if w.Book(t)["late@test.com"] != nil {
		t.Error("it was written")
	}
}

// TestMail_OfNobodyStopsNoOther holds that a message to a contact that is gone is dropped, and that those of others are taken all the same.
func TestMail_OfNobodyStopsNoOther(t *testing.T) {
	w := startWorld(t)
	for {
		news, err := w.Store.TakeNews(t.Context(), w.Operator)
		w.must(err)
		if len(news) == 0 {
			break
		}
	}
	insert := `INSERT INTO alert_mail (org, alert, over, mailbox, made_at, attempts, next_try) VALUES ('` + string(w.Org.ID) + `', 1, 0, 'gone@acme.example', 1, 0, 0)`
	db := w.open()
	if storetest.OnPostgres() {
		insert = `SET foyer.org = '` + string(w.Org.ID) + `'; ` + insert
	}
	_, err := db.Exec(insert)
	w.must(err)
	mails, err := w.Store.TakeMail(t.Context(), w.Operator, 20)
	if err != nil || len(mails) == 0 {
		t.Errorf("%d messages, %v", len(mails), err)
	}
	for _, m := range mails {
		if m.Contact.Email != "it@acme.example" {
			t.Errorf("a message to %s", m.Contact.Email)
		}
	}
	if again, err := w.Store.TakeMail(t.Context(), w.Operator, 20); err != nil || len(again) != 0 {
		t.Errorf("%d messages are taken twice, %v", len(again), err)
	}
}

// TestNames_ThatNotEveryDatabaseTakesAreRefused holds that both databases take the same.
func TestNames_ThatNotEveryDatabaseTakesAreRefused(t *testing.T) {
	w := startWorld(t)
	ctx, c, org := t.Context(), w.Operator, w.Org.ID
	for _, name := range []string{"a\x00b", "Ren\xe9", "two\nlines", string(make([]byte, 201))} {
		_, orgErr := w.Store.CreateOrg(ctx, c, name, "")
		_, siteErr := w.Store.CreateSite(ctx, c, org, foyer.Site{Name: name})
		_, aliasErr := w.Store.CreateSite(ctx, c, org, foyer.Site{Name: "Fine", Aliases: []string{name}})
		_, sourceErr := w.Store.CreateSource(ctx, c, org, foyer.Source{Name: name})
		for what, err := range map[string]error{"organization": orgErr, "site": siteErr, "alias": aliasErr, "source": sourceErr} {
			if foyer.KindOf(err) != foyer.Invalid {
				t.Errorf("the %s %q: %v", what, name, err)
			}
		}
	}
}

package store_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"

	"foyer"
	"foyer/foyertest"
	"foyer/store"
	"foyer/store/storetest"
)

const appSecret = "s3cret-of-the-application"

func (w *tenants) setApp(s *store.Store) {
	w.t.Helper()
	w.must(s.SetEntraApp(w.t.Context(), w.operator, func(app *store.EntraApp) error {
		app.ClientID = "client"
		app.Credentials = append(app.Credentials, store.EntraCredential{Number: len(app.Credentials) + 1, Secret: appSecret, Key: []byte(appSecret)})
		return nil
	}))
}

func TestEntraApp_IsSealedAtRest(t *testing.T) {
	w := startTenants(t)
	_, err := w.EntraApp(t.Context(), w.operator)
	w.refused("none is set up", err, foyer.NotFound)
	fault := foyer.Errorf(foyer.Invalid, "no")
	if err := w.SetEntraApp(t.Context(), w.operator, func(*store.EntraApp) error { return fault }); err == nil {
		t.Error("a fault is passed over")
	}
	_, err = w.EntraApp(t.Context(), w.operator)
	w.refused("none was set up", err, foyer.NotFound)
	w.setApp(w.Store)
	app, err := w.beside.EntraApp(t.Context(), w.operator)
	w.must(err)
	if app.ClientID != "client" || app.Credentials[0].Secret != appSecret {
		t.Errorf("%+v", app)
	}
	all := w.state()
	for _, plain := range []string{appSecret, base64.StdEncoding.EncodeToString([]byte(appSecret)), hex.EncodeToString([]byte(appSecret)), "credentials"} {
		if strings.Contains(all, plain) {
			t.Errorf("%q is in the database", plain)
		}
	}
	for _, row := range storetest.Rows(t, w.dir)["meta"] { // nor under the base64 that the row is written in
		name, value, _ := strings.Cut(row, "|")
		if sealed, err := base64.StdEncoding.DecodeString(value); name == "entra_app" && (err != nil || strings.Contains(string(sealed), appSecret) || strings.Contains(string(sealed), "client")) {
			t.Errorf("it is not sealed: %q, %v", sealed, err)
		}
	}
}

// TestEntraApp_OfTwoWhoChangeItNoneIsLost holds it for rotation too, which writes the application anew.
func TestEntraApp_OfTwoWhoChangeItNoneIsLost(t *testing.T) {
	w := startTenants(t)
	var all sync.WaitGroup
	for i := range 8 {
		s := []*store.Store{w.Store, w.beside}[i%2]
		all.Go(func() {
			err := s.SetEntraApp(context.Background(), w.operator, func(app *store.EntraApp) error {
				app.Credentials = append(app.Credentials, store.EntraCredential{Number: i})
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	app, err := w.EntraApp(t.Context(), w.operator)
	if err != nil || len(app.Credentials) != 8 {
		t.Errorf("%+v, %v", app, err)
	}
}

func TestEntraApp_FollowsTheKeysAtRest(t *testing.T) {
	dir := t.TempDir()
	s, v := foyertest.OpenStore(t, dir, nil)
	w := &tenants{Store: s, t: t, dir: dir, operator: foyer.Operator("op")}
	if n, err := s.Reseal(t.Context(), w.operator); n != 0 || err != nil {
		t.Errorf("%d parts are sealed anew where there are none: %v", n, err)
	}
	w.setApp(s)
	before := fmt.Sprint(storetest.Rows(t, dir)["meta"])
	_, err := v.AddAtRest()
	w.must(err)
	dropped, err := s.DropAtRest(t.Context(), w.operator)
	if foyer.KindOf(err) != foyer.Conflict || len(dropped) > 0 || !strings.Contains(err.Error(), "application at Microsoft") {
		t.Errorf("%v were dropped: %v", dropped, err)
	}
	for _, want := range []int{1, 0} {
		if n, err := s.Reseal(t.Context(), w.operator); n != want || err != nil {
			t.Errorf("%d parts were sealed anew, want %d: %v", n, want, err)
		}
	}
	if fmt.Sprint(storetest.Rows(t, dir)["meta"]) == before {
		t.Error("nothing was sealed anew")
	}
	if dropped, err := s.DropAtRest(t.Context(), w.operator); err != nil || len(dropped) != 1 {
		t.Errorf("%v were dropped: %v", dropped, err)
	}
	app, err := s.EntraApp(t.Context(), w.operator)
	w.must(err)
	if app.Credentials[0].Secret != appSecret {
		t.Errorf("%+v", app)
	}
}

package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"foyer"
	"foyer/vault"
)

// EntraApp is this installation's application at Microsoft, which every organization's tenant lets read. It is one for the whole installation.
type EntraApp struct {
	ClientID    string            `json:"client_id"`
	Authority   string            `json:"authority,omitempty"` // "": Microsoft's global cloud
	Graph       string            `json:"graph,omitempty"`     // "": Microsoft's global cloud
	Credentials []EntraCredential `json:"credentials"`         // the newest last; of those in use that have not ended it is the one that is presented
}

// EntraCredential is a secret or a certificate of the application. At rest it is sealed.
type EntraCredential struct {
	Number      int       `json:"number"`
	Secret      string    `json:"secret,omitempty"`
	Certificate []byte    `json:"certificate,omitempty"` // DER
	Key         []byte    `json:"key,omitempty"`         // PKCS #8
	CreatedAt   time.Time `json:"created_at"`
	ExpiresAt   time.Time `json:"expires_at"`
	InUse       bool      `json:"in_use"` // it is registered at Microsoft
}

const (
	entraAppName     = "entra_app"
	entraAppIdentity = "the application at Microsoft"
)

// EntraApp returns the application; foyer.NotFound where none was set up.
func (s *Store) EntraApp(ctx context.Context, caller foyer.Caller) (app EntraApp, err error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return app, err
	}
	err = s.snapshot(ctx, everyOrg, "read the application", func(t *txn) error {
		app, err = s.readEntraApp(t)
		return err
	})
	return app, err
}

func (s *Store) readEntraApp(t *txn) (app EntraApp, err error) {
	var text string
	err = t.get(`SELECT value FROM meta WHERE name = $1`, []any{entraAppName}, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return app, foyer.Errorf(foyer.NotFound, "no application at Microsoft is set up here; foyer entra app says how")
	}
	if err != nil {
		return app, err
	}
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return app, err
	}
	plain, err := s.vault.Open(entraAppIdentity, sealed)
	if err != nil {
		return app, err
	}
	return app, json.Unmarshal(plain, &app)
}

// SetEntraApp changes the application as edit says; it is given the zero one where none was set up.
func (s *Store) SetEntraApp(ctx context.Context, caller foyer.Caller, edit func(*EntraApp) error) error {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return err
	}
	return s.beside(ctx, everyOrg, "set up the application", func(t *txn) error {
		if err := takeEntraApp(t); err != nil {
			return err
		}
		var text string
		if err := t.get(`SELECT value FROM meta WHERE name = $1`, []any{entraAppName}, &text); err != nil {
			return err
		}
		app, err := EntraApp{}, error(nil)
		if text != "" {
			if app, err = s.readEntraApp(t); err != nil {
				return err
			}
		}
		if err := edit(&app); err != nil {
			return err
		}
		return s.writeEntraApp(t, app)
	})
}

// takeEntraApp writes the row first, so that of two who change it one waits for the other.
func takeEntraApp(t *txn) error {
	return t.exec(`INSERT INTO meta (name, value) VALUES ($1, '') ON CONFLICT (name) DO UPDATE SET value = meta.value`, entraAppName)
}

func (s *Store) writeEntraApp(t *txn, app EntraApp) error {
	plain, err := json.Marshal(app)
	if err != nil {
		return err
	}
	sealed, err := s.vault.Seal(entraAppIdentity, plain)
	if err != nil {
		return err
	}
	return t.exec(`UPDATE meta SET value = $1 WHERE name = $2`, base64.StdEncoding.EncodeToString(sealed), entraAppName)
}

// resealEntraApp seals the application anew where it is sealed under another key at rest than that one.
func (s *Store) resealEntraApp(ctx context.Context, newest int) (resealed int, err error) {
	under, err := s.entraAppUnder(ctx)
	if err != nil || under == 0 || under == newest {
		return 0, err
	}
	return 1, s.beside(ctx, everyOrg, "seal anew", func(t *txn) error {
		if err := takeEntraApp(t); err != nil {
			return err
		}
		app, err := s.readEntraApp(t)
		if err != nil {
			return err
		}
		return s.writeEntraApp(t, app)
	})
}

// entraAppUnder returns the number of the key at rest under which the application is sealed; 0 where none was set up.
func (s *Store) entraAppUnder(ctx context.Context) (number int, err error) {
	err = s.snapshot(ctx, everyOrg, "read the application", func(t *txn) error {
		var text string
		err := t.get(`SELECT value FROM meta WHERE name = $1 AND value <> ''`, []any{entraAppName}, &text)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		sealed, err := base64.StdEncoding.DecodeString(text)
		number = vault.SealedUnder(sealed)
		return err
	})
	return number, err
}

// copyEntraApp copies the application as it lies there, sealed: the vault goes on being used, and a target that knew other keys would not have been opened. foyer.Conflict where the target has
// another one.
func copyEntraApp(ctx context.Context, source *txn, to *Store) error {
	read := func(t *txn) (text string, err error) {
		err = t.get(`SELECT value FROM meta WHERE name = $1`, []any{entraAppName}, &text)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return text, err
	}
	original, err := read(source)
	if err != nil {
		return err
	}
	return to.beside(ctx, everyOrg, "copy the application", func(target *txn) error {
		if original != "" {
			if err := target.exec(`INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`, entraAppName, original); err != nil {
				return err
			}
		}
		copied, err := read(target)
		if err == nil && copied != original {
			err = foyer.Errorf(foyer.Conflict, "the database has another application at Microsoft than the data folder: copy into an empty database")
		}
		return err
	})
}

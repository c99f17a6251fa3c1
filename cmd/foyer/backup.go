package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"foyer"
	"foyer/store"
	"foyer/vault"
)

type backupCmd struct {
	To             string   `arg:"" help:"The file to write; it must not exist." type:"path"`
	Recipient      []string `help:"Encrypt for this public key of age (age1…); age-keygen makes such keys. May be given several times." placeholder:"KEY" env:"FOYER_BACKUP_RECIPIENT" xor:"how"`
	PassphraseFile string   `help:"Encrypt with the passphrase in the first line of this file." type:"path" placeholder:"FILE" env:"FOYER_BACKUP_PASSPHRASE_FILE" xor:"how"`
}

// Run copies the database.
func (c *backupCmd) Run(a *app) error {
	seal, how, err := sealFor(c.Recipient, c.PassphraseFile)
	if err != nil {
		return err
	}
	if seal == nil && strings.EqualFold(filepath.Ext(c.To), ".age") {
		return foyer.Errorf(foyer.Invalid, "%s is called like an encrypted backup, and would not be one: give --recipient or --passphrase-file, or another name", c.To)
	}
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	if err := o.Backup(a.ctx, o.operator, c.To, seal); err != nil {
		return err
	}
	info, err := os.Stat(c.To)
	if err != nil {
		return err
	}
	keep := "It holds personal data and is not encrypted (--recipient, --passphrase-file): keep it as you keep the original."
	if seal != nil {
		keep = "It is encrypted " + how + "."
	}
	return a.said(map[string]any{"file": c.To, "bytes": info.Size(), "encrypted": seal != nil},
		"Copied the database to %s (%d bytes), and checked it. %s\nKeep keys/ elsewhere: it is not in it, and belongs to it. To try whether it can be restored: foyer restore --check %s%s", c.To, info.Size(), keep, c.To, c.with())
}

// with returns what restoring the backup takes.
func (c *backupCmd) with() string {
	switch {
	case len(c.Recipient) > 0:
		return " --identity FILE"
	case c.PassphraseFile != "":
		return " --passphrase-file " + c.PassphraseFile
	}
	return ""
}

type restoreCmd struct {
	From           string `arg:"" help:"The file that foyer backup wrote." type:"path"`
	Replace        bool   `help:"Put a database that is there aside, and restore over it."`
	Check          bool   `help:"Only check that it could be restored; the server may run."`
	Identity       string `help:"File with the private keys of age for which the backup is encrypted." type:"existingfile" placeholder:"FILE" env:"FOYER_BACKUP_IDENTITY" xor:"how"`
	PassphraseFile string `help:"File with the passphrase, in its first line." type:"path" placeholder:"FILE" env:"FOYER_BACKUP_PASSPHRASE_FILE" xor:"how"`
}

// Run restores a backup, or only checks it.
func (c *restoreCmd) Run(a *app) error {
	if a.cli.Database != "" {
		return foyer.Errorf(foyer.Invalid, "this restores SQLite's file into a data folder; into PostgreSQL restore with pg_restore, or restore into a folder and go on with foyer copy: docs/scale.md")
	}
	a.data()
	f, err := os.Open(c.From)
	if errors.Is(err, fs.ErrNotExist) {
		return foyer.Errorf(foyer.NotFound, "there is no file %s", c.From)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := openBackup(f, c.Identity, c.PassphraseFile)
	if err != nil {
		return err
	}
	r, err := store.Restore(a.ctx, foyer.Operator(operatorName()), store.Restoring{Dir: a.cli.Data, From: plain, Keys: a.keysOfBackup, Replace: c.Replace, CheckOnly: c.Check})
	if err != nil {
		return err
	}
	return c.say(a, r)
}

func (c *restoreCmd) say(a *app, r *store.Restored) error {
	what := fmt.Sprintf("organizations: %d, entries: %d; the last act in it is of %s", r.Orgs, r.Entries, when(r.LastAct))
	if r.Lost > 0 {
		what += fmt.Sprintf("\n%d parts of held runs in it cannot be decrypted with keys/at-rest: these runs cannot be approved, and lapse", r.Lost)
	}
	said := map[string]any{"file": c.From, "checked_only": c.Check, "schema": r.Schema, "orgs": r.Orgs, "entries": r.Entries, "last_act": stamp(r.LastAct), "unreadable_parts": r.Lost, "aside": r.Aside}
	if c.Check {
		return a.said(said, "%s is whole, and can be restored here: %s.\nNothing was changed.", c.From, what)
	}
	aside := ""
	if r.Aside != "" {
		aside = fmt.Sprintf("\nThe database that was there is %s now. It holds personal data: delete it once you are sure.", r.Aside)
	}
	return a.said(said, "Restored %s into %s: %s.%s\nWhat was done since is not in it: revoke again the keys that were revoked since, and erase again who was erased. Then start the server; the next sync of each source brings its people up to date.", c.From, a.cli.Data, what, aside)
}

// keysOfBackup opens the keys that belong to a backup. None is made: with another one the backup is of no use.
func (a *app) keysOfBackup(atRest bool) (*vault.Vault, error) {
	if err := a.wantKey("FOYER_PEPPER", "pepper", "no customer's key would work"); err != nil {
		return nil, err
	}
	if atRest {
		if err := a.wantKey("FOYER_AT_REST", "at-rest", "held files could not be read"); err != nil {
			return nil, err
		}
	}
	return a.openVault()
}

// wantKey checks that a key is given, or its file is there.
func (a *app) wantKey(variable, file, without string) error {
	path := filepath.Join(a.cli.Data, "keys", file)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || os.Getenv(variable) != "" {
		return nil // what else is wrong with it is said when it is opened
	}
	return foyer.Errorf(foyer.Conflict, "%s is not there: the keys are not in a backup. Put the folder keys that belongs to it into %s, or set %s; without it %s. Nothing was changed", path, a.cli.Data, variable, without)
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"foyer"
	"foyer/certs"
	"foyer/script"
)

type scriptCmd struct {
	orgFlag
	Key       string `help:"Client id of the key with which it delivers." placeholder:"ID" required:""`
	PublicURL string `help:"The server as the customer reaches it." placeholder:"https://HOST" name:"public-url" env:"FOYER_PUBLIC_URL" required:""`
	NewSecret bool   `help:"Give the key another secret, which is shown once and is not in the script; the old one ends after some days."`
	After     string `help:"With --new-secret: when the old secret ends." default:"7d" placeholder:"7d"`
	Out       string `help:"Write the script to this file, which must not exist; otherwise it is printed." type:"path" placeholder:"FILE" short:"o"`
}

// scriptJSON is a generated script for a program.
type scriptJSON struct {
	ClientID     foyer.KeyID `json:"client_id"`
	ClientSecret string      `json:"client_secret,omitempty"`
	OldEndsAt    *string     `json:"old_secret_ends_at,omitempty"`
	File         string      `json:"file,omitempty"`
	Script       string      `json:"script,omitempty"` // where it is in no file
}

// Run makes the script. All that can fail comes before the key gets another secret, so that no secret is made that nobody sees.
func (c *scriptCmd) Run(a *app) error {
	overlap, err := foyer.ParseDuration(c.After)
	if err == nil && overlap == 0 {
		err = foyer.Errorf(foyer.Invalid, "--after: the old secret must live until the customer has saved the new one; to end it at once: foyer key rotate %s --now", c.Key)
	}
	if err != nil {
		return err
	}
	return a.withKey(keyArg{Org: c.Org, ID: c.Key}, func(o *opened, org foyer.Org, id foyer.KeyID) error {
		settings, err := c.settings(a, o, org, id)
		if err != nil {
			return err
		}
		text, err := settings.Generate()
		if err != nil {
			return fmt.Errorf("--public-url: %w", err)
		}
		if err := c.write(a, text); err != nil {
			return err
		}
		made := scriptJSON{ClientID: id, File: c.Out}
		if c.NewSecret {
			secret, mac := o.authority.NewSecret(org.ID, id)
			if _, err := o.RotateKey(a.ctx, o.operator, org.ID, id, mac, overlap); err != nil {
				return c.noSecret(err, id)
			}
			made.ClientSecret, made.OldEndsAt = secret, stamp(o.Now().Add(overlap))
		}
		if a.cli.JSON {
			if c.Out == "" {
				made.Script = text
			}
			return a.json(made)
		}
		c.explain(a, made, when(o.Now().Add(overlap)))
		return nil
	})
}

// noSecret takes the file back, where the key got no other secret, and says why.
func (c *scriptCmd) noSecret(err error, id foyer.KeyID) error {
	if c.Out != "" {
		err = errors.Join(err, os.Remove(c.Out))
	}
	if foyer.KindOf(err) != foyer.Conflict {
		return err
	}
	return foyer.Errorf(foyer.Conflict, "%v. That is: foyer key rotate %s --now, which makes the new secret too; the script is made without --new-secret then", err, id)
}

// settings returns what the script says of the server and the customer; an error where the key cannot deliver.
func (c *scriptCmd) settings(a *app, o *opened, org foyer.Org, id foyer.KeyID) (s script.Settings, err error) {
	record, err := o.LookupKey(a.ctx, org.ID, id)
	if err != nil {
		return s, err
	}
	if !record.Live(o.Now()) {
		return s, foyer.Errorf(foyer.Conflict, "the key %s is %s, and lives no more; make a new one: foyer key create --org %s", id, record.State(o.Now()), org.Slug)
	}
	if record.Scopes&foyer.ScopeSync == 0 {
		return s, foyer.Errorf(foyer.Conflict, "the key %s may not deliver: its scopes are %s; make another one: foyer key create --org %s", id, record.Scopes, org.Slug)
	}
	names, sites, err := a.siteNames(o, org)
	if err != nil {
		return s, err
	}
	sources, err := o.Sources(a.ctx, o.operator, org.ID)
	if err != nil {
		return s, err
	}
	s = script.Settings{Server: strings.TrimSuffix(c.PublicURL, "/"), ClientID: string(id), Org: plain(org.Name)}
	for _, source := range sources {
		if source.ID != record.Source {
			continue
		}
		if !source.EndedAt.IsZero() {
			return s, foyer.Errorf(foyer.Conflict, "the source %q of this key has ended and delivers no more; make another source and key", source.Name)
		}
		s.Site = plain(names[source.Site])
	}
	for _, site := range sites {
		s.Sites = append(s.Sites, plain(site.Name))
	}
	s.CAFingerprint, err = certs.CAFingerprint(filepath.Join(a.cli.Data, "tls"))
	return s, err
}

// write puts the script where it is wanted; with JSON and no file it is in what is printed later.
func (c *scriptCmd) write(a *app, text string) error {
	if c.Out == "" {
		if a.cli.JSON {
			return nil
		}
		_, err := io.WriteString(a.out, text)
		return err
	}
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return foyer.Errorf(foyer.Conflict, "%s exists; give another name", c.Out)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// explain says what comes next. It goes beside the script, not into it: where that is printed, to the standard error.
func (c *scriptCmd) explain(a *app, made scriptJSON, oldEnds string) {
	out := a.out
	if c.Out == "" {
		out = a.errOut
	} else {
		fmt.Fprintf(out, "Wrote %s. There is no secret in it: it may be mailed.\n", c.Out)
	}
	if !c.NewSecret {
		fmt.Fprintf(out, "The customer saves the secret of %s on their server: .\\%s -SaveSecret. If they have none: foyer script --new-secret.\n", made.ClientID, script.FileName)
		return
	}
	fmt.Fprintf(out, "client_id     = %s\nclient_secret = %s\n", made.ClientID, made.ClientSecret)
	fmt.Fprintf(out, "The secret is shown this once. Send it another way than the script; the customer saves it on their server: .\\%s -SaveSecret.\n", script.FileName)
	fmt.Fprintf(out, "The old secret works until %s: what runs with it now goes on until then.\n", oldEnds)
}

// plain returns a name without its accents, which names of sites may lack (R14).
func plain(name string) string {
	return norm.NFC.String(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(name)))
}

package main

import (
	"strconv"
	"strings"
	"time"

	"foyer"
	"foyer/store"
)

type keyCmd struct {
	Create keyCreateCmd `cmd:"" help:"Make a client id and secret. The secret is shown once."`
	List   keyListCmd   `cmd:"" help:"List the keys."`
	Show   keyShowCmd   `cmd:"" help:"Show a key: its secrets, from where and with which program each was used last, what was issued and refused."`
	Rotate keyRotateCmd `cmd:"" help:"Give a key another secret, which is shown once; the old one ends after some days."`
	Allow  keyAllowCmd  `cmd:"" help:"Replace the list of addresses from which a key may be used."`
	Revoke keyRevokeCmd `cmd:"" help:"End a key, and its tokens, at once and for good."`
	Delete keyDeleteCmd `cmd:"" help:"Remove a key that has ended. Its id is never issued again."`
}

type keyJSON struct {
	ClientID     foyer.KeyID  `json:"client_id"`
	ClientSecret string       `json:"client_secret,omitempty"`
	Org          string       `json:"org"`
	Site         *string      `json:"site"`
	Source       string       `json:"source"`
	Name         string       `json:"name"`
	State        string       `json:"state"`
	CreatedAt    *string      `json:"created_at"`
	ExpiresAt    *string      `json:"expires_at"`
	RevokedAt    *string      `json:"revoked_at"`
	LastUsedAt   *string      `json:"last_used_at"`
	LastAddress  string       `json:"last_address"`
	LastAgent    string       `json:"last_agent"`
	Scopes       []string     `json:"scopes"`
	Allow        []string     `json:"allow"`
	AllowLogOnly bool         `json:"allow_log_only"`
	Secrets      []secretJSON `json:"secrets"`
}

type secretJSON struct {
	Number      int     `json:"number"`
	Live        bool    `json:"live"`
	CreatedAt   *string `json:"created_at"`
	ExpiresAt   *string `json:"expires_at"`
	LastUsedAt  *string `json:"last_used_at"`
	LastAddress string  `json:"last_address"`
	LastAgent   string  `json:"last_agent"`
}

func toKeyJSON(k foyer.Key, org foyer.Org, source *foyer.Source, names siteNames, now time.Time) keyJSON {
	last := k.LastUse()
	out := keyJSON{
		ClientID: k.ID, Org: org.Slug, Site: names.orNull(source.Site), Source: source.Name, Name: k.Name, State: k.State(now),
		CreatedAt: stamp(k.CreatedAt), ExpiresAt: stamp(k.ExpiresAt), RevokedAt: stamp(k.RevokedAt),
		LastUsedAt: stamp(last.LastUsed), LastAddress: last.LastAddress, LastAgent: last.LastAgent, Scopes: k.Scopes.Names(),
		Allow: k.Allow.Texts(), AllowLogOnly: k.Allow.LogOnly, Secrets: []secretJSON{},
	}
	for _, s := range k.Secrets {
		out.Secrets = append(out.Secrets, secretJSON{s.Number, k.LiveSecret(s.Number, now), stamp(s.CreatedAt), stamp(s.ExpiresAt), stamp(s.LastUsed), s.LastAddress, s.LastAgent})
	}
	return out
}

type keyCreateCmd struct {
	orgFlag
	Source  string `help:"Name of the source it delivers for; otherwise the organization's or the site's own CSV source." placeholder:"SOURCE" xor:"for"`
	Site    string `help:"It delivers for this site only." placeholder:"SITE" xor:"for"`
	Name    string `help:"What the key is for, to tell it from others." placeholder:"TEXT"`
	Expires string `help:"How long it lives: 90d, 12h. Otherwise until it is revoked." placeholder:"90d"`
	Scope   string `help:"What it may do: sync, read." default:"sync"`
}

// Run makes a key.
func (c *keyCreateCmd) Run(a *app) error {
	scopes, err := foyer.ParseScopes(c.Scope)
	if err == nil && scopes == 0 {
		err = foyer.Errorf(foyer.Invalid, "a key without a scope may do nothing; give --scope sync, read, or both")
	}
	if err != nil {
		return err
	}
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		names, sites, err := a.siteNames(o, org)
		if err != nil {
			return err
		}
		sources, err := o.Sources(a.ctx, o.operator, org.ID)
		if err != nil {
			return err
		}
		made := o.authority.NewCredentials(org.ID)
		n := store.NewKey{ID: made.ID, SecretMAC: made.SecretMAC, Name: c.Name, Scopes: scopes}
		if n.Source, err = findSource(sources, c.Source); err != nil {
			return err
		}
		if n.Site, err = findSite(sites, c.Site); err != nil {
			return err
		}
		if c.Expires != "" {
			life, err := foyer.ParseDuration(c.Expires)
			if err != nil {
				return err
			}
			if life == 0 {
				return foyer.Errorf(foyer.Invalid, "a key that expires at once is of no use; give --expires 90d, or leave it out")
			}
			n.ExpiresAt = o.Now().Add(life)
		}
		key, source, err := o.CreateKey(a.ctx, o.operator, org.ID, n)
		if err != nil {
			return err
		}
		if a.cli.JSON {
			out := toKeyJSON(key, org, &source, names, o.Now())
			out.ClientSecret = made.Secret
			return a.json(out)
		}
		a.printf("client_id     = %s", key.ID)
		a.printf("client_secret = %s", made.Secret)
		does := "delivers for"
		if scopes&foyer.ScopeSync == 0 {
			does = "may read, but not deliver for,"
		}
		a.printf("The secret is shown this once. The key %s the source %q of %s%s.", does, source.Name, org.Name, until(key.ExpiresAt))
		return nil
	})
}

func until(t time.Time) string {
	if t.IsZero() {
		return ", until it is revoked"
	}
	return ", until " + when(t)
}

type keyListCmd struct{ orgFlag }

// Run lists the keys.
func (c *keyListCmd) Run(a *app) error {
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		names, _, err := a.siteNames(o, org)
		if err != nil {
			return err
		}
		sources, err := o.Sources(a.ctx, o.operator, org.ID)
		if err != nil {
			return err
		}
		keys, err := o.Keys(a.ctx, o.operator, org.ID)
		if err != nil {
			return err
		}
		out, rows := []keyJSON{}, [][]string{}
		for _, k := range keys {
			source := &foyer.Source{}
			for i := range sources {
				if sources[i].ID == k.Source {
					source = &sources[i]
				}
			}
			out = append(out, toKeyJSON(k, org, source, names, o.Now()))
			rows = append(rows, []string{string(k.ID), dash(k.Name), source.Name, k.Scopes.String(), k.State(o.Now()), when(k.ExpiresAt), when(k.LastUse().LastUsed), dash(k.LastUse().LastAddress)})
		}
		if a.cli.JSON {
			return a.json(out)
		}
		return a.table("CLIENT ID,NAME,SOURCE,SCOPES,STATE,EXPIRES,LAST USED,FROM", rows)
	})
}

// keyArg names a key.
type keyArg struct {
	Org string `help:"Name or slug of the organization; the id says it too." placeholder:"ORG" env:"FOYER_ORG"`
	ID  string `arg:"" help:"The client id."`
}

// withKey calls fn with the organization of a key.
func (a *app) withKey(c keyArg, fn func(*opened, foyer.Org, foyer.KeyID) error) error {
	id, ok := orgOfKey(c.ID)
	if !ok {
		return foyer.Errorf(foyer.Invalid, "%q is no client id; foyer key list shows them", c.ID)
	}
	org := c.Org
	if org == "" {
		org = string(id)
	}
	return a.withOrg(org, func(o *opened, org foyer.Org) error { return fn(o, org, foyer.KeyID(c.ID)) })
}

// keyOut returns a key for --json.
func (a *app) keyOut(o *opened, org foyer.Org, k foyer.Key) (keyJSON, error) {
	names, _, err := a.siteNames(o, org)
	if err != nil {
		return keyJSON{}, err
	}
	sources, err := o.Sources(a.ctx, o.operator, org.ID)
	if err != nil {
		return keyJSON{}, err
	}
	source := &foyer.Source{}
	for i := range sources {
		if sources[i].ID == k.Source {
			source = &sources[i]
		}
	}
	return toKeyJSON(k, org, source, names, o.Now()), nil
}

type keyShowCmd struct{ keyArg }

type keyDetailJSON struct {
	keyJSON
	OrgAllow        []string    `json:"org_allow"`
	OrgAllowLogOnly bool        `json:"org_allow_log_only"`
	Tokens          []countJSON `json:"tokens_last_day"`
}

type countJSON struct {
	Address string `json:"address"`
	Issued  int64  `json:"issued"`
	Refused int64  `json:"refused"`
}

// Run shows a key.
func (c *keyShowCmd) Run(a *app) error {
	return a.withKey(c.keyArg, func(o *opened, org foyer.Org, id foyer.KeyID) error {
		record, err := o.LookupKey(a.ctx, org.ID, id)
		if err != nil {
			return err
		}
		out := keyDetailJSON{OrgAllow: record.OrgAllow.Texts(), OrgAllowLogOnly: record.OrgAllow.LogOnly, Tokens: []countJSON{}}
		if out.keyJSON, err = a.keyOut(o, org, record.Key); err != nil {
			return err
		}
		counts, err := o.TokenCounts(a.ctx, o.operator, org.ID, id, o.Now().Add(-24*time.Hour))
		if err != nil {
			return err
		}
		for _, n := range counts {
			out.Tokens = append(out.Tokens, countJSON{n.Address, n.Issued, n.Refused})
		}
		if a.cli.JSON {
			return a.json(out)
		}
		return a.printKey(&out, record)
	})
}

func (a *app) printKey(k *keyDetailJSON, record store.KeyRecord) error {
	a.printf("%s  %s  %s%s", k.ClientID, dash(k.Name), k.State, until(record.ExpiresAt))
	a.printf("source: %s   scopes: %s   made: %s", k.Source, record.Scopes, when(record.CreatedAt))
	a.printf("may be used from: %s   and by the organization's list from: %s\n", allowText(record.Allow), allowText(record.OrgAllow))
	rows := [][]string{}
	for i, s := range record.Secrets {
		state := "ended"
		if k.Secrets[i].Live {
			state = "live"
		}
		rows = append(rows, []string{strconv.Itoa(s.Number), state, when(s.CreatedAt), when(s.ExpiresAt), when(s.LastUsed), dash(s.LastAddress), dash(s.LastAgent)})
	}
	if err := a.table("SECRET,STATE,MADE,ENDS,LAST USED,FROM,PROGRAM", rows); err != nil || len(k.Tokens) == 0 {
		return err
	}
	a.printf("\nTokens in the last 24 hours:")
	rows = [][]string{}
	for _, n := range k.Tokens {
		rows = append(rows, []string{n.Address, strconv.FormatInt(n.Issued, 10), strconv.FormatInt(n.Refused, 10)})
	}
	return a.table("FROM,ISSUED,REFUSED", rows)
}

// allowText says from where.
func allowText(a foyer.Allowed) string {
	switch {
	case len(a.Prefixes) == 0:
		return "anywhere"
	case a.LogOnly:
		return strings.Join(a.Texts(), ", ") + " (others are only logged)"
	}
	return strings.Join(a.Texts(), ", ")
}

type keyRotateCmd struct {
	keyArg
	After string `help:"When the old secret ends." default:"7d" placeholder:"7d"`
	Now   bool   `help:"The old secret ends at once, and its tokens with it."`
}

// Run gives a key another secret.
func (c *keyRotateCmd) Run(a *app) error {
	overlap, err := foyer.ParseDuration(c.After)
	if err != nil {
		return err
	}
	if c.Now {
		overlap = 0
	}
	return a.withKey(c.keyArg, func(o *opened, org foyer.Org, id foyer.KeyID) error {
		secret, mac := o.authority.NewSecret(org.ID, id)
		key, err := o.RotateKey(a.ctx, o.operator, org.ID, id, mac, overlap)
		if err != nil {
			return err
		}
		if a.cli.JSON {
			out, err := a.keyOut(o, org, key)
			out.ClientSecret = secret
			if err != nil {
				return err
			}
			return a.json(out)
		}
		a.printf("client_id     = %s", id)
		a.printf("client_secret = %s", secret)
		a.printf("The secret is shown this once. Put it into the script; the old one %s.", map[bool]string{true: "works no more", false: "works until " + when(o.Now().Add(overlap))}[overlap == 0])
		return nil
	})
}

type keyAllowCmd struct {
	keyArg
	Addresses []string `arg:"" optional:"" help:"Addresses and ranges, IPv4 and IPv6: 203.0.113.0/24. None: from anywhere." placeholder:"CIDR"`
	LogOnly   bool     `help:"Only log what the list would refuse."`
}

// Run replaces the list of addresses of a key.
func (c *keyAllowCmd) Run(a *app) error {
	prefixes, err := foyer.ParseAllowed(c.Addresses)
	if err != nil {
		return err
	}
	return a.withKey(c.keyArg, func(o *opened, org foyer.Org, id foyer.KeyID) error {
		key, err := o.AllowKey(a.ctx, o.operator, org.ID, id, foyer.Allowed{Prefixes: prefixes, LogOnly: c.LogOnly})
		if err != nil {
			return err
		}
		if a.cli.JSON {
			out, err := a.keyOut(o, org, key)
			if err != nil {
				return err
			}
			return a.json(out)
		}
		a.printf("%s may be used from: %s.", id, allowText(key.Allow))
		return nil
	})
}

type orgAllowCmd struct {
	orgFlag
	Addresses []string `arg:"" optional:"" help:"Addresses and ranges, IPv4 and IPv6: 203.0.113.0/24. None: from anywhere." placeholder:"CIDR"`
	LogOnly   bool     `help:"Only log what the list would refuse."`
}

// Run replaces the list of addresses of an organization.
func (c *orgAllowCmd) Run(a *app) error {
	prefixes, err := foyer.ParseAllowed(c.Addresses)
	if err != nil {
		return err
	}
	allow := foyer.Allowed{Prefixes: prefixes, LogOnly: c.LogOnly}
	return a.withOrg(c.Org, func(o *opened, org foyer.Org) error {
		if err := o.AllowOrg(a.ctx, o.operator, org.ID, allow); err != nil {
			return err
		}
		return a.said(map[string]any{"org": org.Slug, "allow": allow.Texts(), "allow_log_only": allow.LogOnly}, "The keys of %s may be used from: %s.", org.Name, allowText(allow))
	})
}

type keyRevokeCmd struct{ keyArg }

// Run ends a key.
func (c *keyRevokeCmd) Run(a *app) error {
	return a.withKey(c.keyArg, func(o *opened, org foyer.Org, id foyer.KeyID) error {
		if err := o.RevokeKey(a.ctx, o.operator, org.ID, id); err != nil {
			return err
		}
		return a.said(map[string]string{"client_id": c.ID, "state": "revoked"}, "Revoked %s. It and its tokens work no more.", c.ID)
	})
}

type keyDeleteCmd struct{ keyArg }

// Run removes a key that has ended.
func (c *keyDeleteCmd) Run(a *app) error {
	return a.withKey(c.keyArg, func(o *opened, org foyer.Org, id foyer.KeyID) error {
		if err := o.DeleteKey(a.ctx, o.operator, org.ID, id); err != nil {
			return err
		}
		return a.said(map[string]string{"client_id": c.ID, "state": "deleted"}, "Deleted %s. Its id is never issued again.", c.ID)
	})
}

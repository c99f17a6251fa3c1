package foyer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Scopes is a set of what a key may do; OAuth's scope (RFC 6749 §3.3).
type Scopes uint8

// The scopes.
const (
	ScopeSync Scopes = 1 << iota // deliver what the key's source says
	ScopeRead                    // read the book and its runs
)

var scopeNames = []string{"sync", "read"}

// ParseScopes reads scope names separated by spaces or commas.
func ParseScopes(s string) (Scopes, error) {
	set, err := parseSet(s, "scope", scopeNames)
	return Scopes(set), err
}

// Names returns the names of the set's scopes.
func (s Scopes) Names() []string { return namesOf(uint8(s), scopeNames) }

// String returns the scopes as OAuth writes them: names separated by a space.
func (s Scopes) String() string { return strings.Join(s.Names(), " ") }

// parseSet reads names separated by spaces or commas as a set: a bit each, by their place in known.
func parseSet(s, what string, known []string) (set uint8, err error) {
	for _, name := range strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' }) {
		at := slices.Index(known, strings.ToLower(name))
		if at < 0 {
			return 0, fmt.Errorf("there is no %s %q; there are: %s", what, name, strings.Join(known, ", "))
		}
		set |= 1 << at
	}
	return set, nil
}

func namesOf(set uint8, known []string) []string {
	names := []string{}
	for i, name := range known {
		if set&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// Right is what a method of the store asks of its caller.
type Right uint8

// The rights.
const (
	ReadBook   Right = iota // read entries, runs, sources, sites of an organization
	SyncBook                // deliver what a source says
	EditBook                // change entries by hand
	DecideRuns              // approve, reject and undo runs, end sources
	Administer              // make sites, sources and keys of an organization
	Operate                 // make and list organizations
)

var rightNames = [...]string{"read the address book", "sync", "edit entries", "decide on runs", "administer the organization", "operate the installation"}

// Caller says who acts, for which organization, and from where. Every method of the store takes one and checks it beside the data.
// The zero Caller may do nothing.
type Caller struct {
	operator bool
	Name     string // "key fk_…", "operator root": the actor in runs and audit
	Org      OrgID  // of a key: its organization, and no other
	Key      KeyID
	Secret   int      // the number of the key's secret that was presented
	Source   SourceID // of a key: its source, and no other
	Scopes   Scopes
	Address  netip.Addr // invalid: this machine's command line
}

// Operator is the caller of the command line on the server's machine: it may do everything, and is named in what it does.
func Operator(name string) Caller { return Caller{operator: true, Name: "operator " + name} }

// KeyCaller is the caller that presents a key, or a token got with it. Scopes may narrow the key's, never widen them.
func KeyCaller(org OrgID, k *Key, secret int, scopes Scopes, from netip.Addr) Caller {
	return Caller{Name: "key " + string(k.ID), Org: org, Key: k.ID, Secret: secret, Source: k.Source, Scopes: scopes & k.Scopes, Address: from}
}

// May returns nil when the caller has the right in the organization; else an Error: NotFound where the organization is not the
// caller's (a foreign one and one that does not exist read alike), Forbidden where it is.
func (c Caller) May(right Right, org OrgID) error {
	if c.operator {
		return nil
	}
	if org == "" || c.Org != org {
		return Errorf(NotFound, "there is no such organization")
	}
	if right == ReadBook && c.Scopes&ScopeRead != 0 || right == SyncBook && c.Scopes&ScopeSync != 0 {
		return nil
	}
	return Errorf(Forbidden, "this key may not %s; its scopes are: %s", rightNames[right], c.Scopes)
}

// MaySync returns nil when the caller may deliver for the source.
func (c Caller) MaySync(org OrgID, source SourceID) error {
	if err := c.May(SyncBook, org); err != nil {
		return err
	}
	if !c.operator && c.Source != source {
		return Errorf(Forbidden, "this key delivers for another source")
	}
	return nil
}

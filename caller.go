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
	ReadBook         Right = iota // read entries, runs, sources, sites of an organization
	SyncBook                      // deliver what a source says
	EditBook                      // change entries by hand
	DecideRuns                    // approve, reject and undo runs, end sources
	Administer                    // make sites, sources and keys of an organization
	Operate                       // make and list organizations
	ConnectDirectory              // connect a tenant, and say what is read of it
)

var rightNames = [...]string{"read the address book", "sync", "edit entries", "decide on runs", "administer the organization", "operate the installation", "connect a directory"}

// Caller says who acts, for which organization, and from where. Every method of the store takes one and checks it beside the data.
// The zero Caller may do nothing.
type Caller struct {
	operator bool
	role     Role   // of a person
	Name     string // "key fk_…", "operator root": the actor in runs and audit
	Org      OrgID  // of a key: its organization, and no other
	Key      KeyID
	Secret   int      // the number of the key's secret that was presented
	Source   SourceID // of a key: its source, and no other
	Scopes   Scopes
	Sites    []SiteID   // of a site administrator: theirs
	Address  netip.Addr // invalid: this machine's command line
}

// Operator is the caller of the command line on the server's machine: it may do everything, and is named in what it does. What is no UTF-8 in its name becomes "?".
func Operator(name string) Caller {
	name = strings.ReplaceAll(strings.ToValidUTF8(name, "?"), "\x00", "?") // or the audit could be kept by no other database
	return Caller{operator: true, Name: "operator " + name}
}

// KeyCaller is the caller that presents a key, or a token got with it. Scopes may narrow the key's, never widen them.
func KeyCaller(org OrgID, k *Key, secret int, scopes Scopes, from netip.Addr) Caller {
	return Caller{Name: "key " + string(k.ID), Org: org, Key: k.ID, Secret: secret, Source: k.Source, Scopes: scopes & k.Scopes, Address: from}
}

// Role is what a signed-in person is to an organization.
type Role uint8

// The roles.
const (
	NoRole               Role = iota
	Viewer                    // reads the book and its runs
	SiteAdministrator         // and edits the entries of own sites by hand
	AccountAdministrator      // and edits all, decides on runs, and administers the organization
	Connector                 // came by a link, and connects a tenant; nothing else
)

// rights returns what a role may do.
func (r Role) rights() []Right {
	switch r {
	case Viewer:
		return []Right{ReadBook}
	case SiteAdministrator:
		return []Right{ReadBook, EditBook}
	case AccountAdministrator:
		return []Right{ReadBook, EditBook, SyncBook, DecideRuns, Administer, ConnectDirectory}
	case Connector:
		return []Right{SyncBook, ConnectDirectory}
	}
	return nil
}

// PersonCaller is a person who is signed in, with a role in one organization. Sites are those of a site administrator.
func PersonCaller(name string, org OrgID, role Role, sites []SiteID, from netip.Addr) Caller {
	return Caller{role: role, Name: "person " + name, Org: org, Sites: sites, Address: from}
}

// MayEditAt returns nil when the caller may edit an entry at those sites by hand: a site administrator only one that is at an own site.
func (c Caller) MayEditAt(sites []SiteID) error {
	if c.role != SiteAdministrator || slices.ContainsFunc(sites, func(s SiteID) bool { return slices.Contains(c.Sites, s) }) {
		return nil
	}
	return Errorf(Forbidden, "this entry is at none of your sites")
}

// MayMove returns nil when the caller may change the sites of an entry that are given by hand: a site administrator only own ones.
func (c Caller) MayMove(before, after []SiteID) error {
	if c.role != SiteAdministrator {
		return nil
	}
	for _, site := range slices.Concat(before, after) {
		if slices.Contains(before, site) != slices.Contains(after, site) && !slices.Contains(c.Sites, site) {
			return Errorf(Forbidden, "%v is not one of your sites", site)
		}
	}
	return nil
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
	if c.role != NoRole {
		if slices.Contains(c.role.rights(), right) {
			return nil
		}
		return Errorf(Forbidden, "your role does not let you %s", rightNames[right])
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
	if c.Key != "" && c.Source != source {
		return Errorf(Forbidden, "this key delivers for another source")
	}
	return nil
}

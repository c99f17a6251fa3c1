// Package directory reads people from LDAP directories: Active Directory, OpenLDAP and their like.
//
// Whoever is missing from what it returns will be disabled at reception, so it returns everybody or an error: a connection that ends, a limit
// of the server's, a page that is cut, a part of the tree that is elsewhere, a group that does not exist, all are errors. TLS
// is always spoken and verified, by ldaps or StartTLS, before the password is sent.
//
// Read reads one directory: it binds, finds the people below each base page by page, decides by groups who belongs, maps
// attributes to the columns of a record, and turns the names of managers into their emails.
package directory

import (
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"foyer"
)

// The kinds of directories: they decide what the other settings are where they are not given.
const (
	ActiveDirectory = "ad"
	OpenLDAP        = "ldap"
)

// How membership of groups in groups is found.
const (
	InChain  = "in-chain" // the directory follows it: a rule of Active Directory
	MemberOf = "memberof" // people and groups bear memberOf; groups are followed here
	Members  = "members"  // groups bear their members, which are followed here
)

// What becomes of accounts that are disabled.
const (
	LeaveOut = "leave-out" // as if they were not there
	Send     = "send"      // sent, as disabled
)

// What becomes of a reference to a part of the tree that is elsewhere.
const (
	RefuseReferrals = "refuse"
	IgnoreReferrals = "ignore"
)

// Config are the settings of one directory. What is empty means what WithDefaults says.
type Config struct {
	Name           string              `toml:"name"`            // in messages
	Kind           string              `toml:"kind"`            // ActiveDirectory or OpenLDAP
	URLs           []string            `toml:"urls"`            // ldaps://host[:636], or ldap://host[:389], which speaks StartTLS; the first that answers is read
	CAFile         string              `toml:"ca_file"`         // authorities (PEM) that alone are trusted; otherwise those of the system
	BindDN         string              `toml:"bind_dn"`         // who reads; in Active Directory user@domain too
	PasswordFile   string              `toml:"password_file"`   // read by the caller of this package
	PasswordEnv    string              `toml:"password_env"`    // likewise
	Bases          []string            `toml:"bases"`           // below which people are looked for
	Exclude        []string            `toml:"exclude"`         // below which nobody is taken
	Scope          string              `toml:"scope"`           // subtree, one or base
	Filter         string              `toml:"filter"`          // who is a person (RFC 4515)
	Groups         []string            `toml:"groups"`          // only who is a member of one, directly or through groups in groups
	Nesting        string              `toml:"nesting"`         // InChain, MemberOf or Members
	Disabled       string              `toml:"disabled"`        // LeaveOut or Send
	DisabledFilter string              `toml:"disabled_filter"` // which accounts are disabled (RFC 4515)
	Referrals      string              `toml:"referrals"`       // RefuseReferrals or IgnoreReferrals
	PageSize       int                 `toml:"page_size"`       // entries asked for at a time
	Timeout        Timeout             `toml:"timeout"`         // of each answer, and of connecting
	Map            map[string][]string `toml:"map"`             // column -> attributes; the first that holds something counts
	Sites          []SiteRule          `toml:"site"`
	WithoutSite    string              `toml:"without_site"` // LeaveOut or Send: whom no site rule puts anywhere
}

// SiteRule puts people at a site: the members of a group, those below an OU, or those of whom an attribute has one of some values.
type SiteRule struct {
	Name      string   `toml:"name"` // as Foyer knows the site
	Group     string   `toml:"group"`
	OU        string   `toml:"ou"`
	Attribute string   `toml:"attribute"`
	Values    []string `toml:"values"`
}

// Timeout is a duration that settings write as 30s or 2m.
type Timeout time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Timeout) UnmarshalText(text []byte) error {
	d, err := foyer.ParseDuration(string(text))
	*t = Timeout(d)
	return err
}

// Person is what a directory says of one person.
type Person struct {
	foyer.Record
	DN    string
	Sites []string // names of sites, in the order of the settings

	refs map[foyer.Field]string // names (DN) of a manager or assistant of whom no email is known yet
}

// Result is what a directory was found to hold.
type Result struct {
	People       []Person
	WithoutEmail int            // who matches, but has no email; they are not in People
	WithoutSite  int            // who was left out because no site rule puts them anywhere
	Disabled     int            // who is in People as disabled
	LeftOut      int            // disabled accounts that were left out
	Expired      int            // who is in Disabled or LeftOut for having expired only
	Ignored      int            // references to other parts of the tree that were passed over
	Filled       map[string]int // column -> how many people have something in it
	Warnings     []string       // what was odd, without naming anybody
}

// Options are what Read needs besides its settings.
type Options struct {
	Password string
	Log      *slog.Logger     // may be nil
	Clock    foyer.Clock      // by which accounts expire; time.Now where it is nil
	Progress func(people int) // called after each page with how many were read so far; may be nil
}

// columns are the names by which Map calls what it fills.
var columns = []string{"email", "first_name", "last_name", "display_name", "title", "division", "mobile", "desk_phone", "site", "office", "external_id", "manager", "assistant"}

// defaultMaps say which attribute fills a column where the settings do not.
var defaultMaps = map[string]map[string][]string{
	ActiveDirectory: {
		"email": {"mail", "userPrincipalName"}, "first_name": {"givenName"}, "last_name": {"sn"}, "display_name": {"displayName", "cn"},
		"title": {"title"}, "division": {"department"}, "mobile": {"mobile"}, "desk_phone": {"telephoneNumber"},
		"office": {"physicalDeliveryOfficeName"}, "external_id": {"objectGUID"}, "manager": {"manager"}, "assistant": {"assistant"},
	},
	OpenLDAP: {
		"email": {"mail"}, "first_name": {"givenName"}, "last_name": {"sn"}, "display_name": {"displayName", "cn"},
		"title": {"title"}, "division": {"departmentNumber", "ou"}, "mobile": {"mobile"}, "desk_phone": {"telephoneNumber"},
		"office": {"physicalDeliveryOfficeName"}, "external_id": {"entryUUID"}, "manager": {"manager"}, "assistant": {"secretary"},
	},
}

// WithDefaults returns the settings with what is empty filled in, or an error that says which setting cannot be used and why.
func (c Config) WithDefaults() (Config, error) {
	if c.Kind != ActiveDirectory && c.Kind != OpenLDAP {
		return c, fmt.Errorf(`kind is %q; write kind = "ad" for Active Directory, kind = "ldap" for OpenLDAP and others`, c.Kind)
	}
	if err := c.checkURLs(); err != nil {
		return c, err
	}
	fill(&c.Name, hostOf(c.URLs[0]))
	fill(&c.Scope, "subtree")
	fill(&c.Disabled, LeaveOut)
	fill(&c.Referrals, RefuseReferrals)
	fill(&c.WithoutSite, Send)
	if c.Kind == ActiveDirectory {
		fill(&c.Filter, "(&(objectCategory=person)(objectClass=user))")
		fill(&c.DisabledFilter, disabledBit)
		fill(&c.Nesting, InChain)
	} else {
		fill(&c.Filter, "(objectClass=inetOrgPerson)")
		fill(&c.Nesting, Members)
	}
	if c.PageSize == 0 {
		c.PageSize = 500
	}
	if c.Timeout == 0 {
		c.Timeout = Timeout(time.Minute)
	}
	merged := maps.Clone(defaultMaps[c.Kind])
	maps.Copy(merged, c.Map)
	c.Map = merged
	return c, c.check()
}

// control is where Active Directory notes whether an account is disabled: its bit 2 (MS-ADTS §2.2.16), for which the filter asks.
const (
	control     = "userAccountControl"
	disabledBit = "(userAccountControl:1.2.840.113556.1.4.803:=2)"
)

// fill sets an empty setting.
func fill(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// hostOf returns the host of an address, for messages.
func hostOf(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Host
	}
	return address
}

func (c Config) checkURLs() error {
	if len(c.URLs) == 0 {
		return fmt.Errorf(`urls is missing; write urls = ["ldaps://dc1.example.com"]`)
	}
	for _, address := range c.URLs {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "ldaps" && u.Scheme != "ldap" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
			return fmt.Errorf("urls holds %q; write ldaps://HOST, or ldap://HOST, over which StartTLS is spoken", address)
		}
	}
	return nil
}

func (c Config) check() error {
	for _, s := range []struct {
		name, value string
		allowed     []string
	}{
		{"scope", c.Scope, []string{"subtree", "one", "base"}}, {"nesting", c.Nesting, []string{InChain, MemberOf, Members}},
		{"disabled", c.Disabled, []string{LeaveOut, Send}}, {"referrals", c.Referrals, []string{RefuseReferrals, IgnoreReferrals}},
		{"without_site", c.WithoutSite, []string{LeaveOut, Send}},
	} {
		if !slices.Contains(s.allowed, s.value) {
			return fmt.Errorf("%s is %q; it can be %s", s.name, s.value, strings.Join(s.allowed, ", "))
		}
	}
	if c.BindDN == "" {
		return fmt.Errorf("bind_dn is missing: the account that reads the directory")
	}
	if len(c.Bases) == 0 {
		return fmt.Errorf(`bases is missing; write bases = ["OU=Staff,DC=example,DC=com"]`)
	}
	if c.PageSize < 1 || c.PageSize > 100_000 {
		return fmt.Errorf("page_size is %d; it can be 1 to 100000, and servers allow 1000 or less", c.PageSize)
	}
	if c.Timeout < 0 || time.Duration(c.Timeout) > time.Hour {
		return fmt.Errorf(`timeout is %v; it can be up to 1h; "1m" is usual`, time.Duration(c.Timeout))
	}
	if c.Disabled == Send && c.DisabledFilter == "" {
		return fmt.Errorf(`disabled = "send" needs disabled_filter, which says what accounts are disabled: "(nsAccountLock=TRUE)"`)
	}
	if err := c.checkNames(); err != nil {
		return err
	}
	return c.checkMap()
}

// checkNames checks what must be a distinguished name or a filter.
func (c Config) checkNames() error {
	names := map[string][]string{"bases": c.Bases, "exclude": c.Exclude, "groups": c.Groups}
	for i, rule := range c.Sites {
		if err := rule.check(); err != nil {
			return fmt.Errorf("site %d: %w", i+1, err)
		}
		names[fmt.Sprintf("group of site %q", rule.Name)] = nonEmpty(rule.Group)
		names[fmt.Sprintf("ou of site %q", rule.Name)] = nonEmpty(rule.OU)
	}
	for _, what := range slices.Sorted(maps.Keys(names)) {
		for _, name := range names[what] {
			if dn, err := ldap.ParseDN(name); err != nil || len(dn.RDNs) == 0 {
				return fmt.Errorf("%s: %q is no distinguished name, such as OU=Staff,DC=example,DC=com", what, name)
			}
		}
	}
	for name, filter := range map[string]string{"filter": c.Filter, "disabled_filter": c.DisabledFilter} {
		if _, err := ldap.CompileFilter(filter); err != nil && filter != "" {
			return fmt.Errorf("%s: %q is no filter, such as (&(objectClass=person)(mail=*)): %w", name, filter, err)
		}
	}
	return nil
}

func (r SiteRule) check() error {
	ways := 0
	for _, way := range []string{r.Group, r.OU, r.Attribute} {
		if way != "" {
			ways++
		}
	}
	switch {
	case strings.TrimSpace(r.Name) == "" || strings.Contains(r.Name, ";"):
		return fmt.Errorf("name is %q; give the site's name as Foyer knows it", r.Name)
	case ways != 1:
		return fmt.Errorf("%q needs exactly one of group, ou, and attribute with values", r.Name)
	case (r.Attribute == "") != (len(r.Values) == 0):
		return fmt.Errorf("%q: attribute and values belong together", r.Name)
	}
	return nil
}

func (c Config) checkMap() error {
	for column := range c.Map {
		if !slices.Contains(columns, column) {
			return fmt.Errorf("map: there is no column %q; there are %s", column, strings.Join(columns, ", "))
		}
	}
	if len(c.Map["email"]) == 0 {
		return fmt.Errorf("map: email needs an attribute: people are known by their email")
	}
	return nil
}

// nonEmpty returns a list of s, empty where s is.
func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

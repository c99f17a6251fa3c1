package foyer

import (
	"slices"
	"strings"
	"time"
)

// Entra is a source that reads the directory of a Microsoft Entra tenant, which its administrator connected by a link.
const Entra SourceKind = "entra"

// Connection is how a source of the kind Entra stands: which tenant it reads, how, and how the last reading went.
type Connection struct {
	Source      SourceID
	Tenant      string   // the tenant's id
	TenantName  string   // as the tenant called itself when it was connected
	Domains     []string // its verified domains then
	State       ConnectionState
	Settings    EntraSettings
	People      int    // who is known of the tenant, as set
	Plan        []byte // what it would do, before it is confirmed, as the package connect writes it; empty where that is not known
	Problem     string // what is wrong and what to do; "": nothing is
	Failures    int    // how many readings failed one after the other
	ConnectedAt time.Time
	CheckedAt   time.Time // when a reading last went well; zero: never
	NextAt      time.Time // when it is read next; of a connection that waits or rests it says nothing
	Version     int64     // counts what was read or set: what is read again by it is the same
}

// ConnectionState says what a connection is waiting for.
type ConnectionState string

// The states of a connection.
const (
	Consenting   ConnectionState = "consenting"   // the tenant is known; its administrator has not agreed yet
	Confirming   ConnectionState = "confirming"   // it is read, but nothing of it goes into the book before somebody confirms it
	Connected    ConnectionState = "connected"    // the book follows it
	Paused       ConnectionState = "paused"       // somebody stopped it for a while
	Disconnected ConnectionState = "disconnected" // the tenant's administrator took the permission back, or removed the application
	Removed      ConnectionState = "removed"      // somebody disconnected it here: nothing is kept of the tenant
)

// Reads tells whether the tenant is read in that state.
func (s ConnectionState) Reads() bool { return s == Confirming || s == Connected }

// DefaultEvery is how often a tenant is read unless its settings say otherwise.
const DefaultEvery = 30 * time.Minute

// EntraSettings say whom of a tenant the book lists, and where.
type EntraSettings struct {
	Every          time.Duration     `json:"every,omitempty"`           // how often the tenant is read; 0: DefaultEvery
	Guests         bool              `json:"guests,omitempty"`          // guests of the tenant are listed too
	PrincipalNames bool              `json:"principal_names,omitempty"` // who has no mail address is listed by userPrincipalName
	LeaveDisabled  bool              `json:"leave_disabled,omitempty"`  // accounts that are disabled are not listed, instead of listed as disabled
	NoOffices      bool              `json:"no_offices,omitempty"`      // officeLocation does not say the site, though it may match one
	Groups         []GroupSite       `json:"groups,omitempty"`          // whose members, also nested, are at which site
	OnlyGroups     bool              `json:"only_groups,omitempty"`     // who is in none of the groups is not listed
	Attributes     map[string]string `json:"attributes,omitempty"`      // of fields by name, the attribute that they are read from instead of the usual; "" says nothing
}

// GroupSite says that the members of a group are at a site.
type GroupSite struct {
	Group string `json:"group"` // the group's id
	Name  string `json:"name"`  // as it was called when it was chosen
	Site  SiteID `json:"site"`  // 0: at none in particular
}

// Interval returns how often the tenant is read.
func (s *EntraSettings) Interval() time.Duration {
	if s.Every <= 0 {
		return DefaultEvery
	}
	return s.Every
}

// entraAttributes are what is read of a person, and may be put into fields.
var entraAttributes = []string{"displayName", "givenName", "surname", "jobTitle", "department", "officeLocation", "mobilePhone", "businessPhones", "employeeId", "userPrincipalName", "mail"}

// EntraAttributes returns the names of the attributes of Microsoft Graph that fields can be read from.
func EntraAttributes() []string { return slices.Clone(entraAttributes) }

// usualAttributes are where fields come from unless the settings say otherwise.
var usualAttributes = map[Field]string{FirstName: "givenName", LastName: "surname", DisplayName: "displayName", Title: "jobTitle", Division: "department", Mobile: "mobilePhone", DeskPhone: "businessPhones"}

// Attribute returns the attribute that a field is read from; "" where it is read from none. The email and the manager are not of them: they follow rules of their own.
func (s *EntraSettings) Attribute(f Field) string {
	if name, set := s.Attributes[f.String()]; set {
		return name
	}
	return usualAttributes[f]
}

// Check returns an error where the settings cannot be meant.
func (s *EntraSettings) Check(sites []Site) error {
	if s.Every != 0 && (s.Every < 5*time.Minute || s.Every > 24*time.Hour) {
		return Errorf(Invalid, "a tenant is read every 5m to 24h, not every %v", s.Every)
	}
	if s.OnlyGroups && len(s.Groups) == 0 {
		return Errorf(Invalid, "only members of groups are to be listed, but no group is chosen: nobody would be")
	}
	if len(s.Groups) > MaxGroups {
		return Errorf(Invalid, "%d groups are chosen; the most is %d", len(s.Groups), MaxGroups)
	}
	for _, g := range s.Groups {
		if g.Site != 0 && !slices.ContainsFunc(sites, func(site Site) bool { return site.ID == g.Site }) {
			return Errorf(Invalid, "the group %q is to be at %v, which is no site", g.Name, g.Site)
		}
	}
	for name, attribute := range s.Attributes {
		f, ok := ParseField(name)
		if !ok || f == Email || f == Manager {
			return Errorf(Invalid, "there is no field %q that an attribute could be chosen for; there are: %s", name, strings.Join(fieldNames[FirstName:Manager], ", "))
		}
		if attribute != "" && !slices.Contains(entraAttributes, attribute) {
			return Errorf(Invalid, "there is no attribute %q; there are: %s", attribute, strings.Join(entraAttributes, ", "))
		}
	}
	return nil
}

// MaxGroups is how many groups of one tenant can be put at sites: each is read anew every time.
const MaxGroups = 64

// EntraLink is an invitation to connect a tenant: whoever has its token may, once, until it ends.
type EntraLink struct {
	ID        int64  // counts links within their organization
	For       string // the domain, or the tenant's id, that it was made for: no other tenant can be connected by it
	AnyTenant bool   // the operator said that any tenant may be
	Shared    bool   // the operator said that the tenant may also be another organization's
	Name      string // of the source that it makes
	Site      SiteID // of that source; 0: the whole organization
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    time.Time // zero: it can still be used
	Source    SourceID  // that it made
}

// LinkLife is how long a link can be used at most.
const LinkLife = 72 * time.Hour

// The kinds of alerts about connections, besides those about the runs of their sources.
const (
	AlertUnread       AlertKind = "unread"       // a directory could not be read, and is tried again
	AlertDisconnected AlertKind = "disconnected" // the permission to read a directory was taken back
	AlertCredential   AlertKind = "credential"   // the application's own credential ends soon
)

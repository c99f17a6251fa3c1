package foyer

import "time"

// Org is an organization: a customer with an address book of its own. Nothing ever crosses from one to another.
type Org struct {
	ID        OrgID
	Slug      string // lower-case letters, digits and hyphens; unique in an installation
	Name      string
	Country   string // ISO 3166-1 alpha-2, for phone numbers without a country code (R9); may be empty
	CreatedAt time.Time
}

// Site is a location of an organization.
type Site struct {
	ID      SiteID
	Name    string   // holds no ";", which separates sites in one cell (R14)
	Aliases []string // other names that the SITE column may use, earlier names among them
}

// Source is one feed into an organization's book. It covers the whole organization, or one site.
type Source struct {
	ID            SourceID
	Name          string
	Kind          SourceKind
	Site          SiteID // 0: the whole organization
	Priority      int    // the higher number wins; between equals the older source (R8)
	CreatedAt     time.Time
	LeaveHandMade bool              // its snapshots leave hand-made entries alone (R11)
	Windows1252   bool              // its files are Windows-1252 even where they happen to be valid UTF-8
	Headers       map[string]string // further headers of its files, and the field each holds
	Guard         Guard             // when a run of it waits for a person (R21); when it is made, the zero Guard is DefaultGuard
	EndedAt       time.Time         // zero: it has not ended. What has ended lists nobody, and delivers no more
	Expect        time.Duration     // how often it syncs at least (R27); 0: DefaultExpect once it has synced; Never: it is not missed
}

// DefaultExpect is the interval within which a source is expected to sync, where it has none of its own and has synced before (R27): a
// day, and what a nightly script may be late.
const DefaultExpect = 26 * time.Hour

// Never is the expected interval of a source whose silence raises no alert.
const Never time.Duration = -1

// Interval returns the interval within which the source is expected to sync; Never where it is not.
func (s *Source) Interval() time.Duration {
	if s.Expect == 0 {
		return DefaultExpect
	}
	return s.Expect
}

// Due returns when the source is missed (R27), given when it synced last; the zero time is never. A source that never synced (the zero
// time) is missed only where it has an interval of its own, which then counts from when it was made.
func (s *Source) Due(synced time.Time) time.Time {
	switch {
	case s.Expect < 0, s.Expect == 0 && synced.IsZero(), !s.EndedAt.IsZero():
		return time.Time{}
	case synced.IsZero():
		return s.CreatedAt.Add(s.Expect)
	}
	return synced.Add(s.Interval())
}

// Limit is tripped by a number that is both at least Count, and more than Percent of all.
type Limit struct {
	Count   int `json:"count"`
	Percent int `json:"percent"`
}

// Tripped tells whether n of all are too many.
func (l Limit) Tripped(n, all int) bool { return n >= l.Count && n*100 > l.Percent*all }

// Guard says when a run of a source is held for a person to decide (R21).
type Guard struct {
	Off     bool  `json:"off,omitempty"`
	Many    Limit `json:"many"`    // of those disabled or taken off their site
	Few     Limit `json:"few"`     // the same, for small numbers
	Renames Limit `json:"renames"` // of those who get another email by their id
	Names   Limit `json:"names"`   // of those whose name changes: shifted columns
}

// DefaultGuard returns the limits of R21.
func DefaultGuard() Guard {
	return Guard{Many: Limit{10, 20}, Few: Limit{5, 50}, Renames: Limit{10, 20}, Names: Limit{20, 30}}
}

// SourceKind says how a source delivers.
type SourceKind string

// CSV is a source that is pushed as files of comma-separated values.
const CSV SourceKind = "csv"

// Outranks tells whether what s says wins over what other says (R8).
func (s *Source) Outranks(other *Source) bool {
	if s.Priority != other.Priority {
		return s.Priority > other.Priority
	}
	return s.ID < other.ID
}

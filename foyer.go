// Package foyer holds the nouns of Foyer and nothing else: organizations, sites, entries of the address book,
// the sources that feed it, what a source says about a person (records), what it lists (claims), and the runs
// and changes that are the log of it all, and the alerts that somebody should look at.
//
// Every other package imports this one; this one imports the standard library only. The words are used
// as docs/rules.md explains them, and "R10" in a comment names a rule of that page.
//
// Numbers of things within an organization (R-81, E-1042, S-1, L-3, A-3) are counted per organization and never reused.
package foyer

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// OrgID names an organization: six characters of the base32 alphabet, made at random, never reused.
// Keys, secrets and tokens carry it, so that a look-up knows where its rows are.
type OrgID string

// SiteID numbers a site within its organization. 0 is no site. Its text form is L-3.
type SiteID int64

// SourceID numbers a source within its organization. 0 is no source: a person. Its text form is S-1.
type SourceID int64

// EntryID numbers an entry within its organization. 0 is no entry. Its text form is E-1042.
type EntryID int64

// RunID numbers a run, or any other act that changed the book, within its organization. Its text form is R-81.
type RunID int64

func (id SiteID) String() string   { return "L-" + strconv.FormatInt(int64(id), 10) }
func (id SourceID) String() string { return "S-" + strconv.FormatInt(int64(id), 10) }
func (id EntryID) String() string  { return "E-" + strconv.FormatInt(int64(id), 10) }
func (id RunID) String() string    { return "R-" + strconv.FormatInt(int64(id), 10) }

// ParseEntryID reads E-1042; ok is false for anything else.
func ParseEntryID(s string) (id EntryID, ok bool) {
	n, ok := parseNumber(s, "E-")
	return EntryID(n), ok
}

// ParseRunID reads R-81, or 81 alone.
func ParseRunID(s string) (RunID, error) {
	n, ok := parseNumber(s, "R-")
	if !ok {
		n, ok = parseNumber("R-"+s, "R-")
	}
	if !ok {
		return 0, Errorf(Invalid, "%q is not the id of a run; they look like R-81 (foyer run list shows them)", s)
	}
	return RunID(n), nil
}

func parseNumber(s, prefix string) (int64, bool) {
	digits, ok := strings.CutPrefix(strings.ToUpper(s), prefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && n > 0 && digits[0] != '+'
}

// Clock tells the time. Programs hand in time.Now, tests a clock they can move.
type Clock func() time.Time

// ParseDuration reads what the commands take: 90d, 12h, 30m, 2s, or what time.ParseDuration takes. A day is 24 hours.
func ParseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err == nil && n >= 0 && n <= 36500 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	} else if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return d, nil
	}
	return 0, fmt.Errorf("%q is not a duration; write 90d, 12h, 30m or 2s", s)
}

package foyer

import (
	"slices"
	"strings"
	"time"
)

// Entry is one person in an address book.
type Entry struct {
	ID        EntryID
	Values    [NumFields]string
	Origins   [NumFields]Origin // who says so, of each field
	E164      [2]string         // mobile and desk phone in E.164, empty where they could not be normalised (R9)
	HandSites []SiteID          // sites given by hand, ascending
	Sites     []SiteID          // all its sites, ascending: by hand and by claims; of a disabled entry its last (R12)
	ClaimedBy []SourceID        // the sources that list it now, ascending; none: hand-made
	Keeps     [NumFields]Keep   // values that a person keeps (R6)
	IDs       []ExternalID      // by which id each source knows it, also once it no longer lists it; by ascending source (R2)
	Enabled   bool
	Reason    Reason // why it is disabled
	Permanent bool   // no absence disables it
	Pinned    bool
	Notify    Methods // how its visitors are announced to it
	Notes     string
	LastRun   RunID // the run or act that touched it last
}

// ExternalID is the id by which a source knows an entry (R2).
type ExternalID struct {
	Source SourceID
	ID     string
}

// Keep says that a person keeps the value of a field: no source overwrites it until it is released (R6).
type Keep struct {
	Run   RunID     // the act that asked for it; 0: the field is not kept
	Until time.Time // its end; zero: until it is released
}

// Holds tells whether the field is kept at that time.
func (k Keep) Holds(now time.Time) bool {
	return k.Run != 0 && (k.Until.IsZero() || now.Before(k.Until))
}

// Ended tells whether the keep has come to its end, and is still noted.
func (k Keep) Ended(now time.Time) bool { return k.Run != 0 && !k.Holds(now) }

// Methods is a set of ways to tell a host of a visitor.
type Methods uint8

// The methods of notification.
const (
	NotifyEmail Methods = 1 << iota
	NotifySMS
	NotifyVoice
)

var methodNames = []string{"email", "sms", "voice"}

// ParseMethods reads names of methods separated by spaces or commas; none is a set too.
func ParseMethods(s string) (Methods, error) {
	set, err := parseSet(s, "method of notification", methodNames)
	return Methods(set), err
}

// String returns the names of the set's methods, separated by a space.
func (m Methods) String() string { return strings.Join(namesOf(uint8(m), methodNames), " ") }

// Reason says why an entry is disabled.
type Reason string

// The reasons of a disabled entry.
const (
	NotDisabled Reason = ""
	Absent      Reason = "absent"  // no source lists it any more (R10), or a snapshot in whose scope it was made by hand (R11)
	ByHand      Reason = "by_hand" // a person said so: no sync enables it (R13)
	BySource    Reason = "source"  // the source that decides lists it as disabled (R13)
)

// Origin says where the value of a field comes from.
type Origin struct {
	Owner  SourceID // the source whose value was last stored, also while a person's stands in its place (R8); 0: none
	Run    RunID    // the run or act that stored the value; 0: the field was never set
	Guess  bool     // split from a display name, not submitted (R9)
	Before string   // the value it replaced
}

// Address is what an email means: an entry, by its current email or by an alias. The zero Address means nobody.
type Address struct {
	Entry EntryID
	Alias bool
}

// HandMade tells whether no source claims the entry now.
func (e *Entry) HandMade() bool { return len(e.ClaimedBy) == 0 }

// Claimed tells whether the source lists the entry.
func (e *Entry) Claimed(by SourceID) bool { return slices.Contains(e.ClaimedBy, by) }

// KnownAs returns the id by which a source knows the entry; "" where it knows none.
func (e *Entry) KnownAs(source SourceID) string {
	for _, id := range e.IDs {
		if id.Source == source {
			return id.ID
		}
	}
	return ""
}

// SetKnownAs notes by which id a source knows the entry; "" is by none.
func (e *Entry) SetKnownAs(source SourceID, id string) {
	e.IDs = slices.DeleteFunc(e.IDs, func(x ExternalID) bool { return x.Source == source })
	if id == "" {
		return
	}
	at, _ := slices.BinarySearchFunc(e.IDs, source, func(x ExternalID, s SourceID) int { return int(x.Source - s) })
	e.IDs = slices.Insert(e.IDs, at, ExternalID{source, id})
}

// KeepEnd returns when the first of the entry's keeps ends; zero where none has an end.
func (e *Entry) KeepEnd() (end time.Time) {
	for _, k := range e.Keeps {
		if k.Run != 0 && !k.Until.IsZero() && (end.IsZero() || k.Until.Before(end)) {
			end = k.Until
		}
	}
	return end
}

// FullName returns the display name, or first and last name where there is none.
func (e *Entry) FullName() string {
	return FullName(e.Values[DisplayName], e.Values[FirstName], e.Values[LastName])
}

// FullName returns display, or first and last where it is empty.
func FullName(display, first, last string) string {
	switch {
	case display != "":
		return display
	case first == "":
		return last
	case last == "":
		return first
	}
	return first + " " + last
}

// Clone returns a copy that shares nothing that can change.
func (e *Entry) Clone() *Entry {
	c := *e
	c.HandSites = slices.Clone(e.HandSites)
	c.Sites = slices.Clone(e.Sites)
	c.ClaimedBy = slices.Clone(e.ClaimedBy)
	c.IDs = slices.Clone(e.IDs)
	return &c
}

// StatusNow returns whether the entry can be asked for, and why not.
func (e *Entry) StatusNow() Status { return Status{e.Enabled, e.Reason} }

// Status returns "enabled" or "disabled".
func (e *Entry) Status() string { return status(e.Enabled) }

func status(enabled bool) string {
	if enabled {
		return "enabled"
	}
	return "disabled"
}

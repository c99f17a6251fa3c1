package foyer

import "slices"

// Entry is one person in an address book.
type Entry struct {
	ID        EntryID
	Values    [NumFields]string
	Origins   [NumFields]Origin // who says so, of each field
	E164      [2]string         // mobile and desk phone in E.164, empty where they could not be normalised (R9)
	HandSites []SiteID          // sites given by hand, ascending
	Sites     []SiteID          // all its sites, ascending: by hand and by claims; of a disabled entry its last (R12)
	ClaimedBy []SourceID        // the sources that list it now, ascending; none: hand-made
	Enabled   bool
	Reason    Reason // why it is disabled
	Permanent bool   // no absence disables it
	Pinned    bool
	Notes     string
	LastRun   RunID // the run or act that touched it last
}

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

// HandMade tells whether no source claims the entry now.
func (e *Entry) HandMade() bool { return len(e.ClaimedBy) == 0 }

// Claimed tells whether the source lists the entry.
func (e *Entry) Claimed(by SourceID) bool { return slices.Contains(e.ClaimedBy, by) }

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
	return &c
}

// Status returns "enabled" or "disabled".
func (e *Entry) Status() string { return status(e.Enabled) }

func status(enabled bool) string {
	if enabled {
		return "enabled"
	}
	return "disabled"
}

package foyer

import "time"

// Run is one sync of one source, or another act that wrote to the book (an edit by hand): they share one count,
// so that every change names the act that made it.
type Run struct {
	ID       RunID
	Kind     RunKind
	Source   SourceID // 0: none, an act of a person
	Actor    string   // who: "key fk_…", "operator root"
	Address  string   // from where
	Status   RunStatus
	Started  time.Time
	Finished time.Time
	Counts
	Problems []Problem // at most MaxProblems; Counts has them all
	Message  string    // what happened in one sentence, of a run that was not applied
	Digest   []byte    // SHA-256 of what was delivered; empty where nothing was
	Book     int64     // the book's version right after the run
}

// MaxProblems is how many problems of rows a run keeps; all are counted.
const MaxProblems = 500

// RunKind says what an act on the book was.
type RunKind string

// The kinds of acts.
const (
	Sync RunKind = "sync" // one delivery of one source
	Edit RunKind = "edit" // a person's change of one entry
)

// RunStatus says what became of a run.
type RunStatus string

// The states of a run.
const (
	Applied RunStatus = "applied"
	Held    RunStatus = "held"    // the guard wants a person to decide: nothing changed yet (R21)
	Refused RunStatus = "refused" // not read as a list of people: nothing changed
	Failed  RunStatus = "failed"  // the source could not be read to its end: nothing changed (R20)
)

// Counts sums up what a run did to entries, and how its rows fared.
type Counts struct {
	Rows      int // read, not counting the header
	Listed    int // persons that the rows name, but for those with an error
	Added     int // entries that were not there before
	Updated   int // entries of which a value or a site changed
	Disabled  int
	Enabled   int
	Unchanged int // entries listed, and left as they were
	Skipped   int // rows without an email
	Errors    int // rows with an error
	Warnings  int
}

// Change is what one run did to one entry, before and after (R26). Only what changed is set.
type Change struct {
	Entry     EntryID
	Added     bool  // the entry was not there before
	Prev      RunID // the act that touched the entry before this one; 0: none that is known
	Fields    []FieldChange
	Status    *[2]Status
	Sites     *[2][]SiteID // all its sites
	HandSites *[2][]SiteID // the sites given by hand
	Flags     []FlagChange
	Claims    []ClaimChange
}

// Status is whether an entry can be asked for, and why not.
type Status struct {
	Enabled bool
	Reason  Reason
}

// String returns "enabled", or "disabled (absent)".
func (s Status) String() string {
	if s.Enabled || s.Reason == NotDisabled {
		return status(s.Enabled)
	}
	return status(s.Enabled) + " (" + string(s.Reason) + ")"
}

// FieldChange is one field before and after. Where the two are equal, only the field's owner changed (R8).
type FieldChange struct {
	Field  Field
	Before string
	After  string
	From   Origin // who said so before
	Owner  SourceID
}

// FlagChange is one mark of an entry, or its notes, before and after: permanent, pinned, notes.
type FlagChange struct {
	Name   string
	Before string
	After  string
}

// ClaimChange is one source's claim before and after; nil is none.
type ClaimChange struct {
	Source SourceID
	Before *Claim
	After  *Claim
}

// Visible tells whether a person sees a difference in a field, a mark or the sites: ownership, claims and status aside.
func (c *Change) Visible() bool {
	for _, f := range c.Fields {
		if f.Before != f.After {
			return true
		}
	}
	return c.Sites != nil || len(c.Flags) > 0
}

// Empty tells whether nothing changed.
func (c *Change) Empty() bool {
	return !c.Added && len(c.Fields) == 0 && c.Status == nil && c.Sites == nil && c.HandSites == nil && len(c.Flags) == 0 && len(c.Claims) == 0
}

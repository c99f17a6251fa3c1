package foyer

import (
	"strings"
	"time"
)

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
	Message  string    // what is to be said of it besides the counts: why it was not applied, that its file is an old one
	Digest   []byte    // SHA-256 of what was delivered; empty where nothing was
	Book     int64     // the book's version right after the run, or Unsettled
	Of       RunID     // the run that this one undoes, or as whose approval it was applied; 0: none
	Replays  RunID     // an earlier run that applied the same file, which is not the latest any more; 0: none
	SameAs   RunID     // an earlier run of the source whose problems are this one's, and are kept there; 0: none
	Hold     *Hold     // why it was held; nil: it was not
	Refusal  *Refusal  // of a refused run
	Redoes   RunID     // the undo whose work it does again, though that was held once; 0: none. Not stored, but said in Message
	Tried    []*Change // of a dry run, what it would do to the first people, the gravest first. Not stored
}

// Unsettled is the book's version of a run that has learned what makes the same delivery mean more the next time: it is looked at again.
const Unsettled = -1

// Hold says why a run waits for a person to decide, and whom it is about (R22).
type Hold struct {
	Reasons []string    `json:"reasons"`           // what it would do, and which limit that passes, the gravest first
	Lost    int         `json:"lost"`              // whom it would disable or take off their site
	Of      int         `json:"of"`                // of so many whom the source covers
	Shared  []HoldGroup `json:"shared"`            // what the lost have in common
	Redoes  []RunID     `json:"redoes,omitempty"`  // the undos whose work it would do again
	Away    int         `json:"away,omitempty"`    // of those whom the guard counted, how many were taken away in the days before
	Leave   bool        `json:"leave,omitempty"`   // of the end of a source: whom nobody else lists stays
	Decided string      `json:"decided,omitempty"` // by whom and when, once it is
	Expires time.Time   `json:"expires_at"`        // when it lapses
}

// HoldFor makes the run one that waits for a decision; its counts say what it would do.
func (r *Run) HoldFor(hold *Hold) {
	r.Status, r.Hold = Held, hold
	r.Message = strings.TrimSpace(strings.Join(hold.Reasons, "; ") + ". " + r.Message)
}

// HoldGroup says how many of those whom a held run would take away share a site or a division.
type HoldGroup struct {
	By    string `json:"by"` // "site", "division"
	Value string `json:"value"`
	Count int    `json:"count"`
}

// Refusal is the error for which a run was refused, so that the reply can be given again.
type Refusal struct {
	Kind   Kind   `json:"kind"`
	Line   int    `json:"line,omitempty"`
	Column string `json:"column,omitempty"`
}

// MaxProblems is how many problems of rows a run keeps; all are counted.
const MaxProblems = 500

// RunKind says what an act on the book was.
type RunKind string

// The kinds of acts.
const (
	Sync RunKind = "sync" // one delivery of one source
	Edit RunKind = "edit" // a person's change of one entry
	Undo RunKind = "undo" // what another run did is put back (R25)
	Join RunKind = "join" // two entries of one person become one (R3)
	End  RunKind = "end"  // a source ends: it lists nobody any more

	Erase RunKind = "erase" // a person is erased for good (R28)
)

// RunStatus says what became of a run.
type RunStatus string

// The states of a run.
const (
	Applied    RunStatus = "applied"
	Refused    RunStatus = "refused"    // not read as a list of people: nothing changed
	Failed     RunStatus = "failed"     // a fault on this side: nothing changed
	Held       RunStatus = "held"       // waits for a person to decide: nothing changed (R22)
	Approved   RunStatus = "approved"   // was held, and applied by a later run
	Rejected   RunStatus = "rejected"   // was held, and a person said no
	Superseded RunStatus = "superseded" // was held, and its source delivered anew
	Lapsed     RunStatus = "lapsed"     // was held, and nobody decided in time
	Undone     RunStatus = "undone"     // was applied, and all of it put back (R25)
)

// HoldLife is how long a held run waits before it lapses (R22).
const HoldLife = 7 * 24 * time.Hour

// Counts sums up what a run did to entries, and how its rows fared.
type Counts struct {
	Rows      int // read, not counting the header
	Listed    int // persons that the rows name, but for those with an error
	Added     int // entries that were not there before
	Updated   int // entries of which a value or a site changed
	Disabled  int
	Enabled   int
	Removed   int // entries whose addition was undone, or that were joined to another
	Unchanged int // entries listed, and left as they were
	Skipped   int // rows without an email
	Errors    int // rows with an error
	Warnings  int
}

// Change is what one run did to one entry, before and after (R26). Only what changed is set.
type Change struct {
	Entry     EntryID
	Added     bool  // the entry was not there before
	Removed   bool  // the entry is not there after: its addition was undone, or it was joined to another
	Prev      RunID // the act that touched the entry before this one; 0: none that is known
	Fields    []FieldChange
	Status    *[2]Status
	Sites     *[2][]SiteID // all its sites
	HandSites *[2][]SiteID // the sites given by hand
	Flags     []FlagChange
	Claims    []ClaimChange
	Keeps     []KeepChange
	IDs       []IDChange
	Emails    []EmailChange // what emails mean, but for that of an added entry which meant nobody
	Joined    EntryID       // the other entry of a join, or of the undo of one; 0: none
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

// KeepChange is what a person keeps of an entry, before and after.
type KeepChange struct {
	Field  Field
	Before Keep
	After  Keep
}

// IDChange is by which id a source knows an entry, before and after; "" is by none.
type IDChange struct {
	Source SourceID
	Before string
	After  string
}

// EmailChange is what an email means, before and after.
type EmailChange struct {
	Key    string // the email's key (R1)
	Before Address
	After  Address
}

// Visible tells whether a person sees a difference in a field, a mark or the sites: ownership, claims and status aside.
func (c *Change) Visible() bool {
	for _, f := range c.Fields {
		if f.Before != f.After {
			return true
		}
	}
	return c.Sites != nil || len(c.Flags) > 0 || c.Removed
}

// Empty tells whether nothing changed.
func (c *Change) Empty() bool {
	return !c.Added && !c.Removed && len(c.Fields) == 0 && c.Status == nil && c.Sites == nil && c.HandSites == nil && len(c.Flags) == 0 &&
		len(c.Claims) == 0 && c.Joined == 0 && len(c.Keeps) == 0 && len(c.IDs) == 0 && len(c.Emails) == 0
}

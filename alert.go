package foyer

import (
	"strconv"
	"time"
)

// AlertID numbers an alert within its organization. Its text form is A-3.
type AlertID int64

func (id AlertID) String() string { return "A-" + strconv.FormatInt(int64(id), 10) }

// Alert is something that a person should know of, for as long as it lasts (R27). It holds no personal data.
type Alert struct {
	ID      AlertID
	Cause   string // what it is about: an organization has at most one open alert of a cause
	Kind    AlertKind
	Source  SourceID // 0: of no source
	Run     RunID    // the newest run that it is about; 0: none
	Key     KeyID    // "": of no key
	Opened  time.Time
	Seen    time.Time // when the cause showed last
	Closed  time.Time // zero: it is open
	Mailed  time.Time // when a contact was last sent a message of it; zero: never
	Title   string    // what happened, in a few words
	Message string    // what happened, and where
	Cure    string    // what to do, with the command
	Ending  string    // why it is over; "" while it is open, and where nobody needs to be told
}

// AlertKind says what an alert is about.
type AlertKind string

// The kinds of alerts.
const (
	AlertRefused    AlertKind = "refused"     // a delivery could not be used
	AlertHeld       AlertKind = "held"        // a delivery waits for a decision
	AlertFailed     AlertKind = "failed"      // a source could not be read
	AlertSilent     AlertKind = "silent"      // a source did not sync within its interval
	AlertReplayed   AlertKind = "replayed"    // an old file was applied again
	AlertRedone     AlertKind = "redone"      // what somebody had undone was done again
	AlertKeyExpires AlertKind = "key_expires" // a key ends soon
	AlertKeyEnded   AlertKind = "key_ended"   // a key was used after its end
	AlertKeyLeaked  AlertKind = "key_leaked"  // a key's secret was sent in a URL
)

// AlertCause returns the cause of an alert of a kind about a source: "held:S-1".
func AlertCause(kind AlertKind, source SourceID) string { return string(kind) + ":" + source.String() }

// Contact is whom an organization's alerts are mailed to.
type Contact struct {
	Email     string
	Name      string
	CreatedAt time.Time
}

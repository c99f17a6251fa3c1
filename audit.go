package foyer

import "time"

// Audit is one act that changed something, or showed a secret: who, from where, and what, by ids alone.
type Audit struct {
	Seq     int64 // counted within the organization, from 1, without gaps
	At      time.Time
	Actor   string // "key fk_…", "operator root"
	Address string // from where; "": this machine's command line
	Act     string // "key.create", "run.sync"
	Target  string // what it was done to: R-81, S-1, fk_…
	Detail  string // more of it, as "name=value name=value"; no personal data
	MAC     []byte // over all of it and the MAC before, under a key that is not in the database
}

package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"foyer"
)

// checkpointer carries what was committed from SQLite's log into the database, beside the writers: SQLite by itself does so within the
// commit that makes the log long, and the sync after a first load would wait for the first load's hundred thousand pages.
//
// A log can be begun anew only where a writer finds all of it carried over and nobody reading it. Under a steady load there
// is always a commit that came meanwhile; so where the log is long, the rest is carried over in a turn of the writer's connection. The file of a very
// long log is cut when nobody has committed for a while: that takes long too.
//
// PostgreSQL has a checkpointer of its own: there it is nil, and does nothing.
type checkpointer struct {
	own    *sql.DB // one connection
	write  *sql.DB
	wake   chan struct{} // something was committed
	cancel context.CancelFunc
	ended  chan struct{}
}

// Frames are pages in the log, of 4 KiB.
const (
	worthFrames = 1000  // that are worth to be carried over; SQLite's own default
	longFrames  = 4000  // of a log that should be begun anew
	keptFrames  = 16384 // of a log whose file is not cut
)

// How long it waits before it looks again where the log could not be carried over to its end: at first, and at most.
const (
	soonAgain  = 20 * time.Millisecond
	laterAgain = time.Second
)

// emptyWithin is how long whoever wants the log emptied waits for those who read it, and askOwed how often each process looks whether it is still to be emptied.
const (
	emptyWithin = 3 * time.Second
	askOwed     = 2 * time.Second
)

// owedPrefix begins the names of what says in the database that its log is to be emptied: whoever has the database open does it, whatever becomes of
// the process that owes it.
const owedPrefix = "empty_log "

// oweEmpty says that SQLite's log is to be emptied, since it holds what was erased.
func oweEmpty(t *txn, org foyer.OrgID, run foyer.RunID) error {
	if t.dialect != sqliteDialect {
		return nil
	}
	return t.exec(`INSERT INTO meta (name, value) VALUES ($1, '') ON CONFLICT DO NOTHING`, fmt.Sprintf("%s%s %d", owedPrefix, org, run))
}

// empty empties the log where it is owed. It tells whether it did; if not within so long, it is done as soon as nobody reads any more what is in it. Nobody who
// writes waits for it.
func (c *checkpointer) empty(ctx context.Context, within time.Duration) bool {
	if c == nil {
		return true
	}
	for end := time.Now().Add(within); ; {
		if c.emptyOwed(ctx) {
			return true
		}
		if time.Now().After(end) || ctx.Err() != nil {
			c.committed()
			return false
		}
		time.Sleep(soonAgain)
	}
}

// emptyOwed tries once to empty the log where it is owed; it tells whether it is owed no more.
func (c *checkpointer) emptyOwed(ctx context.Context) bool {
	const q = `SELECT COALESCE(GROUP_CONCAT(name, char(10)), '') FROM meta WHERE name >= $1 AND name < $1 || '~'`
	var names string
	if err := c.own.QueryRowContext(ctx, q, owedPrefix).Scan(&names); err != nil || names == "" {
		return err == nil
	}
	// The greater part is carried over without the writers' lock.
	if _, _, ok := frames(ctx, c.own, `PRAGMA wal_checkpoint(PASSIVE)`); !ok {
		return false
	}
	if _, _, ok := frames(ctx, c.own, `PRAGMA wal_checkpoint(TRUNCATE)`); !ok {
		return false
	}
	for name := range strings.SplitSeq(names, "\n") {
		c.own.ExecContext(ctx, `DELETE FROM meta WHERE name = $1`, name) // fails while another writes: then it is emptied once more
	}
	return true
}

// startCheckpointer starts one. own must not wait for locks: while it does, it may hold the writers up.
func startCheckpointer(own, write *sql.DB) *checkpointer {
	own.SetMaxOpenConns(1)
	ctx, cancel := context.WithCancel(context.Background())
	c := &checkpointer{own: own, write: write, wake: make(chan struct{}, 1), cancel: cancel, ended: make(chan struct{})}
	go c.run(ctx)
	return c
}

// committed says that something was committed. It does not wait.
func (c *checkpointer) committed() {
	if c == nil {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// close ends it. What it has not looked at yet is carried over, as far as it is worth it: another process may keep the database open, and
// then nobody else does so.
func (c *checkpointer) close() error {
	if c == nil {
		return nil
	}
	c.cancel()
	<-c.ended
	return c.own.Close()
}

func (c *checkpointer) run(ctx context.Context) {
	defer close(c.ended)
	idle, pause := false, soonAgain
	again := time.NewTimer(0)
	again.Stop()
	ask := time.NewTicker(askOwed)
	defer ask.Stop()
	for {
		select {
		case <-ctx.Done():
			ctx = context.WithoutCancel(ctx)
			c.carry(ctx, c.own, worthFrames)
			c.emptyOwed(ctx)
			return
		case <-ask.C:
			c.emptyOwed(ctx)
			continue
		case <-c.wake:
			idle = false
		case <-again.C:
			idle = true
		}
		log, done := c.step(ctx, idle)
		if done {
			pause = soonAgain
			if again.Stop(); log >= keptFrames {
				again.Reset(laterAgain)
			}
			continue
		}
		again.Reset(pause)
		pause = min(2*pause, laterAgain)
	}
}

// step looks at the log once. It returns how many frames it has, and whether nothing is left to do now.
func (c *checkpointer) step(ctx context.Context, idle bool) (log int, done bool) {
	log, left, ok := c.carry(ctx, c.own, worthFrames)
	if ok && log >= longFrames && left > 0 {
		log, left, ok = c.carry(ctx, c.write, 1)
	}
	if ok && log >= keptFrames && left == 0 && idle {
		log, left, ok = frames(ctx, c.own, `PRAGMA wal_checkpoint(TRUNCATE)`)
	}
	return log, ok && (log < longFrames || left == 0)
}

// carry carries the log over through a connection where so many frames of it are left, and returns how many frames it has and how many
// are left now; ok is false where that could not be found out.
func (c *checkpointer) carry(ctx context.Context, conn *sql.DB, worth int) (log, left int, ok bool) {
	log, left, ok = frames(ctx, c.own, `PRAGMA wal_checkpoint(NOOP)`)
	if !ok || left < worth {
		return log, left, ok
	}
	return frames(ctx, conn, `PRAGMA wal_checkpoint(PASSIVE)`)
}

// frames runs a checkpoint. Why one fails does not matter here: the log stays as it is, and commits go on or say so themselves.
func frames(ctx context.Context, conn *sql.DB, pragma string) (log, left int, ok bool) {
	var busy, carried int
	if err := conn.QueryRowContext(ctx, pragma).Scan(&busy, &log, &carried); err != nil || busy != 0 || log < 0 {
		return 0, 0, false
	}
	return log, log - carried, true
}

package store

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"foyer"
)

// faults remembers whether the disk took what was written last.
type faults struct{ writing atomic.Bool }

// note looks at how a writing transaction ended.
func (f *faults) note(err error) {
	if err == nil {
		f.writing.Store(false)
	} else if isDiskFault(err) {
		f.writing.Store(true)
	}
}

// isDiskFault tells whether an error says that the disk is full, fails, or cannot be written to.
func isDiskFault(err error) bool {
	if code, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slices.Contains([]string{"53100", "58030", "25006"}, code.Code)
	}
	code, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch code.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return true
	}
	return false
}

// committed is busy for the end of a transaction. Where the disk failed under the commit itself, nobody knows what it holds: SQLite takes the transaction back, and writes over it with the next
// one; but if the machine stops before that, all of it may be there after the restart. Never a part of it: it counts by its last page, whose checksum covers the others.
func (s *Store) committed(doing string, err error) error {
	if code, ok := errors.AsType[*sqlite.Error](err); ok && code.Code()&0xff == sqlite3.SQLITE_IOERR {
		const message = "the server's disk failed at the last step: all of it was applied, or nothing; send it again: twice does no harm"
		return retryable(message, doing, err)
	}
	return s.busy(doing, err)
}

// notReady is the error of a store that cannot serve now.
func notReady(message string, cause error) error {
	return foyer.Errorf(foyer.Busy, "%s", message).Because(cause)
}

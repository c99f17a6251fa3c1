package foyer

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of failure an Error is. The package server turns each into a status; the commands into an exit code.
type Kind uint8

// The kinds of failure. Internal is the zero value: what nobody classified is nobody's business but the log's.
const (
	Internal        Kind = iota // a fault of ours: shown as such, with a request id and no detail
	Malformed                   // the request is not well formed (400)
	Invalid                     // well formed, but it cannot be carried out as it is (422)
	Unauthenticated             // no, or no longer valid, credentials (401)
	Forbidden                   // known, but not allowed (403)
	NotFound                    // not there, or not the caller's (404): the two read alike
	Conflict                    // it contradicts what is stored (409)
	TooLarge                    // beyond a limit (413)
	Unsupported                 // a format that is not read (415)
	Limited                     // too often (429)
	Busy                        // not now: lock, database or shutdown (503)
)

// Error is a failure that its reader can do something about.
type Error struct {
	Kind       Kind
	Message    string        // for the user: what was found, where, what to do
	Err        error         // for the log; may be nil
	Line       int           // of the file, as an editor counts (from 1); 0 when the failure is of no line
	Column     string        // the header of the column, when the failure is of one
	RetryAfter time.Duration // for Limited and Busy
}

// Errorf makes an Error with a formatted message for the user.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Because attaches the underlying error, which is for the log only.
func (e *Error) Because(err error) *Error {
	e.Err = err
	return e
}

// Error returns the message for the user, and the cause behind it.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first Error in err's chain, Internal where there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

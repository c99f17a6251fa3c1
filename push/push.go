// Package push is the customer's side: it takes a CSV file, or the people of the customer's directories, and sends them to the server
// as the PowerShell script does, but once and whole.
//
// A run goes in one direction. Load reads the settings; FromCSV or FromDirectories makes the files, one for each key, in memory; only when
// all of them are complete does Send send the first. So whatever fails on the way, nothing is sent. Each file has an Idempotency-Key
// of its own, made once and sent with every try: a reply that is lost never applies a file twice.
//
// Nothing of it keeps state on disk.
package push

import (
	"errors"
	"fmt"
)

// Outcome is how a run ended: the exit code of the command.
type Outcome int

// The outcomes. Of several files the worst is the run's: Refused, then Unreachable, then Held.
const (
	Applied     Outcome = 0 // or, of a dry run, would be applied
	Failed      Outcome = 1 // a fault of the program or of this machine
	Misused     Outcome = 2 // the command line, the settings or a secret cannot be used
	Held        Outcome = 3 // the server keeps the file until a person decides; or, of a dry run, would
	Refused     Outcome = 4 // the server refused the key or the file
	Unreachable Outcome = 5 // the server could not be reached, or gave no answer, in spite of several tries
	NotRead     Outcome = 6 // the directory or the file could not be read to its end, or lists nobody: nothing was sent
)

// outcomeNames are the outcomes in a log.
var outcomeNames = map[Outcome]string{Applied: "applied", Failed: "failed", Misused: "misused", Held: "held", Refused: "refused", Unreachable: "unreachable", NotRead: "not read"}

// String returns the outcome in a word or two.
func (o Outcome) String() string { return outcomeNames[o] }

// rank orders outcomes, the worst last.
func (o Outcome) rank() int {
	switch o {
	case Applied:
		return 0
	case Held:
		return 1
	case Unreachable:
		return 2
	}
	return 3
}

// Error is a failure that the customer's administrator can do something about.
type Error struct {
	Outcome Outcome
	Message string // what was found, where, what to do; with the cause. It never holds a secret
	Err     error  // the cause; may be nil
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// failf makes an Error. What the format wraps with %w is the cause.
func failf(o Outcome, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Outcome: o, Message: err.Error(), Err: errors.Unwrap(err)}
}

// OutcomeOf returns the outcome that an error stands for: Applied of nil, Failed of one that nobody classified.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return Applied
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Outcome
	}
	return Failed
}

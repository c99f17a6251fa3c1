package store

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"time"

	"foyer"
)

// Request names the request that asks for an act, so that it is carried out once however often it is sent.
type Request struct {
	Token  string // the Idempotency-Key; empty: every request counts as new. What is stored of it is a keyed hash
	Digest []byte // SHA-256 of what is asked for
}

// requestLife is how long an Idempotency-Key is remembered.
const requestLife = 24 * time.Hour

// AnsweredError says that the request was answered before: nothing was done again.
type AnsweredError struct{ Run *foyer.Run }

// Error implements error.
func (e *AnsweredError) Error() string {
	return "this request was answered before, by " + e.Run.ID.String()
}

// hideToken replaces the token of a request by what is stored of it: clients may put anything into it.
func (s *Store) hideToken(act *Act) {
	if act.Request.Token != "" {
		mac := hmac.New(sha256.New, s.vault.Key("request"))
		mac.Write([]byte(string(act.Org) + "\x00" + act.Request.Token))
		act.Request.Token = hex.EncodeToString(mac.Sum(nil))
	}
}

// seenBefore fails where the request of an act was answered before: with an AnsweredError, or where something else was asked for under the same
// token with foyer.Invalid.
func seenBefore(t *txn, caller foyer.Caller, act Act) error {
	if act.Request.Token == "" {
		return nil
	}
	var digest []byte
	var id foyer.RunID
	const q = `SELECT digest, run FROM idempotency WHERE org = $1 AND key = $2 AND token = $3 AND created_at > $4`
	err := t.get(q, []any{act.Org, caller.Key, act.Request.Token, millis(t.now.Add(-requestLife))}, &digest, &id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case !bytes.Equal(digest, act.Request.Digest):
		return foyer.Errorf(foyer.Invalid, "this Idempotency-Key stood over another file or other settings in the last 24 hours; use a new one for each delivery")
	}
	run, err := readRun(t, act.Org, id)
	if err != nil {
		return err
	}
	return &AnsweredError{run}
}

// answer notes which run answered a request. Where another process answered it meanwhile, the act starts over, and finds that.
func answer(t *txn, caller foyer.Caller, act Act, run *foyer.Run) error {
	if act.Request.Token == "" {
		return nil
	}
	if err := t.exec(`DELETE FROM idempotency WHERE org = $1 AND key = $2 AND created_at <= $3`, act.Org, caller.Key, millis(t.now.Add(-requestLife))); err != nil {
		return err
	}
	const q = `INSERT INTO idempotency (org, key, token, digest, run, created_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`
	written, err := t.count(q, act.Org, caller.Key, act.Request.Token, act.Request.Digest, run.ID, millis(t.now))
	if err == nil && written == 0 {
		return errStale
	}
	return err
}

package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"foyer"
)

// audit notes an act in the transaction that carries it out.
func (s *Store) audit(t *txn, caller foyer.Caller, org foyer.OrgID, act, target, detail string) error {
	head, err := s.readHead(t, org, t.dialect.locked())
	if err != nil {
		return err
	}
	a := foyer.Audit{Seq: head.seq + 1, At: t.now, Actor: caller.Name, Act: act, Target: target, Detail: detail}
	if caller.Address.IsValid() {
		a.Address = caller.Address.String()
	}
	a.MAC = s.auditMAC(org, &a, head.mac)
	const q = `INSERT INTO audit (org, seq, at, actor, address, act, target, detail, mac) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	if err := t.exec(q, org, a.Seq, millis(a.At), a.Actor, a.Address, a.Act, a.Target, a.Detail, a.MAC); err != nil {
		return err
	}
	const move = `INSERT INTO audit_head (org, seq, mac, seal) VALUES ($1, $2, $3, $4)
		ON CONFLICT (org) DO UPDATE SET seq = excluded.seq, mac = excluded.mac, seal = excluded.seal`
	return t.exec(move, org, a.Seq, a.MAC, s.headSeal(org, a.Seq, a.MAC))
}

// auditAll notes an act that concerns every organization, in one transaction for each.
func (s *Store) auditAll(ctx context.Context, caller foyer.Caller, act string) error {
	orgs, err := s.Orgs(ctx, caller)
	for _, org := range orgs {
		err = errors.Join(err, s.beside(ctx, org.ID, "note it in the audit", func(t *txn) error { return s.audit(t, caller, org.ID, act, "", "") }))
	}
	return err
}

// auditHead is the last row of an organization's audit.
type auditHead struct {
	seq  int64
	mac  []byte
	seal []byte
}

// readHead returns the head; the zero head where nothing was noted yet. A head that was not sealed here is an error: going on from it would hide that.
func (s *Store) readHead(t *txn, org foyer.OrgID, locked string) (h auditHead, err error) {
	err = t.get(`SELECT seq, mac, seal FROM audit_head WHERE org = $1`+locked, []any{org}, &h.seq, &h.mac, &h.seal)
	if errors.Is(err, sql.ErrNoRows) {
		return auditHead{}, nil
	}
	if err == nil && !hmac.Equal(h.seal, s.headSeal(org, h.seq, h.mac)) {
		err = fmt.Errorf("the head of the audit of %s was altered; foyer audit verify says more", org)
	}
	return h, err
}

func (s *Store) headSeal(org foyer.OrgID, seq int64, mac []byte) []byte {
	return s.auditHash("head", string(org), fmt.Sprint(seq), hex.EncodeToString(mac))
}

func (s *Store) auditMAC(org foyer.OrgID, a *foyer.Audit, before []byte) []byte {
	return s.auditHash("row", string(org), fmt.Sprint(a.Seq), fmt.Sprint(millis(a.At)), a.Actor, a.Address, a.Act, a.Target, a.Detail, hex.EncodeToString(before))
}

// auditHash is an HMAC over texts, each with its length in front, so that none can run into the next.
func (s *Store) auditHash(texts ...string) []byte {
	mac := hmac.New(sha256.New, s.auditKey)
	for _, text := range texts {
		mac.Write(binary.AppendUvarint(nil, uint64(len(text))))
		mac.Write([]byte(text))
	}
	return mac.Sum(nil)
}

// Audit calls yield for each act noted of an organization, the oldest first.
func (s *Store) Audit(ctx context.Context, caller foyer.Caller, org foyer.OrgID, yield func(*foyer.Audit) error) error {
	if err := caller.May(foyer.Administer, org); err != nil {
		return err
	}
	return s.snapshot(ctx, org, "read the audit", func(t *txn) error { return readAudit(t, org, yield) })
}

func readAudit(t *txn, org foyer.OrgID, yield func(*foyer.Audit) error) error {
	const q = `SELECT seq, at, actor, address, act, target, detail, mac FROM audit WHERE org = $1 ORDER BY seq`
	return t.each(q, []any{org}, func(rows *sql.Rows) error {
		var a foyer.Audit
		var at int64
		if err := rows.Scan(&a.Seq, &at, &a.Actor, &a.Address, &a.Act, &a.Target, &a.Detail, &a.MAC); err != nil {
			return err
		}
		a.At = fromMillis(at)
		return yield(&a)
	})
}

// AuditHead is where an organization's audit ends: what is written into the server's log every hour, to hold the audit against later.
type AuditHead struct {
	Seq int64
	MAC string // hexadecimal, of the last row
}

// AuditHead returns where the audit of an organization ends.
func (s *Store) AuditHead(ctx context.Context, caller foyer.Caller, org foyer.OrgID) (head AuditHead, err error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return head, err
	}
	err = s.snapshot(ctx, org, "read the audit", func(t *txn) error {
		h, err := s.readHead(t, org, "")
		head = AuditHead{h.seq, hex.EncodeToString(h.mac)}
		return err
	})
	return head, err
}

// VerifyAudit checks the audit of an organization from its first row to its last, and against known heads, as the server's log has them. It returns how many rows there are,
// and an error that names the first row which was altered, is missing, or was put in.
func (s *Store) VerifyAudit(ctx context.Context, caller foyer.Caller, org foyer.OrgID, known ...AuditHead) (rows int64, err error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return 0, err
	}
	err = s.snapshot(ctx, org, "verify the audit", func(t *txn) error {
		var before []byte
		macs := map[int64]string{}
		for _, head := range known {
			if other, twice := macs[head.Seq]; twice && other != head.MAC {
				return auditError("the log of the server has row %d twice, and differently", head.Seq)
			}
			macs[head.Seq] = head.MAC
		}
		err := readAudit(t, org, func(a *foyer.Audit) error {
			rows++
			if a.Seq != rows {
				return auditError("row %d is missing: after it comes row %d", rows, a.Seq)
			}
			if !hmac.Equal(a.MAC, s.auditMAC(org, a, before)) {
				return auditError("row %d (%s %s by %s) was altered, put in, or follows one that was", a.Seq, a.Act, a.Target, a.Actor)
			}
			if want, ok := macs[a.Seq]; ok && want != hex.EncodeToString(a.MAC) {
				return auditError("row %d is another one than the log of the server has", a.Seq)
			}
			delete(macs, a.Seq)
			before = a.MAC
			return nil
		})
		if err != nil {
			return err
		}
		return s.verifyHead(t, org, rows, before, macs)
	})
	return rows, err
}

// verifyHead checks that the audit ends where its head, and known heads that were not met, say.
func (s *Store) verifyHead(t *txn, org foyer.OrgID, rows int64, last []byte, unmet map[int64]string) error {
	var h auditHead
	err := t.get(`SELECT seq, mac, seal FROM audit_head WHERE org = $1`, []any{org}, &h.seq, &h.mac, &h.seal)
	switch {
	case errors.Is(err, sql.ErrNoRows) && rows == 0 && len(unmet) == 0:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return auditError("the head of the audit is missing")
	case err != nil:
		return err
	case !hmac.Equal(h.seal, s.headSeal(org, h.seq, h.mac)):
		return auditError("the head of the audit was altered")
	case h.seq != rows:
		return auditError("row %d is missing: the audit ends before its head, which is row %d", rows+1, h.seq)
	case !hmac.Equal(h.mac, last):
		return auditError("row %d is another one than the head says", rows)
	}
	for seq := range unmet {
		return auditError("row %d is missing: the log of the server has it", seq)
	}
	return nil
}

func auditError(format string, args ...any) error {
	return foyer.Errorf(foyer.Conflict, "the audit does not hold: "+format, args...)
}

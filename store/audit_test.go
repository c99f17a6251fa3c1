package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"foyer"
	"foyer/store/storetest"
)

// audited is an organization with ten acts in its audit, and another one with three.
type audited struct {
	*Store
	t     *testing.T
	org   foyer.OrgID
	other foyer.OrgID
}

func startAudited(t *testing.T) *audited {
	t.Helper()
	s := openTest(t)
	a := &audited{Store: s, t: t, org: newOrg(t, s).ID}
	other, err := s.CreateOrg(t.Context(), operator, "Other", "")
	if err != nil {
		t.Fatal(err)
	}
	a.other = other.ID
	for i := range 9 {
		a.act(a.org, i)
	}
	a.act(a.other, 1)
	a.act(a.other, 2)
	return a
}

// act does something that is audited.
func (a *audited) act(org foyer.OrgID, number int) {
	a.t.Helper()
	if _, err := a.CreateSite(context.Background(), operator, org, foyer.Site{Name: fmt.Sprint("Site ", number)}); err != nil {
		a.t.Fatal(err)
	}
}

// tamper does what somebody could who has the database and not the pepper: first of all they get rid of the triggers, or of the wall.
func (a *audited) tamper(statements ...string) {
	a.t.Helper()
	unlock, lock := []string{`DROP TRIGGER IF EXISTS audit_is_not_changed`, `DROP TRIGGER IF EXISTS audit_is_not_deleted`}, []string{}
	zeros := "zeroblob(32)"
	if storetest.OnPostgres() {
		unlock = []string{`ALTER TABLE audit NO FORCE ROW LEVEL SECURITY`, `ALTER TABLE audit_head NO FORCE ROW LEVEL SECURITY`}
		lock = []string{`ALTER TABLE audit FORCE ROW LEVEL SECURITY`, `ALTER TABLE audit_head FORCE ROW LEVEL SECURITY`}
		zeros = "decode(repeat('00', 32), 'hex')"
	}
	for _, statement := range slices.Concat(unlock, statements, lock) {
		statement = strings.NewReplacer("{org}", "'"+string(a.org)+"'", "{other}", "'"+string(a.other)+"'", "zeroblob(32)", zeros).Replace(statement)
		if _, err := a.write.Exec(statement); err != nil {
			a.t.Fatalf("%s: %v", statement, err)
		}
	}
}

func (a *audited) head() AuditHead {
	a.t.Helper()
	head, err := a.AuditHead(a.t.Context(), operator, a.org)
	if err != nil {
		a.t.Fatal(err)
	}
	return head
}

// wantBroken checks that the audit does not hold, and that the error says so of what it ought to.
func (a *audited) wantBroken(says string, known ...AuditHead) {
	a.t.Helper()
	_, err := a.VerifyAudit(a.t.Context(), operator, a.org, known...)
	if foyer.KindOf(err) != foyer.Conflict || !strings.Contains(err.Error(), says) {
		a.t.Errorf("the error is %v, want one that says %q", err, says)
	}
}

func (a *audited) wantWhole(rows int64, known ...AuditHead) {
	a.t.Helper()
	if n, err := a.VerifyAudit(a.t.Context(), operator, a.org, known...); err != nil || n != rows {
		a.t.Errorf("%d rows, %v; want %d", n, err, rows)
	}
}

func TestAudit_UntouchedHolds(t *testing.T) {
	a := startAudited(t)
	early := a.head()
	a.act(a.org, 100)
	a.wantWhole(11, early, a.head())
}

func TestAudit_AnAlteredColumnIsFound(t *testing.T) {
	for column, change := range map[string]string{
		"at": "at + 1", "actor": "'operator eve'", "address": "'203.0.113.7'", "act": "'site.edit'", "target": "target || '0'", "detail": "detail || ' '", "mac": "zeroblob(32)",
		"seq": "1000", "org": "{other}",
	} {
		t.Run(column, func(t *testing.T) {
			a := startAudited(t)
			a.tamper(`UPDATE audit SET ` + column + ` = ` + change + ` WHERE org = {org} AND seq = 5`)
			a.wantBroken("row 5")
		})
	}
}

// TestAudit_TextMovedToTheNextColumnIsFound holds that no two rows have one MAC because their texts run into each other.
func TestAudit_TextMovedToTheNextColumnIsFound(t *testing.T) {
	a := startAudited(t)
	a.tamper(`UPDATE audit SET act = act || substr(target, 1, 1), target = substr(target, 2) WHERE org = {org} AND seq = 5`)
	a.wantBroken("row 5")
}

func TestAudit_ADeletedRowIsFound(t *testing.T) {
	for name, statements := range map[string][]string{
		"with a gap":    {`DELETE FROM audit WHERE org = {org} AND seq = 5`},
		"with no gap":   {`DELETE FROM audit WHERE org = {org} AND seq = 5`, `UPDATE audit SET seq = seq - 1 WHERE org = {org} AND seq > 5`},
		"with its head": {`DELETE FROM audit WHERE org = {org} AND seq = 5`, `UPDATE audit SET seq = seq - 1 WHERE org = {org} AND seq > 5`, `UPDATE audit_head SET seq = seq - 1 WHERE org = {org}`},
	} {
		t.Run(name, func(t *testing.T) {
			a := startAudited(t)
			a.tamper(statements...)
			a.wantBroken("row 5")
		})
	}
}

func TestAudit_TheFirstRowDeletedIsFound(t *testing.T) {
	a := startAudited(t)
	a.tamper(`DELETE FROM audit WHERE org = {org} AND seq = 1`)
	a.wantBroken("row 1 is missing")
}

func TestAudit_AnInsertedRowIsFound(t *testing.T) {
	const row = `INSERT INTO audit SELECT org, 6, at, actor, address, act, target, detail, mac FROM audit WHERE org = {org} AND seq = 5`
	a := startAudited(t)
	a.tamper(`UPDATE audit SET seq = -seq - 1 WHERE org = {org} AND seq > 5`, `UPDATE audit SET seq = -seq WHERE org = {org} AND seq < 0`, row)
	a.wantBroken("row 6")
}

func TestAudit_ARowAddedAtTheEndIsFound(t *testing.T) {
	a := startAudited(t)
	a.tamper(`INSERT INTO audit SELECT org, 11, at, actor, address, act, target, detail, mac FROM audit WHERE org = {org} AND seq = 10`)
	a.wantBroken("row 11")
}

func TestAudit_SwappedRowsAreFound(t *testing.T) {
	a := startAudited(t)
	a.tamper(`UPDATE audit SET seq = 1005 WHERE org = {org} AND seq = 5`, `UPDATE audit SET seq = 5 WHERE org = {org} AND seq = 6`, `UPDATE audit SET seq = 6 WHERE org = {org} AND seq = 1005`)
	a.wantBroken("row 5")
}

// TestAudit_ACutEndIsFound holds that the head says which row is the last; nobody without the key can say another.
func TestAudit_ACutEndIsFound(t *testing.T) {
	const cut = `DELETE FROM audit WHERE org = {org} AND seq > 7`
	for name, test := range map[string]struct {
		statements []string
		says       string
	}{
		"the head as it was":  {[]string{cut}, "row 8 is missing"},
		"the head set back":   {[]string{cut, `UPDATE audit_head SET seq = 7, mac = (SELECT mac FROM audit WHERE org = {org} AND seq = 7) WHERE org = {org}`}, "the head of the audit was altered"},
		"the head of another": {[]string{cut, `UPDATE audit_head SET seq = 3, (mac, seal) = (SELECT mac, seal FROM audit_head WHERE org = {other}) WHERE org = {org}`}, "the head of the audit was altered"},
		"the head gone":       {[]string{cut, `DELETE FROM audit_head WHERE org = {org}`}, "the head of the audit is missing"},
		"all rows gone":       {[]string{`DELETE FROM audit WHERE org = {org}`}, "row 1 is missing"},
		"the MAC of the last": {[]string{`UPDATE audit_head SET mac = zeroblob(32) WHERE org = {org}`}, "the head of the audit was altered"},
		"the seal":            {[]string{`UPDATE audit_head SET seal = zeroblob(32) WHERE org = {org}`}, "the head of the audit was altered"},
	} {
		t.Run(name, func(t *testing.T) {
			a := startAudited(t)
			a.tamper(test.statements...)
			a.wantBroken(test.says)
		})
	}
}

// TestAudit_CutWithTheOldHeadPutBack holds the one thing that the database alone cannot show, a copy of the audit from earlier, and that a head from the log of the server shows it.
func TestAudit_CutWithTheOldHeadPutBack(t *testing.T) {
	for name, restore := range map[string][]string{
		"of row 10":  {`DELETE FROM audit WHERE org = {org} AND seq > 10`, `DELETE FROM audit_head WHERE org = {org}`, `INSERT INTO audit_head SELECT * FROM old_head`},
		"of nothing": {`DELETE FROM audit WHERE org = {org}`, `DELETE FROM audit_head WHERE org = {org}`},
	} {
		t.Run(name, func(t *testing.T) {
			a := startAudited(t)
			a.tamper(`CREATE TABLE old_head AS SELECT * FROM audit_head WHERE org = {org}`)
			a.act(a.org, 100)
			known := a.head()
			a.tamper(restore...)
			if _, err := a.VerifyAudit(t.Context(), operator, a.org); err != nil {
				t.Errorf("without a head from the log: %v", err)
			}
			says := "row 11 is missing: the log of the server has it"
			if name == "of nothing" {
				says = "the head of the audit is missing"
			}
			a.wantBroken(says, known)
		})
	}
}

// TestAudit_RewrittenSinceAKnownHead holds that a known head is compared with its own row, whatever came after: somebody put back an old audit and went on from there.
func TestAudit_RewrittenSinceAKnownHead(t *testing.T) {
	a := startAudited(t)
	a.tamper(`CREATE TABLE old_head AS SELECT * FROM audit_head WHERE org = {org}`)
	a.act(a.org, 100)
	known := a.head()
	a.tamper(`DELETE FROM audit WHERE org = {org} AND seq > 10`, `DELETE FROM audit_head WHERE org = {org}`, `INSERT INTO audit_head SELECT * FROM old_head`)
	a.act(a.org, 101)
	a.act(a.org, 102)
	a.wantWhole(12)
	a.wantBroken("row 11 is another one than the log of the server has", known)
}

// TestAudit_KnownHeadsThatContradictEachOther holds that none of two heads of one row is passed over.
func TestAudit_KnownHeadsThatContradictEachOther(t *testing.T) {
	a := startAudited(t)
	a.wantBroken("row 10 twice, and differently", AuditHead{Seq: 10, MAC: "00"}, a.head())
}

// TestAudit_RebuiltUnderAnotherKeyIsFound holds that the whole chain cannot be made anew by who has the database and not the pepper.
func TestAudit_RebuiltUnderAnotherKeyIsFound(t *testing.T) {
	a := startAudited(t)
	key := a.auditKey
	a.tamper(`DELETE FROM audit WHERE org = {org}`, `DELETE FROM audit_head WHERE org = {org}`)
	a.auditKey = []byte("a guess")
	for i := range 10 {
		a.act(a.org, 200+i)
	}
	a.wantWhole(10)
	a.auditKey = key
	a.wantBroken("row 1 ")
}

// TestAudit_OtherOrganizationsHoldOn holds that each organization has an audit of its own.
func TestAudit_OtherOrganizationsHoldOn(t *testing.T) {
	a := startAudited(t)
	a.tamper(`DELETE FROM audit WHERE org = {org} AND seq = 5`)
	if rows, err := a.VerifyAudit(t.Context(), operator, a.other); err != nil || rows != 3 {
		t.Errorf("%d rows, %v", rows, err)
	}
}

// TestAudit_NothingGoesOnFromAnAlteredHead holds that an act is refused whose row would hide that the head was altered or taken away.
func TestAudit_NothingGoesOnFromAnAlteredHead(t *testing.T) {
	for name, statement := range map[string]string{"altered": `UPDATE audit_head SET seq = 5 WHERE org = {org}`, "gone": `DELETE FROM audit_head WHERE org = {org}`} {
		t.Run(name, func(t *testing.T) {
			a := startAudited(t)
			a.tamper(statement)
			if _, err := a.CreateSite(t.Context(), operator, a.org, foyer.Site{Name: "New"}); foyer.KindOf(err) != foyer.Internal || err == nil {
				t.Errorf("the error is %v", err)
			}
			sites, err := a.Sites(t.Context(), operator, a.org)
			if err != nil || len(sites) != 9 {
				t.Errorf("%d sites, %v; want 9", len(sites), err)
			}
		})
	}
}

// TestAudit_TheDatabaseForbidsChanges holds that no statement of a program of ours could change or delete a row by mistake.
func TestAudit_TheDatabaseForbidsChanges(t *testing.T) {
	a := startAudited(t)
	if storetest.OnPostgres() {
		for _, statement := range []string{`UPDATE audit SET actor = 'eve'`, `UPDATE audit SET detail = detail WHERE seq = 5`, `DELETE FROM audit`} {
			for _, org := range []foyer.OrgID{a.org, everyOrg, ""} {
				err := a.beside(t.Context(), org, "tamper", func(tx *txn) error {
					if changed, err := tx.count(statement); err != nil || changed > 0 {
						t.Errorf("%s about %q: %d rows, %v", statement, org, changed, err)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		}
		a.wantWhole(10)
		return
	}
	for statement, says := range map[string]string{
		`UPDATE audit SET actor = 'eve'`: "the audit is not changed", `UPDATE audit SET detail = detail WHERE seq = 5`: "the audit is not changed",
		`INSERT OR REPLACE INTO audit SELECT org, 4, at, actor, address, act, target, detail, mac FROM audit WHERE seq = 5`: "the audit is not deleted from",
		`DELETE FROM audit`: "the audit is not deleted from", `DELETE FROM audit WHERE seq = 5`: "the audit is not deleted from",
	} {
		if _, err := a.write.Exec(statement); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", statement, err)
		}
	}
	a.wantWhole(10)
}

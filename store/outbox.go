package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"foyer"
)

// The messages about alerts wait in the database until they are sent, so that neither a crash nor a mail server that is away loses one. What is
// here spans organizations: it is the operator's. A message that is taken belongs to who took it for a while, so that several processes do not
// send it twice; a process that dies between sending and noting may send it once more.

// News is that an alert opened, or is over.
type News struct {
	Org   foyer.Org
	Alert foyer.Alert
	Over  bool
}

// Mail is a message about an alert that is to be sent to a contact.
type Mail struct {
	News
	Contact  foyer.Contact
	Attempts int // with this one
	mailbox  string
	made     int64
}

// These govern how messages are sent again.
const (
	MailLease    = 10 * time.Minute   // how long a message belongs to who took it
	mailFirstTry = time.Minute        // after the first failure; it doubles with each
	mailLastTry  = time.Hour          // at most
	MailGivenUp  = 3 * 24 * time.Hour // after its making a message is not sent any more
)

// takeNewsAtOnce is how many alerts TakeNews takes at once.
const takeNewsAtOnce = 200

// TakeNews returns which alerts opened or ended since it was called last, at most 200 of them, and makes the messages to the contacts. Those who
// became contacts after an alert opened are not told that it is over. Each piece of news is returned to one caller only. It takes a transaction for each; with an error come
// those that were taken all the same.
func (s *Store) TakeNews(ctx context.Context, caller foyer.Caller) (news []News, err error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return nil, err
	}
	var alerts []storedAlert
	err = s.snapshot(ctx, everyOrg, "look for news", func(t *txn) error {
		alerts, err = readAlerts(t, `WHERE news > 0 ORDER BY org, id LIMIT $1`, takeNewsAtOnce)
		return err
	})
	for _, a := range alerts {
		var taken []News
		err = errors.Join(err, s.beside(ctx, a.org, "take the news", func(t *txn) (err error) {
			taken, err = s.takeNews(t, a)
			return err
		}))
		news = append(news, taken...)
	}
	return news, err
}

// takeNews takes the news of one alert, unless another process took them.
func (s *Store) takeNews(t *txn, a storedAlert) (news []News, err error) {
	mine, err := t.count(`UPDATE alert SET news = 0 WHERE org = $1 AND id = $2 AND news = $3`, a.org, a.ID, a.news)
	if err != nil || mine == 0 {
		return nil, err
	}
	org, err := readOrg(t, a.org)
	if err != nil {
		return nil, err
	}
	const q = `INSERT INTO alert_mail (org, alert, over, mailbox, made_at, attempts, next_try)
		SELECT org, $1, $2, mailbox, $3, 0, 0 FROM contact WHERE org = $4 AND created_at <= $5`
	now := millis(s.clock())
	// Who removes a contact takes away what is made for it: after this.
	if err := t.each(`SELECT 1 FROM contact WHERE org = $1`+t.dialect.shared(), []any{a.org}, func(*sql.Rows) error { return nil }); err != nil {
		return nil, err
	}
	if a.news&newsOpened != 0 {
		news = append(news, News{org, a.Alert, false})
		if err := t.exec(q, a.ID, 0, now, a.org, now); err != nil {
			return nil, err
		}
	}
	if a.news&newsOver != 0 {
		news = append(news, News{org, a.Alert, true})
		until := millis(a.Opened)
		if a.news&newsOpened != 0 {
			until = now
		}
		if err := t.exec(q, a.ID, 1, now, a.org, until); err != nil {
			return nil, err
		}
	}
	return news, nil
}

// TakeMail takes at most limit messages that are to be sent now, by organization those with the oldest first. They belong to the caller for MailLease. That an alert is over is not
// sent before that it opened.
func (s *Store) TakeMail(ctx context.Context, caller foyer.Caller, limit int) (mails []Mail, err error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return nil, err
	}
	now := s.clock()
	orgs, err := s.orgsOf(ctx, "look for messages", `SELECT org FROM alert_mail WHERE next_try <= $1 GROUP BY org ORDER BY MIN(made_at), org`, millis(now))
	for _, org := range orgs {
		if len(mails) >= limit {
			break
		}
		err = errors.Join(err, s.beside(ctx, org, "take the messages", func(t *txn) error {
			const q = `UPDATE alert_mail SET attempts = attempts + 1, next_try = $1 WHERE org = $2 AND next_try <= $3 AND (alert, over, mailbox) IN (
				SELECT m.alert, m.over, m.mailbox FROM alert_mail m WHERE m.org = $2 AND m.next_try <= $3 AND (m.over = 0 OR NOT EXISTS (
					SELECT 1 FROM alert_mail o WHERE o.org = m.org AND o.alert = m.alert AND o.over = 0 AND o.mailbox = m.mailbox))
				ORDER BY m.made_at, m.alert, m.mailbox LIMIT $4)`
			taken, err := readMails(t, q, millis(now.Add(MailLease)), org, millis(now), limit-len(mails))
			mails = append(mails, taken...)
			return err
		}))
	}
	return mails, err
}

// orgsOf returns the organizations that a query of all of them yields.
func (s *Store) orgsOf(ctx context.Context, doing, query string, args ...any) (orgs []foyer.OrgID, err error) {
	err = s.snapshot(ctx, everyOrg, doing, func(t *txn) error {
		return t.each(query, args, func(rows *sql.Rows) error {
			var org foyer.OrgID
			err := rows.Scan(&org)
			orgs = append(orgs, org)
			return err
		})
	})
	return orgs, err
}

// readMails returns the messages that a statement yields, the oldest first, with what they are about.
func readMails(t *txn, query string, args ...any) (mails []Mail, err error) {
	err = t.each(query+` RETURNING org, alert, over, mailbox, attempts, made_at`, args, func(rows *sql.Rows) error {
		var m Mail
		err := rows.Scan(&m.Org.ID, &m.Alert.ID, &m.Over, &m.mailbox, &m.Attempts, &m.made)
		mails = append(mails, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(mails, func(a, b Mail) int {
		return cmp.Or(cmp.Compare(a.made, b.made), cmp.Compare(a.Alert.ID, b.Alert.ID), cmp.Compare(a.mailbox, b.mailbox))
	})
	kept := mails[:0]
	for i := range mails {
		err := mails[i].load(t)
		if errors.Is(err, errNoSuchMail) { // nobody is to get it any more
			err = t.exec(`DELETE FROM alert_mail WHERE org = $1 AND alert = $2 AND mailbox = $3`, mails[i].Org.ID, mails[i].Alert.ID, mails[i].mailbox)
		} else if err == nil {
			kept = append(kept, mails[i])
		}
		if err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// errNoSuchMail says that a message is about an alert or to a contact that is not there.
var errNoSuchMail = errors.New("there is no such message")

func (m *Mail) load(t *txn) (err error) {
	alerts, err := readAlerts(t, `WHERE org = $1 AND id = $2`, m.Org.ID, m.Alert.ID)
	if err != nil {
		return err
	}
	contacts, err := readContacts(t, `WHERE org = $1 AND mailbox = $2`, m.Org.ID, m.mailbox)
	if err != nil {
		return err
	}
	if len(alerts) == 0 || len(contacts) == 0 {
		return errNoSuchMail
	}
	m.Alert, m.Contact = alerts[0].Alert, contacts[0]
	m.Org, err = readOrg(t, m.Org.ID)
	return err
}

// MailSent notes that a message was sent.
func (s *Store) MailSent(ctx context.Context, caller foyer.Caller, m *Mail) error {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return err
	}
	return s.beside(ctx, m.Org.ID, "note that the message was sent", func(t *txn) error {
		if err := t.exec(`DELETE FROM alert_mail WHERE org = $1 AND alert = $2 AND over = $3 AND mailbox = $4`, m.Org.ID, m.Alert.ID, flag(m.Over), m.mailbox); err != nil {
			return err
		}
		return t.exec(`UPDATE alert SET mailed_at = $1 WHERE org = $2 AND id = $3`, millis(s.clock()), m.Org.ID, m.Alert.ID)
	})
}

// MailFailed gives a message back, to be tried again a minute later, then two minutes, four, and so on up to an hour.
func (s *Store) MailFailed(ctx context.Context, caller foyer.Caller, m *Mail) error {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return err
	}
	wait := mailFirstTry << min(max(m.Attempts-1, 0), 10)
	next := s.clock().Add(min(wait, mailLastTry))
	return s.beside(ctx, m.Org.ID, "note that the message was not sent", func(t *txn) error {
		return t.exec(`UPDATE alert_mail SET next_try = $1 WHERE org = $2 AND alert = $3 AND over = $4 AND mailbox = $5`,
			millis(next), m.Org.ID, m.Alert.ID, flag(m.Over), m.mailbox)
	})
}

// DropMail gives up the messages that could not be sent for MailGivenUp, and returns them.
func (s *Store) DropMail(ctx context.Context, caller foyer.Caller) (mails []Mail, err error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return nil, err
	}
	before := millis(s.clock().Add(-MailGivenUp))
	orgs, err := s.orgsOf(ctx, "look for messages to give up", `SELECT DISTINCT org FROM alert_mail WHERE made_at <= $1`, before)
	for _, org := range orgs {
		err = errors.Join(err, s.beside(ctx, org, "give up messages", func(t *txn) error {
			dropped, err := readMails(t, `DELETE FROM alert_mail WHERE org = $1 AND made_at <= $2`, org, before)
			mails = append(mails, dropped...)
			return err
		}))
	}
	return mails, err
}

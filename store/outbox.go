package store

import (
	"context"
	"database/sql"
	"errors"
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
}

// These govern how messages are sent again.
const (
	MailLease    = 10 * time.Minute   // how long a message belongs to who took it
	mailFirstTry = time.Minute        // after the first failure; it doubles with each
	mailLastTry  = time.Hour          // at most
	MailGivenUp  = 3 * 24 * time.Hour // after its making a message is not sent any more
)

// takeNewsAtOnce is how many alerts TakeNews takes in one transaction.
const takeNewsAtOnce = 200

// TakeNews returns which alerts opened or ended since it was called last, at most 200 of them, and makes the messages to the contacts. Those who
// became contacts after an alert opened are not told that it is over. Each piece of news is returned to one caller only.
func (s *Store) TakeNews(ctx context.Context, caller foyer.Caller) (news []News, err error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return nil, err
	}
	any, err := s.exists(ctx, "look for news", `SELECT 1 FROM alert WHERE news > 0 LIMIT 1`)
	if err != nil || !any {
		return nil, err
	}
	err = s.transact(ctx, "take the news", func(t *txn) error {
		news = nil
		alerts, err := readAlerts(t, `WHERE news > 0 ORDER BY org, id LIMIT $1`, takeNewsAtOnce)
		if err != nil {
			return err
		}
		for _, a := range alerts {
			taken, err := s.takeNews(t, a)
			if err != nil {
				return err
			}
			news = append(news, taken...)
		}
		return nil
	})
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

// exists tells whether a query of one column has a row.
func (s *Store) exists(ctx context.Context, doing, query string, args ...any) (found bool, err error) {
	err = s.snapshot(ctx, doing, func(t *txn) error {
		var one int
		err := t.get(query, args, &one)
		found = err == nil
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return found, err
}

// TakeMail takes at most limit messages that are to be sent now, the oldest first. They belong to the caller for MailLease. That an alert is over is not
// sent before that it opened.
func (s *Store) TakeMail(ctx context.Context, caller foyer.Caller, limit int) (mails []Mail, err error) {
	if err := caller.May(foyer.Operate, ""); err != nil {
		return nil, err
	}
	now := s.clock()
	any, err := s.exists(ctx, "look for messages", `SELECT 1 FROM alert_mail WHERE next_try <= $1 LIMIT 1`, millis(now))
	if err != nil || !any {
		return nil, err
	}
	err = s.transact(ctx, "take the messages", func(t *txn) error {
		const q = `UPDATE alert_mail SET attempts = attempts + 1, next_try = $1 WHERE next_try <= $2 AND (org, alert, over, mailbox) IN (
			SELECT m.org, m.alert, m.over, m.mailbox FROM alert_mail m WHERE m.next_try <= $2 AND (m.over = 0 OR NOT EXISTS (
				SELECT 1 FROM alert_mail o WHERE o.org = m.org AND o.alert = m.alert AND o.over = 0 AND o.mailbox = m.mailbox))
			ORDER BY m.made_at, m.org, m.alert, m.mailbox LIMIT $3) RETURNING org, alert, over, mailbox, attempts`
		mails, err = readMails(t, q, millis(now.Add(MailLease)), millis(now), limit)
		return err
	})
	return mails, err
}

// readMails returns the messages that a statement yields, with what they are about.
func readMails(t *txn, query string, args ...any) (mails []Mail, err error) {
	err = t.each(query, args, func(rows *sql.Rows) error {
		var m Mail
		err := rows.Scan(&m.Org.ID, &m.Alert.ID, &m.Over, &m.mailbox, &m.Attempts)
		mails = append(mails, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range mails {
		if err := mails[i].load(t); err != nil {
			return nil, err
		}
	}
	return mails, nil
}

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
		return errors.New("a message is about an alert or to a contact that is not there")
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
	return s.transact(ctx, "note that the message was sent", func(t *txn) error {
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
	return s.transact(ctx, "note that the message was not sent", func(t *txn) error {
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
	any, err := s.exists(ctx, "look for messages to give up", `SELECT 1 FROM alert_mail WHERE made_at <= $1 LIMIT 1`, before)
	if err != nil || !any {
		return nil, err
	}
	err = s.transact(ctx, "give up messages", func(t *txn) error {
		mails, err = readMails(t, `DELETE FROM alert_mail WHERE made_at <= $1 RETURNING org, alert, over, mailbox, attempts`, before)
		return err
	})
	return mails, err
}

package store

import (
	"context"
	"database/sql"
	"strings"
	"unicode"

	"foyer"
	"foyer/match"
)

// maxContacts bounds how many messages one alert makes.
const maxContacts = 20

// AddContact adds somebody to whom the organization's alerts are mailed; foyer.Conflict where they are one already.
func (s *Store) AddContact(ctx context.Context, caller foyer.Caller, org foyer.OrgID, c foyer.Contact) (foyer.Contact, error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return c, err
	}
	mailbox, err := readMailbox(&c)
	if err != nil {
		return c, err
	}
	c.CreatedAt = s.clock()
	err = s.transact(ctx, org, "add the contact", func(t *txn) error {
		if _, err := readOrg(t, org); err != nil {
			return err
		}
		var all, same int
		if err := t.get(`SELECT COUNT(*), COUNT(CASE WHEN mailbox = $1 THEN 1 END) FROM contact WHERE org = $2`, []any{mailbox, org}, &all, &same); err != nil {
			return err
		}
		switch {
		case same > 0:
			return foyer.Errorf(foyer.Conflict, "%s is a contact already", c.Email)
		case all >= maxContacts:
			return foyer.Errorf(foyer.Invalid, "there are %d contacts already, which is the most; remove one, or make a mailing list the contact", all)
		}
		if err := t.exec(`INSERT INTO contact (org, mailbox, email, name, created_at) VALUES ($1, $2, $3, $4, $5)`, org, mailbox, c.Email, c.Name, millis(c.CreatedAt)); err != nil {
			return err
		}
		return s.audit(t, caller, org, "contact.add", "", "")
	})
	return c, err
}

// readMailbox checks a contact and returns the key of its email. The address becomes one that every mail server takes: ASCII.
func readMailbox(c *foyer.Contact) (match.Key, error) {
	c.Email, c.Name = strings.TrimSpace(c.Email), strings.TrimSpace(c.Name)
	mailbox, err := match.Email(c.Email)
	if err != nil {
		return "", foyer.Errorf(foyer.Invalid, "the contact's email cannot be read: %v", err)
	}
	local := c.Email[:strings.LastIndexByte(c.Email, '@')]
	for _, r := range local {
		if r > unicode.MaxASCII {
			return "", foyer.Errorf(foyer.Invalid, "%q holds %q before the @, which many mail servers do not take; give another address", c.Email, r)
		}
	}
	c.Email = local + string(mailbox)[strings.LastIndexByte(string(mailbox), '@'):]
	if strings.ContainsFunc(c.Name, unicode.IsControl) || len(c.Name) > 200 {
		return "", foyer.Errorf(foyer.Invalid, "the name of a contact is at most 200 bytes of one line")
	}
	return mailbox, nil
}

// RemoveContact removes a contact, and what is still to be sent to it; foyer.NotFound where there is none of that email.
func (s *Store) RemoveContact(ctx context.Context, caller foyer.Caller, org foyer.OrgID, email string) error {
	if err := caller.May(foyer.Administer, org); err != nil {
		return err
	}
	c := foyer.Contact{Email: email}
	mailbox, err := readMailbox(&c)
	if err != nil {
		return err
	}
	return s.transact(ctx, org, "remove the contact", func(t *txn) error {
		found, err := t.count(`DELETE FROM contact WHERE org = $1 AND mailbox = $2`, org, mailbox)
		if err == nil && found == 0 {
			return foyer.Errorf(foyer.NotFound, "%s is no contact of this organization; foyer org contact list shows them", c.Email)
		}
		if err != nil {
			return err
		}
		if err := t.exec(`DELETE FROM alert_mail WHERE org = $1 AND mailbox = $2`, org, mailbox); err != nil {
			return err
		}
		return s.audit(t, caller, org, "contact.remove", "", "")
	})
}

// Contacts lists to whom an organization's alerts are mailed.
func (s *Store) Contacts(ctx context.Context, caller foyer.Caller, org foyer.OrgID) (contacts []foyer.Contact, err error) {
	if err := caller.May(foyer.Administer, org); err != nil {
		return nil, err
	}
	err = s.snapshot(ctx, org, "list the contacts", func(t *txn) error {
		contacts, err = readContacts(t, `WHERE org = $1 ORDER BY mailbox`, org)
		return err
	})
	return contacts, err
}

func readContacts(t *txn, query string, args ...any) (contacts []foyer.Contact, err error) {
	err = t.each(`SELECT email, name, created_at FROM contact `+query, args, func(rows *sql.Rows) error {
		var c foyer.Contact
		var created int64
		err := rows.Scan(&c.Email, &c.Name, &created)
		c.CreatedAt = fromMillis(created)
		contacts = append(contacts, c)
		return err
	})
	return contacts, err
}

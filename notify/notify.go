// Package notify tells people of alerts: it words a message and sends it by mail.
//
// Mail goes out over TLS with a certificate that is verified, or not at all: smtps:// is TLS from the first byte, smtp:// is STARTTLS, which the
// server must offer. Only to a mail server on this machine is plain text spoken, and never a password. What is in a message comes
// from customers (names of organizations and sources): it is kept to one line where it gets into a header.
//
// Sending again what could not be sent is the caller's business: the package jobs does it.
package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode"

	"foyer"
)

// Mail is one message to one person, in plain text.
type Mail struct {
	To        string // an address in ASCII, checked by whoever stored it
	ToName    string
	Subject   string // one line; line breaks and other control characters become spaces
	Body      string
	ID        string // what of the Message-ID stands before the @; the same message has the same each time it is sent
	InReplyTo string // the ID of the message that this one follows; "": none
	Date      time.Time
}

// Notice is what an AlertMail is made from.
type Notice struct {
	Org     foyer.Org
	Alert   foyer.Alert
	Over    bool // that the alert is over, not that it opened
	Contact foyer.Contact
}

// AlertMail words the message to a contact that an alert opened, or is over (R27).
func AlertMail(n Notice) Mail {
	m := Mail{To: n.Contact.Email, ToName: n.Contact.Name, ID: n.id("open"), Date: n.Alert.Opened}
	m.Subject = fmt.Sprintf("[Foyer] %s: %s", n.Org.Name, n.Alert.Title)
	text := []string{n.Alert.Message, "What to do: " + n.Alert.Cure}
	if n.Over {
		m.ID, m.InReplyTo, m.Date = n.id("over"), m.ID, n.Alert.Closed
		m.Subject = fmt.Sprintf("[Foyer] %s: over: %s", n.Org.Name, n.Alert.Title)
		text = []string{"This is over since " + stamp(n.Alert.Closed) + ": " + n.Alert.Ending + ".", "What it was: " + n.Alert.Message}
	}
	about := fmt.Sprintf("Organization: %s (%s)\nAlert: %v, since %s", n.Org.Name, n.Org.Slug, n.Alert.ID, stamp(n.Alert.Opened))
	why := fmt.Sprintf("-- \nFoyer writes this to the contacts of %s. The open alerts: foyer alert list --org %s", n.Org.Name, n.Org.Slug)
	m.Body = strings.Join(append(text, about, why), "\n\n") + "\n"
	return m
}

// id returns the ID of a message about the alert to the contact.
func (n *Notice) id(what string) string {
	to := sha256.Sum256([]byte(n.Contact.Email))
	return fmt.Sprintf("%s.%s.%d.%s.%s", n.Org.ID, n.Alert.ID, n.Alert.Opened.Unix(), what, hex.EncodeToString(to[:6]))
}

// oneLine makes a text fit for a header.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?")))
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// Config says how mail is sent. URL and From are needed.
type Config struct {
	URL      string // smtps://user@mail.example.com:465 or smtp://user@mail.example.com:587; without a user nobody signs in
	Password string // of the user
	From     string // "alerts@example.com", or "Foyer <alerts@example.com>"
	RootCAs  *x509.CertPool
	Dial     func(ctx context.Context, network, address string) (net.Conn, error) // nil: that of package net
}

// Timeouts of a mail server.
const (
	sendTimeout = 30 * time.Second // for connecting, and for each message
	lastTimeout = 5 * time.Second  // for the message that is being sent when the process is to end
)

// Mailer sends mail over one SMTP server. It may be used by several goroutines.
type Mailer struct {
	host     string
	port     int
	implicit bool // TLS from the first byte
	plain    bool // the server is on this machine, and nobody signs in
	user     string
	password string
	from     *mail.Address
	roots    *x509.CertPool
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
}

// New returns a mailer. The error says which setting is wrong.
func New(c Config) (*Mailer, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, errors.New("the mail server is written smtps://USER@HOST:465, or smtp://USER@HOST:587 where it speaks STARTTLS")
	}
	if _, inURL := u.User.Password(); inURL {
		return nil, errors.New("the password of the mail server does not belong into its address, which others on this machine can see; put it into FOYER_SMTP_PASSWORD")
	}
	m := &Mailer{host: u.Hostname(), implicit: u.Scheme == "smtps", user: u.User.Username(), password: c.Password, roots: c.RootCAs, dial: c.Dial}
	m.plain = !m.implicit && m.user == "" && isLoopback(m.host)
	if m.user != "" && m.password == "" {
		return nil, fmt.Errorf("the mail server's user %q needs a password; put it into FOYER_SMTP_PASSWORD", m.user)
	}
	m.port = 587
	if m.implicit {
		m.port = 465
	}
	if u.Port() != "" {
		if m.port, err = strconv.Atoi(u.Port()); err != nil || m.port < 1 || m.port > 65535 {
			return nil, fmt.Errorf("%q is no port of a mail server", u.Port())
		}
	}
	if m.from, err = mail.ParseAddress(c.From); err != nil || strings.ContainsFunc(m.from.Address, func(r rune) bool { return r > '~' || r <= ' ' }) {
		return nil, fmt.Errorf("the sender %q is no address; write alerts@example.com, or \"Foyer <alerts@example.com>\"", c.From)
	}
	if m.dial == nil {
		m.dial = (&net.Dialer{}).DialContext
	}
	return m, nil
}

// isLoopback tells whether a host is this machine.
func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && address.Unmap().IsLoopback()
}

// Send sends messages over one connection, and returns what became of each: nil where the server has taken it. When ctx ends it finishes the
// message that it is at, so that this one is not sent again, and no other. The errors do not hold the recipients.
func (m *Mailer) Send(ctx context.Context, mails []Mail) []error {
	errs := make([]error, len(mails))
	c := &connection{Mailer: m}
	defer c.close()
	client, err := c.open(ctx)
	if err != nil {
		for i := range errs {
			errs[i] = fmt.Errorf("reach the mail server %s: %w", m.host, err)
		}
		return errs
	}
	stop := context.AfterFunc(ctx, func() { c.conn.SetDeadline(time.Now().Add(lastTimeout)) })
	defer stop()
	for i := range mails {
		if errs[i] = ctx.Err(); errs[i] == nil {
			errs[i] = m.send(client, &mails[i])
		}
	}
	client.Close() // says goodbye; what was taken was taken
	return errs
}

// send sends one message over a connection.
func (m *Mailer) send(client *gomail.Client, letter *Mail) error {
	message := m.compose(letter)
	if err := client.Send(message); err != nil && !message.IsDelivered() {
		return errors.New(strings.ReplaceAll("send a message: "+err.Error(), letter.To, "the recipient"))
	}
	return nil
}

// compose writes a message as RFC 5322 wants it. Programs know by Auto-Submitted not to answer it (RFC 3834 §5).
func (m *Mailer) compose(letter *Mail) *gomail.Msg {
	message := gomail.NewMsg(gomail.WithCharset(gomail.CharsetUTF8), gomail.WithEncoding(gomail.EncodingQP), gomail.WithNoDefaultUserAgent())
	message.FromMailAddress(m.from)
	message.AddToMailAddress(&mail.Address{Name: oneLine(letter.ToName), Address: letter.To}) // which quotes the name
	_, domain, _ := strings.Cut(m.from.Address, "@")
	message.Subject(oneLine(letter.Subject))
	message.SetDateWithValue(letter.Date.UTC())
	message.SetMessageIDWithValue(oneLine(letter.ID) + "@" + domain)
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	if letter.InReplyTo != "" {
		before := "<" + oneLine(letter.InReplyTo) + "@" + domain + ">"
		message.SetGenHeader(gomail.HeaderInReplyTo, before)
		message.SetGenHeader(gomail.HeaderReferences, before)
	}
	message.SetBodyString(gomail.TypeTextPlain, letter.Body)
	return message
}

// connection is a connection to the mail server. The library loses those that fail while they are set up, so it is held here.
type connection struct {
	*Mailer
	conn net.Conn
}

func (c *connection) open(ctx context.Context) (*gomail.Client, error) {
	settings := &tls.Config{ServerName: c.host, RootCAs: c.roots, MinVersion: tls.VersionTLS12}
	options := []gomail.Option{gomail.WithPort(c.port), gomail.WithTimeout(sendTimeout), gomail.WithTLSConfig(settings), gomail.WithoutSMTPUTF8(),
		gomail.WithDialContextFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
			return c.connect(ctx, network, address, settings)
		})}
	switch {
	case c.implicit:
		options = append(options, gomail.WithSSL())
	case c.plain:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if c.user != "" {
		options = append(options, gomail.WithUsername(c.user), gomail.WithPassword(c.password), gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	client, err := gomail.NewClient(c.host, options...)
	if err != nil {
		return nil, err
	}
	return client, client.DialWithContext(ctx)
}

// connect connects to the server. What is spoken plainly must not leave this machine, whatever its name resolves to.
func (c *connection) connect(ctx context.Context, network, address string, settings *tls.Config) (net.Conn, error) {
	conn, err := c.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.conn = conn
	if c.plain {
		if remote, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err != nil || !remote.Addr().Unmap().IsLoopback() {
			return nil, fmt.Errorf("%s is not on this machine: without TLS nothing is sent there", conn.RemoteAddr())
		}
	}
	if !c.implicit {
		return conn, nil
	}
	secure := tls.Client(conn, settings)
	return secure, secure.HandshakeContext(ctx)
}

func (c *connection) close() {
	if c.conn != nil {
		c.conn.Close()
	}
}

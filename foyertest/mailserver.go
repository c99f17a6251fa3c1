package foyertest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"net/mail"
	"net/textproto"
	"os"
	"strings"
	"sync"
	"testing"

	"foyer/certs"
)

// MailHost is the name that a MailServer's certificate is for. It is not this machine's, so that what holds for loopback does not hold for it.
const MailHost = "mail.example.com"

// MailConfig says how a MailServer behaves.
type MailConfig struct {
	TLS      bool   // speaks TLS from the first byte
	STARTTLS bool   // offers STARTTLS
	Auth     string // the mechanisms that it offers: "PLAIN LOGIN"; "": none
	Host     string // what its certificate is for; "": MailHost
}

// MailServer is a small SMTP server (RFC 5321) that keeps what it gets.
type MailServer struct {
	Address string         // where it listens
	Roots   *x509.CertPool // what its certificate is checked with

	config   MailConfig
	tls      *tls.Config
	mu       sync.Mutex
	messages []Message
	refusals []string
	auth     []string
}

// Message is what a MailServer was sent.
type Message struct {
	From, To string // of the envelope
	Raw      string
	Secure   bool   // it came over TLS
	Auth     string // who had signed in: mechanism, user and password, separated by a space
}

// StartMail starts a mail server. It ends with the test.
func StartMail(t testing.TB, c MailConfig) *MailServer {
	t.Helper()
	if c.Host == "" {
		c.Host = MailHost
	}
	certificates, err := certs.Load(certs.Config{Dir: t.TempDir(), Hosts: []string{c.Host}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(t, err)
	ca, err := os.ReadFile(certificates.CAFile())
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	m := &MailServer{Address: l.Addr().String(), Roots: x509.NewCertPool(), config: c, tls: certificates.TLSConfig()}
	m.Roots.AppendCertsFromPEM(ca)
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() { (&mailSession{MailServer: m}).serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		sessions.Wait()
	})
	return m
}

// Dial connects to the server, whatever the address.
func (m *MailServer) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, m.Address)
}

// Refuse makes the server answer the next recipients so, one reply for each: "451 4.3.0 come back later".
func (m *MailServer) Refuse(replies ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refusals = append(m.refusals, replies...)
}

// Messages returns what the server was sent so far.
func (m *MailServer) Messages() []Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Message{}, m.messages...)
}

// SignIns returns what clients tried to sign in with so far, right or wrong.
func (m *MailServer) SignIns() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string{}, m.auth...)
}

// Parse reads the header; the body is as it was sent.
func (msg *Message) Parse(t testing.TB) *mail.Message {
	t.Helper()
	parsed, err := mail.ReadMessage(strings.NewReader(msg.Raw))
	must(t, err)
	return parsed
}

// mailSession is one client's connection.
type mailSession struct {
	*MailServer
	conn    net.Conn
	text    *textproto.Conn
	secure  bool
	signed  string
	message Message
}

func (s *mailSession) serve(conn net.Conn) {
	defer conn.Close()
	if s.config.TLS {
		conn, s.secure = tls.Server(conn, s.tls), true
	}
	s.conn, s.text = conn, textproto.NewConn(conn)
	s.say("220 " + MailHost + " ready")
	for {
		line, err := s.text.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		if !s.answer(strings.ToUpper(verb), rest) {
			return
		}
	}
}

func (s *mailSession) say(line string) bool { return s.text.PrintfLine("%s", line) == nil }

// answer answers one command, and tells whether another follows.
func (s *mailSession) answer(verb, rest string) bool {
	switch verb {
	case "EHLO":
		return s.hello()
	case "STARTTLS":
		s.say("220 go ahead")
		s.conn, s.secure = tls.Server(s.conn, s.tls), true
		s.text = textproto.NewConn(s.conn)
		return true
	case "AUTH":
		return s.signIn(rest)
	case "MAIL":
		s.message = Message{From: address(rest)}
		return s.say("250 ok")
	case "RCPT":
		return s.recipient(rest)
	case "DATA":
		return s.data()
	case "RSET", "NOOP", "HELO":
		return s.say("250 ok")
	case "QUIT":
		s.say("221 bye")
		return false
	}
	return s.say("502 not here")
}

func (s *mailSession) hello() bool {
	lines := []string{MailHost, "ENHANCEDSTATUSCODES", "8BITMIME"}
	if s.config.STARTTLS && !s.secure {
		lines = append(lines, "STARTTLS")
	}
	if s.config.Auth != "" {
		lines = append(lines, "AUTH "+s.config.Auth)
	}
	for _, line := range lines[:len(lines)-1] {
		s.say("250-" + line)
	}
	return s.say("250 " + lines[len(lines)-1])
}

func (s *mailSession) recipient(rest string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refusals) > 0 {
		reply := s.refusals[0]
		s.refusals = s.refusals[1:]
		return s.say(reply)
	}
	s.message.To = address(rest)
	return s.say("250 ok")
}

func (s *mailSession) data() bool {
	s.say("354 end with a dot")
	raw, err := io.ReadAll(bufio.NewReader(s.text.DotReader()))
	if err != nil {
		return false
	}
	s.message.Raw, s.message.Secure, s.message.Auth = string(raw), s.secure, s.signed
	s.mu.Lock()
	s.messages = append(s.messages, s.message)
	s.mu.Unlock()
	return s.say("250 taken")
}

// signIn takes AUTH PLAIN with an initial response (RFC 4616), and AUTH LOGIN. Every password is right.
func (s *mailSession) signIn(rest string) bool {
	mechanism, first, _ := strings.Cut(rest, " ")
	var given string
	if mechanism == "PLAIN" {
		given = strings.ReplaceAll(strings.TrimPrefix(decode(first), "\x00"), "\x00", " ")
	} else {
		s.say("334 VXNlcm5hbWU6")
		user, _ := s.text.ReadLine()
		s.say("334 UGFzc3dvcmQ6")
		password, _ := s.text.ReadLine()
		given = decode(user) + " " + decode(password)
	}
	s.signed = mechanism + " " + given
	s.mu.Lock()
	s.auth = append(s.auth, s.signed)
	s.mu.Unlock()
	return s.say("235 welcome")
}

func decode(s string) string {
	text, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "not base64: " + s
	}
	return string(text)
}

// address returns what stands in the angle brackets of MAIL FROM:<…> or RCPT TO:<…>.
func address(rest string) string {
	_, rest, _ = strings.Cut(rest, "<")
	inside, _, _ := strings.Cut(rest, ">")
	return inside
}

package notify_test

import (
	"context"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"strings"
	"testing"
	"time"

	"foyer"
	"foyer/foyertest"
	"foyer/notify"
)

var letter = notify.Mail{To: "ann@test.com", ToName: "Ann", Subject: "subject", Body: "text\n", ID: "a1.open", Date: time.Date(2026, 11, 10, 3, 12, 0, 0, time.UTC)}

// mailer returns one that sends to the server, which it knows under the address given; change has its way with the settings.
func mailer(t *testing.T, s *foyertest.MailServer, address string, change func(*notify.Config)) *notify.Mailer {
	t.Helper()
	c := notify.Config{URL: address, From: "Foyer <alerts@foyer.example>", RootCAs: s.Roots, Dial: s.Dial}
	if change != nil {
		change(&c)
	}
	m, err := notify.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// send sends the letter and returns what became of it.
func send(t *testing.T, m *notify.Mailer) error {
	t.Helper()
	return m.Send(t.Context(), []notify.Mail{letter})[0]
}

func signedIn(c *notify.Config) { c.Password = "pa ss" }

func TestR27_MailGoesOverTLS(t *testing.T) {
	for _, c := range []struct {
		name, address string
		server        foyertest.MailConfig
		auth          string
	}{
		{"implicit", "smtps://" + foyertest.MailHost, foyertest.MailConfig{TLS: true}, ""},
		{"implicit, signed in", "smtps://joe@" + foyertest.MailHost, foyertest.MailConfig{TLS: true, Auth: "PLAIN LOGIN"}, "PLAIN joe pa ss"},
		{"STARTTLS", "smtp://" + foyertest.MailHost, foyertest.MailConfig{STARTTLS: true}, ""},
		{"STARTTLS, signed in", "smtp://joe@" + foyertest.MailHost, foyertest.MailConfig{STARTTLS: true, Auth: "XOAUTH2 LOGIN"}, "LOGIN joe pa ss"},
		{"STARTTLS, a user with an @", "smtp://joe%40test.com@" + foyertest.MailHost, foyertest.MailConfig{STARTTLS: true, Auth: "PLAIN"}, "PLAIN joe@test.com pa ss"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := foyertest.StartMail(t, c.server)
			if err := send(t, mailer(t, s, c.address, signedIn)); err != nil {
				t.Fatal(err)
			}
			got := s.Messages()
			if len(got) != 1 || !got[0].Secure || got[0].Auth != c.auth || got[0].From != "alerts@foyer.example" || got[0].To != "ann@test.com" {
				t.Errorf("the server got %+v", got)
			}
		})
	}
}

// TestR27_NoMailWithoutTLS holds that nothing is sent, and no password shown, to a server that is not who it should be or speaks no TLS.
func TestR27_NoMailWithoutTLS(t *testing.T) {
	for _, c := range []struct {
		name, address string
		server        foyertest.MailConfig
		change        func(*notify.Config)
		want          string
	}{
		{"no STARTTLS offered", "smtp://joe@" + foyertest.MailHost, foyertest.MailConfig{Auth: "PLAIN LOGIN"}, signedIn, "STARTTLS"},
		{"no STARTTLS offered, nobody signs in", "smtp://" + foyertest.MailHost, foyertest.MailConfig{}, signedIn, "STARTTLS"},
		{"no STARTTLS on this machine, signing in", "smtp://joe@127.0.0.1", foyertest.MailConfig{Auth: "PLAIN LOGIN"}, signedIn, "STARTTLS"},
		{"STARTTLS, another's certificate", "smtp://joe@" + foyertest.MailHost, foyertest.MailConfig{STARTTLS: true, Auth: "PLAIN", Host: "else.example.com"}, signedIn, "certificate"},
		{"implicit, another's certificate", "smtps://joe@" + foyertest.MailHost, foyertest.MailConfig{TLS: true, Auth: "PLAIN", Host: "else.example.com"}, signedIn, "certificate"},
		{"an authority that nobody knows", "smtps://joe@" + foyertest.MailHost, foyertest.MailConfig{TLS: true, Auth: "PLAIN"}, func(c *notify.Config) { c.Password, c.RootCAs = "pa ss", nil }, "certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := foyertest.StartMail(t, c.server)
			err := send(t, mailer(t, s, c.address, c.change))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want one about %s", err, c.want)
			}
			if len(s.Messages()) != 0 || len(s.SignIns()) != 0 {
				t.Errorf("the server got %+v, %v", s.Messages(), s.SignIns())
			}
		})
	}
}

func TestR27_PlainMailStaysOnThisMachine(t *testing.T) {
	s := foyertest.StartMail(t, foyertest.MailConfig{})
	if err := send(t, mailer(t, s, "smtp://127.0.0.1", nil)); err != nil || len(s.Messages()) != 1 {
		t.Fatalf("to this machine: %v, %+v", err, s.Messages())
	}
	// What calls itself localhost and is not is sent nothing.
	away := func(c *notify.Config) {
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := s.Dial(ctx, network, address)
			return elsewhere{conn}, err
		}
	}
	err := send(t, mailer(t, s, "smtp://localhost:25", away))
	if err == nil || !strings.Contains(err.Error(), "not on this machine") || len(s.Messages()) != 1 {
		t.Errorf("to another one: %v, %+v", err, s.Messages())
	}
}

// elsewhere is a connection that leads away from this machine.
type elsewhere struct{ net.Conn }

// RemoteAddr implements net.Conn.
func (elsewhere) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25} }

func TestR27_MessageIsOfThisForm(t *testing.T) {
	s := foyertest.StartMail(t, foyertest.MailConfig{TLS: true})
	m := mailer(t, s, "smtps://"+foyertest.MailHost, nil)
	contact := foyer.Contact{Email: "ann@test.com", Name: "Ann, the Élan"}
	opened := time.Date(2026, 11, 10, 3, 12, 0, 0, time.UTC)
	n := notify.Notice{Org: foyer.Org{ID: "abcdef", Name: "Élan", Slug: "elan"}, Contact: contact, Alert: foyer.Alert{
		ID: 3, Title: `sync of "hr" held: would disable 412 of 900`, Message: "Grüße. " + strings.Repeat("long ", 300), Cure: "foyer run show --org elan R-81", Opened: opened,
	}}
	open := notify.AlertMail(n)
	n.Over, n.Alert.Closed, n.Alert.Ending = true, opened.Add(time.Hour), "R-82 was applied"
	for _, err := range m.Send(t.Context(), []notify.Mail{open, notify.AlertMail(n)}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	got := s.Messages()
	first, second := got[0].Parse(t), got[1].Parse(t)
	subject, err := new(mime.WordDecoder).DecodeHeader(first.Header.Get("Subject"))
	if err != nil || subject != `[Foyer] Élan: sync of "hr" held: would disable 412 of 900` {
		t.Errorf("the subject is %q, %v", subject, err)
	}
	if date, err := first.Header.Date(); err != nil || !date.Equal(opened) {
		t.Errorf("the date is %v, %v", date, err)
	}
	if to, err := first.Header.AddressList("To"); err != nil || len(to) != 1 || to[0].Address != "ann@test.com" || to[0].Name != contact.Name {
		t.Errorf("it is to %v, %v", to, err)
	}
	if first.Header.Get("Auto-Submitted") != "auto-generated" || !strings.HasPrefix(first.Header.Get("Content-Type"), "text/plain; charset=UTF-8") {
		t.Errorf("the header is %v", first.Header)
	}
	id := first.Header.Get("Message-Id")
	if !strings.HasSuffix(id, "@foyer.example>") || second.Header.Get("In-Reply-To") != id || second.Header.Get("Message-Id") == id {
		t.Errorf("the ids are %v and %v", first.Header, second.Header)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(first.Body))
	if err != nil || !strings.Contains(string(body), "Grüße. long") || !strings.Contains(string(body), "What to do: foyer run show --org elan R-81") {
		t.Errorf("the body is %q, %v", body, err)
	}
	for _, line := range strings.Split(got[0].Raw, "\n") {
		if len(line) > 998 {
			t.Errorf("a line has %d bytes", len(line))
		}
	}
	if body, _ := io.ReadAll(quotedprintable.NewReader(second.Body)); !strings.Contains(string(body), "over since 2026-11-10 04:12 UTC: R-82 was applied.") {
		t.Errorf("the second body is %q", body)
	}
}

// TestR27_NamesMakeNoHeaders holds that what a customer is called cannot add a recipient, a header or a second message.
func TestR27_NamesMakeNoHeaders(t *testing.T) {
	s := foyertest.StartMail(t, foyertest.MailConfig{TLS: true})
	m := mailer(t, s, "smtps://"+foyertest.MailHost, nil)
	for _, evil := range []string{
		"x\r\nBcc: eve@test.com\r\n\r\nbody", "x\nBcc: eve@test.com", "x\rBcc: eve@test.com", "é\r\nBcc: eve@test.com", "x\u2028Bcc: eve@test.com",
		"\x00\xff\r\nBcc: eve@test.com", `x" <eve@test.com>, "y`, strings.Repeat("x", 2000) + "\r\nBcc: eve@test.com",
	} {
		mail := notify.AlertMail(notify.Notice{
			Org: foyer.Org{ID: "abcdef", Name: evil, Slug: "x"}, Contact: foyer.Contact{Email: "ann@test.com", Name: evil}, Alert: foyer.Alert{Title: evil, Message: evil + "\r\n.\r\nQUIT\r\n"},
		})
		before := len(s.Messages())
		if err := m.Send(t.Context(), []notify.Mail{mail})[0]; err != nil {
			t.Fatalf("%q: %v", evil, err)
		}
		got := s.Messages()
		if len(got) != before+1 || got[before].To != "ann@test.com" {
			t.Fatalf("%q: the server got %d messages, the last to %s", evil, len(got)-before, got[len(got)-1].To)
		}
		header := got[before].Parse(t).Header
		if header.Get("Bcc") != "" || header.Get("Auto-Submitted") == "" {
			t.Errorf("%q: the header is %v", evil, header)
		}
		if to, err := header.AddressList("To"); err != nil || len(to) != 1 || to[0].Address != "ann@test.com" {
			t.Errorf("%q: it is to %v, %v", evil, to, err)
		}
	}
}

// TestSend_OneRefusalDoesNotStopTheOthers holds that each message has a result of its own, and that it does not name the recipient.
func TestSend_OneRefusalDoesNotStopTheOthers(t *testing.T) {
	s := foyertest.StartMail(t, foyertest.MailConfig{TLS: true})
	s.Refuse("550 5.1.1 <ann@test.com> is unknown here")
	other := letter
	other.To = "bob@test.com"
	errs := mailer(t, s, "smtps://"+foyertest.MailHost, nil).Send(t.Context(), []notify.Mail{letter, other})
	if errs[0] == nil || !strings.Contains(errs[0].Error(), "is unknown here") || strings.Contains(errs[0].Error(), "ann@") || errs[1] != nil {
		t.Errorf("the results are %v", errs)
	}
	if got := s.Messages(); len(got) != 1 || got[0].To != "bob@test.com" {
		t.Errorf("the server got %+v", got)
	}
}

// TestSend_EndsWithItsContext holds that a server which says nothing is not waited for when the process is to end.
func TestSend_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ours, theirs := net.Pipe()
	defer theirs.Close()
	m, err := notify.New(notify.Config{URL: "smtps://" + foyertest.MailHost, From: "a@test.com", Dial: func(context.Context, string, string) (net.Conn, error) {
		cancel()
		return ours, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if errs := m.Send(ctx, []notify.Mail{letter}); errs[0] == nil || time.Since(start) > 20*time.Second {
		t.Errorf("%v after %v", errs, time.Since(start))
	}
}

func TestNew_SaysWhichSettingIsWrong(t *testing.T) {
	for _, c := range []struct{ url, from, password, want string }{
		{"mail.example.com", "a@test.com", "", "smtps://USER@HOST"},
		{"https://mail.example.com", "a@test.com", "", "smtps://USER@HOST"},
		{"smtps://mail.example.com/x", "a@test.com", "", "smtps://USER@HOST"},
		{"smtps://joe:secret@mail.example.com", "a@test.com", "", "FOYER_SMTP_PASSWORD"},
		{"smtps://joe@mail.example.com", "a@test.com", "", "needs a password"},
		{"smtps://mail.example.com:0", "a@test.com", "", "no port"},
		{"smtps://mail.example.com", "", "", "is no address"},
		{"smtps://mail.example.com", "ä@test.com", "", "is no address"},
	} {
		_, err := notify.New(notify.Config{URL: c.url, From: c.from, Password: c.password})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s from %q: the error is %v, want %q", c.url, c.from, err, c.want)
		}
	}
}

package script

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Edition is a PowerShell that runs the generated script. They differ in what .NET's HttpClient writes.
type Edition int

// The editions.
const (
	Desktop Edition = iota // Windows PowerShell 5.1 on .NET Framework, whose HttpClient is HttpWebRequest underneath
	Core                   // PowerShell 7 on .NET
)

// Version returns a version of the edition: $PSVersionTable.PSVersion.
func (e Edition) Version() string {
	if e == Desktop {
		return "5.1.20348.2227"
	}
	return "7.4.6"
}

// Request is a request as the script builds it; what .NET adds is not in it.
type Request struct {
	Method  string
	Address string      // https://foyer.example.com/auth/connect/token
	Header  [][2]string // in the order in which the script adds them
	Type    string      // Content-Type
	Body    []byte
}

// Bytes returns the request as it stands on the wire. first tells whether the server has answered nothing yet: until then .NET Framework says "Keep-Alive". The
// order of the lines is that of .NET's published source: HttpConnection.WriteHeaders, and HttpWebRequest.UpdateHeaders of .NET Framework.
func (r Request) Bytes(e Edition, first bool) ([]byte, error) {
	address, err := url.Parse(r.Address)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	line := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Method, address.RequestURI())
	if e == Core {
		line("Host", address.Host)
	}
	for _, h := range r.Header {
		line(h[0], h[1])
	}
	line("Content-Type", r.Type)
	if e == Desktop {
		line("Host", address.Host)
	}
	line("Content-Length", strconv.Itoa(len(r.Body)))
	if e == Desktop && first {
		line("Connection", "Keep-Alive")
	}
	b.WriteString("\r\n")
	b.Write(r.Body)
	return b.Bytes(), nil
}

// Conn sends requests as the script's HttpClient does: over one connection while that lasts, TLS 1.2, the certificate verified.
type Conn struct {
	Edition Edition
	Roots   *x509.CertPool

	conn     *tls.Conn
	in       *bufio.Reader
	answered bool // the server has, once
}

// timeout is how long the script's HttpClient waits for an answer.
const timeout = 15 * time.Minute

// Send sends a request and returns the answer. Where there is none, the status is 0 and the body says why.
func (c *Conn) Send(r Request) *Reply {
	reply, err := c.send(r)
	if err != nil {
		c.Close()
		return &Reply{Body: err.Error()}
	}
	return reply
}

// Close ends the connection; the next request opens another.
func (c *Conn) Close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *Conn) send(r Request) (*Reply, error) {
	if c.conn == nil {
		if err := c.dial(r.Address); err != nil {
			return nil, err
		}
	}
	text, err := r.Bytes(c.Edition, !c.answered)
	if err != nil {
		return nil, err
	}
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(text); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.in, &http.Request{Method: r.Method})
	if err != nil {
		return nil, err
	}
	c.answered = true
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.Close {
		c.Close()
	}
	return &Reply{resp.StatusCode, resp.Header, string(body)}, nil
}

// dial connects with the one version of TLS that the script pins.
func (c *Conn) dial(to string) error {
	address, err := url.Parse(to)
	if err != nil {
		return err
	}
	host := address.Host
	if address.Port() == "" {
		host = net.JoinHostPort(address.Hostname(), "443")
	}
	conn, err := tls.Dial("tcp", host, &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12})
	if err != nil {
		return err
	}
	c.conn, c.in = conn, bufio.NewReader(conn)
	return nil
}

// Sync does what the generated script does once it has written its file: request by request, byte for byte, and with its exit code. The tests hold that it
// and the script's text do the same.
type Sync struct {
	Server       string // https://foyer.example.com
	ClientID     string
	ClientSecret string
	DryRun       bool
	DeliveryKey  string              // the Idempotency-Key
	Conn         *Conn               // its Edition is that of the script
	Sleep        func(time.Duration) // between two tries
}

// retryWait is the setting $RetryWait as the script has it.
const retryWait = 45 * time.Second

// TokenRequest is the first request.
func (s *Sync) TokenRequest() Request {
	form := "grant_type=client_credentials&client_id=" + s.ClientID + "&client_secret=" + s.ClientSecret
	return Request{http.MethodPost, s.Server + "/auth/connect/token", [][2]string{s.agent()}, "application/x-www-form-urlencoded", []byte(form)}
}

// UploadRequest is the second request, with the file as the body.
func (s *Sync) UploadRequest(token string, file []byte) Request {
	address := s.Server + "/addressbook/uploadcsv"
	if s.DryRun {
		address += "?dry_run=1"
	}
	header := [][2]string{s.agent(), {"Authorization", "Bearer " + token}, {"Idempotency-Key", s.DeliveryKey}}
	return Request{http.MethodPost, address, header, "text/csv; charset=utf-8", file}
}

func (s *Sync) agent() [2]string {
	return [2]string{"User-Agent", "Foyer-Script/1 PowerShell/" + s.Conn.Edition.Version()}
}

// Run gets a token, sends the file, and returns the last answer with the exit code that the script gives for it.
func (s *Sync) Run(file []byte) (exit int, last *Reply) {
	last = s.try(s.TokenRequest())
	if last.Status != http.StatusOK {
		return s.exitCode(last), last
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(last.Body), &token); err != nil || token.AccessToken == "" {
		return 1, last
	}
	last = s.try(s.UploadRequest(token.AccessToken, file))
	return s.exitCode(last), last
}

// try sends a request, and once more where that may help.
func (s *Sync) try(r Request) *Reply {
	reply := s.Conn.Send(r)
	if !passing(reply.Status) {
		return reply
	}
	s.Sleep(wait(reply.Header))
	return s.Conn.Send(r)
}

// passing tells whether what went wrong may be over in a while: no answer, the first try still at work (409), too many requests, trouble at the server.
func passing(status int) bool {
	return status == 0 || status == http.StatusConflict || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}

// wait is how long the script waits before the second try.
func wait(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(strings.TrimSpace(h.Get("Retry-After")))
	if err != nil || seconds <= 0 {
		return retryWait
	}
	return min(time.Duration(seconds)*time.Second, 10*time.Minute)
}

// exitCode is what the script exits with after that answer: 0 applied, 3 held, 4 refused, 5 no answer, trouble at the server, or an answer that is not Foyer's: a
// proxy's page comes with 200 too, so that the first words count as well, and Foyer never refers elsewhere.
func (s *Sync) exitCode(r *Reply) int {
	done := "OK run="
	if s.DryRun {
		done = "DRY RUN "
	}
	switch {
	case r.Status == http.StatusOK && strings.HasPrefix(r.Body, done):
		return 0
	case r.Status == http.StatusAccepted && strings.HasPrefix(r.Body, "HELD "):
		return 3
	case r.Status >= 200 && r.Status <= 399, passing(r.Status):
		return 5
	}
	return 4
}

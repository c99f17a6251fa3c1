package push

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"foyer/trust"
)

// Client speaks to the server: over TLS 1.2 or newer, verified, and without following redirects.
type Client struct {
	Log *slog.Logger

	http     *http.Client
	url      string
	strict   bool
	attempts int
	giveUp   time.Duration
	timeout  time.Duration                              // of connecting, TLS, and each answer but that to a file
	wait     func(context.Context, time.Duration) error // between tries
	progress func(sent, total int64)                    // may be nil
}

// oneTry is how long a single try may take: the server reads a file for 15 minutes at most.
const oneTry = 16 * time.Minute

// NewClient returns a client for the server of the settings. progress is called while a file is sent; it may be nil.
func NewClient(c *Config, log *slog.Logger, progress func(sent, total int64)) (*Client, error) {
	config, err := trust.Config(c.Server.CAFile)
	if err != nil {
		return nil, failf(Misused, "[server] %w", err)
	}
	proxy, err := c.proxyFunc()
	if err != nil {
		return nil, err
	}
	timeout := time.Duration(c.Server.Timeout)
	transport := &http.Transport{
		TLSClientConfig: config, Proxy: proxy, ForceAttemptHTTP2: true, DialContext: (&net.Dialer{Timeout: timeout}).DialContext,
		TLSHandshakeTimeout: timeout, ExpectContinueTimeout: time.Second, IdleConnTimeout: time.Minute,
		HTTP2: &http.HTTP2Config{SendPingTimeout: timeout, PingTimeout: timeout}, // a connection that has died, while the server works on a file
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		Log: log, http: &http.Client{Transport: transport, CheckRedirect: stay}, url: c.Server.URL, strict: c.Server.Strict,
		attempts: c.Server.Attempts, giveUp: time.Duration(c.Server.GiveUp), timeout: timeout, wait: sleep, progress: progress,
	}, nil
}

// sleep waits, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// answer is what came back of one try.
type answer struct {
	status int
	header http.Header
	body   []byte
	tls    *tls.ConnectionState
}

// maxAnswer is how much of a reply is read, in bytes.
const maxAnswer = 8 << 20

// call is a request to the server.
type call struct {
	what  string                        // in messages
	make  func() (*http.Request, error) // makes it anew for each try
	limit time.Duration                 // of each try
	again func(*answer) bool            // tells of an answer that it is to be tried again for another reason than its status; may be nil
}

// try sends a request until it is answered for good: what the network does, an answer that was cut, and what the server asks to repeat, is tried again, with longer and longer waits, or as
// long as Retry-After says.
func (c *Client) try(ctx context.Context, call call) (*answer, error) {
	begin := time.Now()
	for attempt := 1; ; attempt++ {
		req, err := call.make()
		if err != nil {
			return nil, failf(Failed, "%s: %w", call.what, err)
		}
		got, err := c.once(ctx, req, call.limit)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		passing := err != nil && mayPass(err) || err == nil && (isPassing(got.status) || got.isCut() || call.again != nil && call.again(got))
		if !passing {
			return got, explainNetwork(call.what, c.url, err)
		}
		pause := pauseAfter(attempt, got)
		if attempt == c.attempts || time.Since(begin)+pause > c.giveUp {
			return nil, c.givenUp(call.what, attempt, got, err)
		}
		c.Log.Warn(call.what+": not yet, trying again", "attempt", attempt, "of", c.attempts, "in", pause.Round(time.Millisecond), "because", becauseOf(got, err))
		if err := c.wait(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// errSilent says that there was no answer in time.
var errSilent = errors.New("no answer")

// once sends a request and reads the answer to its end, within a time: one that breaks off is none.
func (c *Client) once(ctx context.Context, req *http.Request, limit time.Duration) (*answer, error) {
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	resp, err := c.http.Do(req.WithContext(within))
	var body []byte
	if err == nil {
		defer resp.Body.Close()
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	}
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("%w within %v", errSilent, limit)
	}
	if err != nil {
		return nil, err
	}
	return &answer{resp.StatusCode, resp.Header, body, resp.TLS}, nil
}

// mayPass tells whether an error of the network may be over in a minute. What TLS says of a certificate will not, and neither what a proxy says of passwords.
func mayPass(err error) bool { return trust.Explain(err) == "" && !wantsPassword(err) }

// wantsPassword tells whether a proxy refused to connect, for want of a password that it accepts.
func wantsPassword(err error) bool {
	return strings.Contains(err.Error(), http.StatusText(http.StatusProxyAuthRequired))
}

// isPassing tells whether a status may be another one in a minute.
func isPassing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// longestPause is how long at most a wait of our own is, and longestAsked one that the server asks for.
const (
	longestPause = 2 * time.Minute
	longestAsked = time.Hour
)

// pauseAfter returns how long to wait after a try: what the server says (RFC 9110 §10.2.3), an hour at most, else 1, 2, 4 … seconds, each up to half longer by chance.
func pauseAfter(attempt int, got *answer) time.Duration {
	if got != nil {
		after := got.header.Get("Retry-After")
		if after != "" && strings.Trim(after, "0123456789") == "" {
			seconds, err := strconv.Atoi(after)
			if err != nil || seconds > int(longestAsked/time.Second) { // more than there are numbers for
				return longestAsked
			}
			return time.Duration(seconds) * time.Second
		}
		if at, err := http.ParseTime(after); err == nil {
			return min(longestAsked, max(0, time.Until(at)))
		}
	}
	pause := min(longestPause, time.Second<<min(attempt-1, 10))
	return pause + rand.N(pause/2+1)
}

// becauseOf says in a few words why a try did not count.
func becauseOf(got *answer, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("the answer %d: %s", got.status, got.problem().text())
}

// givenUp is the error after the last try.
func (c *Client) givenUp(what string, attempts int, got *answer, err error) error {
	if err != nil {
		return explainNetwork(fmt.Sprintf("%s: %d times without an answer", what, attempts), c.url, err)
	}
	return failf(Unreachable, "%s: %d times, and the last answer of %s was %d: %s; try again later", what, attempts, c.url, got.status, got.problem().text())
}

// explainNetwork says why the server could not be reached, and what to do.
func explainNetwork(what, address string, err error) error {
	if err == nil {
		return nil
	}
	why := trust.Explain(err)
	switch {
	case why != "":
	case wantsPassword(err):
		why = "the proxy wants a name and a password: leave [server] proxy out, and set the environment variable HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT"
	default:
		why = "is the name right, and may this machine reach it, or only through a proxy ([server] proxy)?"
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // without the method and the address, which are said already
	}
	return failf(Unreachable, "%s: %s cannot be reached: %w; %s", what, address, err, why)
}

// problem is the body of an answer that is no success: of RFC 9457, or of RFC 6749 §5.2.
type problem struct {
	Detail      string `json:"detail"`
	Line        int    `json:"line"`
	Column      string `json:"column"`
	Run         string `json:"run"`
	Request     string `json:"request"`
	Code        string `json:"error"`
	Description string `json:"error_description"`
	foreign     string // what is wrong with an answer that is none of the server's, but of something on the way, or was cut there
}

// problem reads an answer that is no success.
func (a *answer) problem() problem {
	var p problem
	if !a.isJSON() || json.Unmarshal(a.body, &p) != nil {
		p.foreign = a.foreign()
	}
	return p
}

// foreign says what is wrong with an answer that is none of the server's.
func (a *answer) foreign() string {
	to := a.header.Get("Location")
	if at, err := url.Parse(to); err == nil { // what is behind the path may be for one pair of eyes
		to = (&url.URL{Scheme: at.Scheme, Host: at.Host, Path: at.Path}).String()
	}
	switch {
	case a.isCut():
		return fmt.Sprintf("the answer was cut: of its JSON %d bytes came; does a proxy or firewall between break it off?", len(a.body))
	case a.status >= 300 && a.status <= 399 && to != "":
		return "what answered is not Foyer, but refers to " + to + ", which is not followed: is url right, or does a proxy or firewall between want somebody to log in? It has to let the server's address pass"
	}
	return "what answered is not Foyer: is url right, and is a proxy or firewall between?"
}

// isCut tells whether an answer says that it is JSON and is not all of it.
func (a *answer) isCut() bool { return a.isJSON() && !json.Valid(a.body) }

// isJSON tells whether an answer says that it is JSON: what a proxy or a login page answers is not.
func (a *answer) isJSON() bool {
	kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	return err == nil && (kind == "application/json" || kind == "application/problem+json")
}

// text says what is wrong, and where.
func (p problem) text() string {
	switch {
	case p.foreign != "":
		return p.foreign
	case p.Detail == "":
		return strings.Trim(p.Code+": "+p.Description, ": ")
	case strings.HasPrefix(p.Detail, fmt.Sprintf("line %d", p.Line)): // it says so itself
		return p.Detail
	case p.Line > 0 && p.Column != "":
		return fmt.Sprintf("line %d, column %s: %s", p.Line, p.Column, p.Detail)
	case p.Line > 0:
		return fmt.Sprintf("line %d: %s", p.Line, p.Detail)
	}
	return p.Detail
}

// token gets a token (RFC 6749 §4.4), and the time of the server.
func (c *Client) token(ctx context.Context, id, secret string) (token string, clock time.Time, err error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}.Encode()
	got, err := c.try(ctx, call{what: "get a token", limit: c.timeout, make: func() (*http.Request, error) {
		req, err := http.NewRequest(http.MethodPost, c.url+"/auth/connect/token", strings.NewReader(form))
		if err == nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("User-Agent", agent)
		}
		return req, err
	}})
	if err != nil {
		return "", time.Time{}, err
	}
	clock, _ = http.ParseTime(got.header.Get("Date"))
	var reply struct {
		Token string `json:"access_token"`
	}
	p := got.problem()
	switch {
	case got.status == http.StatusOK && json.Unmarshal(got.body, &reply) == nil && reply.Token != "":
		return reply.Token, clock, nil
	case got.status == http.StatusUnauthorized && p.foreign == "":
		return "", clock, failf(Refused, "the server refuses the key %s: its id or secret is wrong, it has ended, or it may not be used from this address. "+
			"The server does not say which; its operator sees it: foyer key show %s", id, id)
	case p.foreign != "" || got.status < 400:
		return "", clock, failf(Unreachable, "get a token: %s answered %d: %s", c.url, got.status, got.foreign())
	}
	return "", clock, failf(Refused, "get a token: the server answered %d: %s", got.status, p.text())
}

// agent is how the program names itself.
const agent = "foyer-push"

// Upload sends a file with a key, and returns what the server did with it, or would do in a dry run. The file is applied once however often it has to be sent. An Error says
// Refused or Unreachable; in the latter case the file may have been applied.
func (c *Client) Upload(ctx context.Context, f *File, secret string, dry bool) (*Reply, error) {
	token, _, err := c.token(ctx, f.Key.ID, secret)
	if err != nil {
		return nil, err
	}
	address, what := c.url+"/addressbook/uploadcsv", "send the file"
	if dry {
		address, what = address+"?dry_run=1", "try the file"
	}
	renewed := false
	for {
		got, err := c.try(ctx, call{what: what, limit: oneTry, again: isStillRunning, make: func() (*http.Request, error) {
			body := &counted{Reader: bytes.NewReader(f.CSV), total: int64(len(f.CSV)), report: c.progress}
			req, err := http.NewRequest(http.MethodPost, address, body)
			if err == nil {
				req.ContentLength = int64(len(f.CSV))
				c.dress(req, token, f)
			}
			return req, err
		}})
		if err != nil {
			return nil, err
		}
		if got.status == http.StatusUnauthorized && !renewed { // the token ended while we waited
			renewed = true
			if token, _, err = c.token(ctx, f.Key.ID, secret); err != nil {
				return nil, err
			}
			continue
		}
		return c.reply(f, got)
	}
}

// dress sets the headers of an upload.
func (c *Client) dress(req *http.Request, token string, f *File) {
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "text/csv")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Idempotency-Key", f.once)
	if len(f.CSV) > 64<<10 {
		req.Header.Set("Expect", "100-continue") // or a refusal comes after megabytes
	}
	if c.strict {
		req.Header.Set("Prefer", "handling=strict")
	}
}

// isStillRunning tells whether the server says that it works on this very file already: an earlier try whose answer was lost. A file that is refused with the same status
// has a run.
func isStillRunning(got *answer) bool {
	return got.status == http.StatusConflict && got.problem().foreign == "" && got.problem().Run == ""
}

// reply makes of an answer to an upload what it says.
func (c *Client) reply(f *File, got *answer) (*Reply, error) {
	var r Reply
	switch got.status {
	case http.StatusOK, http.StatusAccepted:
		if !got.isJSON() || json.Unmarshal(got.body, &r) != nil || r.Status == "" {
			return nil, failf(Unreachable, "send the file: %s answered %d: %s", c.url, got.status, got.foreign())
		}
		return &r, nil
	}
	p := got.problem()
	if p.foreign != "" {
		return nil, failf(Unreachable, "send the file: %s answered %d: %s", c.url, got.status, p.text())
	}
	text := p.text()
	if p.Run != "" {
		text += " (" + p.Run + ")"
	}
	return nil, failf(Refused, "the server refuses the file of the key %s: %s", f.Key.Name, text)
}

// counted reports how much of a file was read to be sent.
type counted struct {
	*bytes.Reader
	total, sent int64
	report      func(sent, total int64)
}

// Read implements io.Reader.
func (r *counted) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.sent += int64(n)
	if r.report != nil {
		r.report(r.sent, r.total)
	}
	return n, err
}

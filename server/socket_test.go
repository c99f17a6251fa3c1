package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"foyer/foyertest"
	"foyer/server"
)

// tryDial opens a TLS connection that may be refused.
func tryDial(t *testing.T, f *foyertest.Foyer) (*tls.Conn, error) {
	t.Helper()
	pem, err := os.ReadFile(f.CAFile)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	dialer := &net.Dialer{Timeout: 20 * time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", strings.TrimPrefix(f.Script.URL, "https://"), &tls.Config{RootCAs: pool})
	if err == nil {
		t.Cleanup(func() { conn.Close() })
		must(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	}
	return conn, err
}

// meanwhile checks that another client's upload, which began before and whose end is still to come, goes through, and calls attack in between.
func meanwhile(t *testing.T, f *foyertest.Foyer, attack func()) {
	t.Helper()
	reply := slowUpload(t, f, "", attack)
	if reply.status != "HTTP/1.1 200 OK" || !strings.HasPrefix(reply.body, "OK run=") {
		t.Errorf("the other client got %s %s", reply.status, reply.body)
	}
}

// statusOf says what a server does on a connection to which something was sent: the status of its reply, or "cut".
func statusOf(t *testing.T, conn io.Reader) string {
	t.Helper()
	line, err := textproto.NewReader(bufio.NewReader(conn)).ReadLine()
	if err, timeout := errors.AsType[net.Error](err); timeout && err.Timeout() {
		return "nothing"
	}
	if err != nil {
		return "cut"
	}
	return line
}

// TestHTTP_AmbiguousOrHugeRequestsAreRefused holds that what two servers could read in two ways is refused, as is a header of 100 KB.
func TestHTTP_AmbiguousOrHugeRequestsAreRefused(t *testing.T) {
	f := foyertest.Start(t)
	const head = "POST /auth/connect/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	meanwhile(t, f, func() {
		for name, test := range map[string]struct{ request, want string }{
			"two lengths":             {head + "Content-Length: 3\r\nContent-Length: 4\r\n\r\na=b&", "400"},
			"two lengths in one line": {head + "Content-Length: 3, 4\r\n\r\na=b&", "400"},
			"length that is none":     {head + "Content-Length: +3\r\n\r\na=b", "400"},
			"negative length":         {head + "Content-Length: -1\r\n\r\n", "400"},
			"unknown coding":          {head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "501"},
			"two codings":             {head + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "501"},
			"blank in a name":         {head + "Content-Length : 3\r\n\r\na=b", "400"},
			"folded line":             {head + "X-A: b\r\n c: d\r\nContent-Length : 3\r\n\r\na=b", "400"},
			"no Host":                 {"POST / HTTP/1.1\r\n\r\n", "400"},
			"two Hosts":               {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
			"NUL in a value":          {"GET / HTTP/1.1\r\nHost: a\r\nX-A: \x00\r\n\r\n", "400"},
			"100 KB of one header":    {"GET / HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("a", 100<<10) + "\r\n\r\n", "431"},
			"100 KB of headers":       {"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X-A: aaaaaaaaa\r\n", 7000) + "\r\n", "431"},
			"100 KB of a URL":         {"GET /" + strings.Repeat("a", 100<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", "431"},
			"HTTP/0.9":                {"GET /\r\n\r\n", "400"},
			"HTTP/3 in words":         {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505"},
		} {
			conn, err := tryDial(t, f)
			must(t, err)
			io.WriteString(conn, test.request) // it may be refused before its end
			if got := statusOf(t, conn); !strings.HasPrefix(got, "HTTP/1.1 "+test.want) && got != "cut" {
				t.Errorf("%s: %s, want %s", name, got, test.want)
			}
		}
	})
}

// TestHTTP_LengthBesideChunked holds that of a request with both the chunks count and the connection ends, so that nothing behind it is taken for a request (RFC 9112 §6.1).
func TestHTTP_LengthBesideChunked(t *testing.T) {
	f := foyertest.Start(t)
	conn, err := tryDial(t, f)
	must(t, err)
	io.WriteString(conn, "POST /auth/connect/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	all, _ := io.ReadAll(conn)
	if strings.Count(string(all), "HTTP/1.1 ") != 1 || strings.Contains(string(all), "200 OK") {
		t.Errorf("the server answered %s", all)
	}
}

// TestHTTP_SlowHeaderIsCut holds that a header which trickles is cut in time, however steadily it comes.
func TestHTTP_SlowHeaderIsCut(t *testing.T) {
	f := foyertest.StartWith(t, server.Config{Limits: server.Limits{Header: 300 * time.Millisecond}})
	meanwhile(t, f, func() {
		conn, err := tryDial(t, f)
		must(t, err)
		begun, ended := time.Now(), make(chan struct{})
		go func() {
			defer close(ended)
			for _, b := range []byte("GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + strings.Repeat("a", 200)) {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond) // it is the sender who is slow
			}
		}()
		if got := statusOf(t, conn); got != "cut" && !strings.HasPrefix(got, "HTTP/1.1 40") {
			t.Errorf("got %s", got)
		}
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("it was cut after %v", took)
		}
		conn.Close()
		<-ended
	})
}

// TestHTTP_StalledBodyIsCut holds that a body which stands still is refused as cut short, and applies nothing.
func TestHTTP_StalledBodyIsCut(t *testing.T) {
	f := foyertest.StartWith(t, server.Config{Limits: server.Limits{Stall: 300 * time.Millisecond}})
	w := dial(t, f)
	body := uploadBody("a.csv", ann)
	begun := time.Now()
	w.send(w.uploadHead(w.token(f), "", len(body)) + body[:len(body)-10])
	reply := w.receive()
	if reply.status != "HTTP/1.1 400 Bad Request" || !strings.Contains(reply.body, "cut short") || time.Since(begun) > 5*time.Second {
		t.Errorf("after %v got %s %s", time.Since(begun), reply.status, reply.body)
	}
	wantBook(t, f)
	wantLine(t, f.Upload(t, ann), strings.Replace(annLine, "R-1", "R-2", 1))
}

// TestHTTP_ReplyThatIsNotTakenIsCut holds that a client of HTTP/2 which takes no byte of its reply does not keep it, and what answers it, for ever.
func TestHTTP_ReplyThatIsNotTakenIsCut(t *testing.T) {
	f := foyertest.StartWith(t, server.Config{Limits: server.Limits{Stall: 300 * time.Millisecond}})
	w := dialWith(t, f, &tls.Config{NextProtos: []string{"h2"}})
	w.send(http2.ClientPreface)
	frames := http2.NewFramer(w.conn, w.conn)
	must(t, frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", w.host}, {":path", "/healthz"}} {
		must(t, encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
	}
	must(t, frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}))
	must(t, w.conn.SetDeadline(time.Now().Add(10*time.Second)))
	for {
		frame, err := frames.ReadFrame()
		if err != nil {
			t.Fatalf("the stream was not ended: %v", err)
		}
		if reset, ok := frame.(*http2.RSTStreamFrame); ok && reset.StreamID == 1 {
			return
		}
	}
}

// crowdIn opens connections, many at once, and returns how many the server kept.
func crowdIn(t *testing.T, f *foyertest.Foyer, n int) (kept int) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	gate := make(chan struct{}, 32)
	for range n {
		all.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			if _, err := tryDial(t, f); err == nil {
				mu.Lock()
				kept++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return kept
}

// TestHTTP_ConnectionsOfOneAddressAreBounded holds that 1,000 idle connections from one address are kept up to the limit, and that a client which is in already, and one that comes
// once there is room, are served.
func TestHTTP_ConnectionsOfOneAddressAreBounded(t *testing.T) {
	const limit = 40
	f := foyertest.StartWith(t, server.Config{Limits: server.Limits{PerAddress: limit}})
	meanwhile(t, f, func() {
		if kept := crowdIn(t, f, 1000); kept < limit-5 || kept >= limit {
			t.Errorf("%d of 1,000 connections were kept, want just below %d", kept, limit)
		}
	})
}

// TestHTTP_ConnectionsAreBounded holds the same of all connections; trusted proxies are spared the limit of one address, not this one.
func TestHTTP_ConnectionsAreBounded(t *testing.T) {
	const limit = 60
	f := proxied(t, server.Config{Limits: server.Limits{Connections: limit, PerAddress: 10}})
	meanwhile(t, f, func() {
		if kept := crowdIn(t, f, 200); kept < limit-5 || kept >= limit {
			t.Errorf("%d of 200 connections were kept, want just below %d", kept, limit)
		}
	})
}

// TestHTTP_RoomIsGivenBack holds that connections which ended count no more.
func TestHTTP_RoomIsGivenBack(t *testing.T) {
	f := foyertest.StartWith(t, server.Config{Limits: server.Limits{PerAddress: 5}})
	for i := range 50 {
		var conn *tls.Conn
		var err error
		for range 100 { // the server learns of the end of the one before a moment later
			if conn, err = tryDial(t, f); err == nil {
				break
			}
		}
		if err != nil {
			t.Fatalf("connection %d: %v", i+1, err)
		}
		conn.Close()
	}
}

// peer is a connection from an address.
type peer struct {
	net.Conn
	address string
}

func (p peer) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(p.address), Port: 1} }
func (p peer) Close() error         { return nil }

// peers is a listener to which those addresses connect.
type peers []string

func (p *peers) Accept() (net.Conn, error) {
	if len(*p) == 0 {
		return nil, io.EOF
	}
	next := (*p)[0]
	*p = (*p)[1:]
	return peer{address: next}, nil
}

func (p *peers) Close() error   { return nil }
func (p *peers) Addr() net.Addr { return nil }

// TestHTTP_AnIPv6NetworkIsOneAddress holds that who has a network of 64 bits cannot take up all connections.
func TestHTTP_AnIPv6NetworkIsOneAddress(t *testing.T) {
	all := peers{}
	for i := range 100 {
		all = append(all, "2001:db8::"+strconv.Itoa(i+1))
	}
	all = append(all, "2001:db8:0:1::1", "203.0.113.7")
	f := newLines()
	l := server.New(server.Config{Log: f.logger(), Limits: server.Limits{PerAddress: 8}}).Limit(&all)
	kept := 0
	for {
		if _, err := l.Accept(); err != nil {
			break
		}
		kept++
	}
	if kept != 10 {
		t.Errorf("%d connections were kept, want 8 and two of others", kept)
	}
}

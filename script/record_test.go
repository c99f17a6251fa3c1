package script_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// answer is what the recorder answers to one request; a status of 0 ends the connection instead.
type answer struct {
	status int
	header string // Retry-After, or Location of a redirect
	body   string
}

// token is the answer to a good request for a token.
var token = answer{200, "", `{"access_token":"ft_token","token_type":"Bearer","expires_in":3600}`}

// recorder is a TLS server that notes what comes, byte for byte, and answers what it was told to, in that order.
type recorder struct {
	t       *testing.T
	address string
	roots   *x509.CertPool

	mu       sync.Mutex
	answers  []answer
	requests []string
}

func startRecorder(t *testing.T, answers ...answer) *recorder {
	t.Helper()
	lent := httptest.NewTLSServer(nil) // its certificate
	r := &recorder{t: t, roots: x509.NewCertPool(), answers: answers}
	r.roots.AddCert(lent.Certificate())
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: lent.TLS.Certificates})
	lent.Close()
	if err != nil {
		t.Fatal(err)
	}
	r.address = "https://" + l.Addr().String()
	var serving sync.WaitGroup
	t.Cleanup(func() { l.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { r.serve(conn) })
		}
	})
	return r
}

// serve answers the requests of a connection until it ends.
func (r *recorder) serve(conn net.Conn) {
	defer conn.Close()
	var seen bytes.Buffer
	in := bufio.NewReader(io.TeeReader(conn, &seen))
	for {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return
		}
		a := r.next(seen.String())
		seen.Reset()
		if a.status == 0 {
			return
		}
		text := fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: %d\r\n", a.status, len(a.body))
		switch {
		case a.header == "":
		case a.status >= 300 && a.status <= 399:
			text += "Location: " + a.header + "\r\n"
		default:
			text += "Retry-After: " + a.header + "\r\n"
		}
		if _, err := io.WriteString(conn, text+"\r\n"+a.body); err != nil {
			return
		}
	}
}

// took returns what came, and begins again with other answers.
func (r *recorder) took(answers []answer) (requests []string, left []answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	requests, left = r.requests, r.answers
	r.requests, r.answers = nil, answers
	return requests, left
}

// next notes a request and returns what it is answered.
func (r *recorder) next(request string) answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, request)
	if len(r.answers) == 0 {
		r.t.Errorf("nothing was expected any more, but this came: %q", request)
		return answer{}
	}
	a := r.answers[0]
	r.answers = r.answers[1:]
	return a
}

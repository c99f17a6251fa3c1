package push_test

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"foyer/foyertest"
	"foyer/push"
	"foyer/script"
)

// customer is a machine of a customer's: a folder with settings and secrets, and what its log says.
type customer struct {
	dir string
	log bytes.Buffer
}

// newCustomer returns one with a key of the server's, in settings that further settings are added to.
func newCustomer(t *testing.T, f *foyertest.Foyer, url, caFile, further string) *customer {
	t.Helper()
	c := &customer{dir: t.TempDir()}
	c.write(t, "key.secret", f.Script.ClientSecret+"\n")
	c.write(t, "foyer-push.toml", fmt.Sprintf("[server]\nurl = %q\nca_file = %q\nproxy = \"none\"\n[[key]]\nid = %q\nsecret_file = \"key.secret\"\n%s",
		url, caFile, f.Script.ClientID, further))
	return c
}

// write writes a file that only its owner can read.
func (c *customer) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (c *customer) load(t *testing.T) *push.Config {
	t.Helper()
	config, err := push.Load(filepath.Join(c.dir, "foyer-push.toml"), func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// logger logs into c.log.
func (c *customer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&c.log, nil)) }

// client returns a client that does not wait between tries.
func (c *customer) client(t *testing.T, config *push.Config) *push.Client {
	t.Helper()
	client, err := push.NewClient(config, c.logger(), nil)
	if err != nil {
		t.Fatal(err)
	}
	client.Waits()
	return client
}

// send sends a CSV once and returns the only reply.
func (c *customer) send(t *testing.T, csv string, dry bool) (push.Sent, push.Outcome) {
	t.Helper()
	config := c.load(t)
	files, err := push.FromCSV(config, c.write(t, "staff.csv", csv), "")
	if err != nil {
		t.Fatal(err)
	}
	sent, worst, err := push.Send(t.Context(), config, c.client(t, config), files, dry)
	if err != nil {
		t.Fatal(err)
	}
	if len(sent) != 1 {
		t.Fatalf("%d files were sent", len(sent))
	}
	return sent[0], worst
}

// front is something on the way between a customer and the server: it terminates TLS, and may do anything with a request.
type front struct {
	url, caFile string
	uploads     atomic.Int64 // requests for an upload that came
}

// newFront puts something in front of a server: handle is called for each upload, with its number, beginning with 1, and what passes it on.
func newFront(t *testing.T, f *foyertest.Foyer, handle func(n int, w http.ResponseWriter, r *http.Request, pass http.Handler)) *front {
	t.Helper()
	behind, err := url.Parse(f.Script.URL)
	if err != nil {
		t.Fatal(err)
	}
	client, err := script.Trust(f.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	proxy.Transport = client.Transport
	fr := &front{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/addressbook") {
			handle(int(fr.uploads.Add(1)), w, r, proxy)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	srv.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	srv.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelError)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	fr.url, fr.caFile = srv.URL, filepath.Join(t.TempDir(), "front.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(fr.caFile, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	return fr
}

func (c *customer) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

package push_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"foyer/foyertest"
	"foyer/push"
)

// startProxy starts a proxy that connects (RFC 9110 §9.3.6) and counts.
func startProxy(t *testing.T) (address string, connected *atomic.Int64) {
	t.Helper()
	connected = &atomic.Int64{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
			return
		}
		connected.Add(1)
		out, err := net.Dial("tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer out.Close()
		w.WriteHeader(http.StatusOK)
		in, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer in.Close()
		go io.Copy(out, in)
		io.Copy(in, out)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, connected
}

// TestUpload_ThroughAProxy holds that the proxy of the settings is used, and that TLS goes through it to the server itself.
func TestUpload_ThroughAProxy(t *testing.T) {
	f := foyertest.Start(t)
	address, connected := startProxy(t)
	c := newCustomer(t, f, f.Script.URL, f.CAFile, "")
	c.write(t, "foyer-push.toml", strings.Replace(c.read(t, "foyer-push.toml"), `"none"`, `"`+address+`"`, 1))
	if sent, outcome := c.send(t, two, false); outcome != push.Applied || connected.Load() == 0 {
		t.Errorf("%v, %v, %d connections through the proxy", outcome, sent.Err, connected.Load())
	}
	if _, said := examine(t, c, c.dir+"/staff.csv"); !strings.Contains(said, "[proxy] ok "+address) || !strings.Contains(said, "OK") && !strings.Contains(said, "DRY RUN would have") {
		t.Errorf("the doctor says\n%s", said)
	}
}

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

// TestDoctor_TellsNoPasswordOfAProxy holds that HTTPS_PROXY is used or refused, never left aside, and that in no case its password is shown.
func TestDoctor_TellsNoPasswordOfAProxy(t *testing.T) {
	f := foyertest.Start(t)
	address, connected := startProxy(t)
	host := strings.TrimPrefix(address, "http://")
	c := newCustomer(t, f, strings.Replace(f.Script.URL, "127.0.0.1", "foyer.invalid", 1), f.CAFile, "") // what is here is never asked of a proxy
	c.write(t, "foyer-push.toml", strings.Replace(c.read(t, "foyer-push.toml"), `"none"`, `""`, 1))
	for value, want := range map[string]string{
		"http://user:Se/cret@" + host: "[proxy] FAIL HTTPS_PROXY", "http://user:12/Secret@" + host: "[proxy] FAIL HTTPS_PROXY", "http://user:Se%zzcret@" + host: "[proxy] FAIL HTTPS_PROXY",
		"http://user:1#Secret@" + host: "[proxy] FAIL HTTPS_PROXY", "user:1?Secret@" + host: "[proxy] FAIL HTTPS_PROXY", "ftp://" + host: "[proxy] FAIL HTTPS_PROXY",
		"http://user:Se%2Fcret@" + host: "[proxy] ok " + address + ", of the environment", host: "[proxy] ok " + address + ", of the environment",
	} {
		before := connected.Load()
		var said strings.Builder
		outcome := push.Doctor(t.Context(), push.DoctorConfig{File: c.dir + "/foyer-push.toml", Getenv: func(name string) string { return map[string]string{"HTTPS_PROXY": value}[name] }, Log: c.logger(),
			Report: func(check push.Check) {
				state := "ok " + check.Said
				if check.Err != nil {
					state = "FAIL " + check.Err.Error()
				}
				said.WriteString("[" + check.Name + "] " + state + "\n")
			}})
		refused := strings.Contains(want, "FAIL")
		if text := said.String() + c.log.String(); !strings.Contains(text, want) || strings.Contains(text, "Se") || strings.Contains(text, "user:") && !refused || refused != (connected.Load() == before) || refused != (outcome == push.Misused) {
			t.Errorf("%s: %v\n%s", value, outcome, text)
		}
	}
}

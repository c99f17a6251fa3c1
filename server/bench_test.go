package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/bench/staff"
	"foyer/foyertest"
	"foyer/server"
	"foyer/store"
)

// BenchmarkToken measures tokens over HTTPS, the client in the same process on the same cores: go test ./server -run '^$' -bench Token.
func BenchmarkToken(b *testing.B) {
	f := foyertest.Start(b)
	form := "grant_type=client_credentials&client_id=" + f.Script.ClientID + "&client_secret=" + f.Script.ClientSecret
	f.Script.Client.Transport.(*http.Transport).MaxIdleConnsPerHost = 64
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			resp, err := f.Script.Client.Post(f.Script.URL+"/auth/connect/token", "application/x-www-form-urlencoded", strings.NewReader(form))
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				b.Errorf("status %d", resp.StatusCode)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
}

// BenchmarkUpload measures uploads of 500 people over HTTPS, the token included: first loads into new organizations, and the same people again.
func BenchmarkUpload(b *testing.B) {
	f := foyertest.StartWith(b, server.Config{Limits: server.Limits{Uploads: 1 << 30}})
	var text bytes.Buffer
	if _, err := (staff.File{Rows: 500}).WriteTo(&text); err != nil {
		b.Fatal(err)
	}
	b.Run("first", func(b *testing.B) {
		var took []time.Duration
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			g := *f
			g.Org = f.NewOrg(b, fmt.Sprint(b.N, " ", i, " ", time.Now().UnixNano()))
			g.Script = f.NewKey(b, g.Org, store.NewKey{})
			b.StartTimer()
			took = append(took, timed(b, &g, text.Bytes(), i))
		}
		reportP99(b, took)
	})
	b.Run("unchanged", func(b *testing.B) {
		var took []time.Duration
		for i := 0; b.Loop(); i++ {
			took = append(took, timed(b, f, text.Bytes(), i))
		}
		reportP99(b, took[1:])
	})
}

// timed uploads a file, made another one by its last line so that its bytes are not those of the last, and returns how long it took.
func timed(b *testing.B, f *foyertest.Foyer, file []byte, n int) time.Duration {
	start := time.Now()
	reply := f.Upload(b, string(file)+strings.Repeat("\n", n%50))
	if reply.Status != http.StatusOK {
		b.Fatalf("%d %s", reply.Status, reply.Body)
	}
	return time.Since(start)
}

func reportP99(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	if len(took) > 0 {
		b.ReportMetric(float64(took[len(took)*99/100].Milliseconds()), "p99-ms")
	}
}

package store

import (
	"crypto/tls"
	"strings"
	"testing"
)

// TestParsePostgres_VerifiesOverANetwork holds that no password and no name goes over a network to whom nobody has verified.
func TestParsePostgres_VerifiesOverANetwork(t *testing.T) {
	for address, want := range map[string]string{
		"postgres://u@db.example/foyer":                                     "verified",
		"postgres://u@db.example,db2.example/foyer":                         "verified",
		"postgres://u@10.0.0.7:5433/foyer?sslmode=verify-full":              "verified",
		"postgres://u@db.example/foyer?sslmode=disable":                     "db.example is reached over a network",
		"postgres://u@db.example/foyer?sslmode=require":                     "db.example is reached over a network",
		"postgres://u@db.example/foyer?sslmode=verify-ca":                   "db.example is reached over a network",
		"postgres://u@db.example/foyer?sslmode=prefer":                      "db.example is reached over a network",
		"postgres://u@127.0.0.1,db.example/foyer?sslmode=prefer":            "db.example is reached over a network",
		"postgres://u@localhost/foyer":                                      "local",
		"postgres://u@[::1]/foyer":                                          "local",
		"postgres:///foyer?host=/run/postgresql":                            "local",
		"host=db.example dbname=foyer":                                      "--database wants postgres://",
		"mysql://u:secret@db.example/foyer":                                 "--database wants postgres://",
		"postgres://u:secret@db.example:notaport/foyer?sslmode=verify-full": "--database",
	} {
		config, err := parsePostgres(address)
		if err != nil {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v, want %q", address, err, want)
			}
			continue
		}
		verified := true
		for _, secured := range tlsOf(config) {
			verified = verified && secured != nil && !secured.InsecureSkipVerify && secured.ServerName != "" && secured.MinVersion >= tls.VersionTLS12
		}
		if want != "local" && (want != "verified" || !verified) {
			t.Errorf("%s: verified %v, want %q", address, verified, want)
		}
	}
}

package storetest

import (
	"errors"
	"testing"
)

// Cluster is a PostgreSQL of the tests' own; there is none on Windows.
type Cluster struct{}

// StartCluster says what to do instead.
func StartCluster() (*Cluster, error) {
	return nil, errors.New("on Windows the tests start no PostgreSQL; name a server in FOYER_TEST_DATABASE, or set FOYER_TEST_ON=sqlite")
}

// Program fails the test.
func Program(t testing.TB, name string) string {
	t.Fatalf("%s of the tests' own PostgreSQL is not there on Windows", name)
	return ""
}

// URL returns nothing.
func (*Cluster) URL(string) string { return "" }

// Stop does nothing.
func (*Cluster) Stop() {}

package storetest

import "errors"

// Cluster is a PostgreSQL of the tests' own; there is none on Windows.
type Cluster struct{}

// StartCluster says what to do instead.
func StartCluster() (*Cluster, error) {
	return nil, errors.New("on Windows the tests start no PostgreSQL; name a server in FOYER_TEST_DATABASE, or set FOYER_TEST_ON=sqlite")
}

// URL returns nothing.
func (*Cluster) URL(string) string { return "" }

// Stop does nothing.
func (*Cluster) Stop() {}

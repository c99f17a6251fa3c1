// Package storetest runs the tests of whatever uses a store on both databases: SQLite, and a PostgreSQL of its own.
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
//
// A test opens its store at Database(t, dir), which is the same database for the same folder. So one suite holds both stores to the same
// rules and replies. FOYER_TEST_ON=sqlite or postgres runs one half; FOYER_TEST_DATABASE=postgres://… takes a server that is there already (its role must be
// allowed to make databases, and must be no superuser) instead of starting one.
package storetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/pressly/goose/v3"
)

// server is the PostgreSQL on which tests run now; empty while they run on SQLite.
var server struct {
	sync.Mutex
	url      string            // of its database "postgres", for a role that may make databases
	template string            // a database with the schema: a copy of it is made faster than a new one
	made     map[string]string // by data folder: the database
}

// Main runs a package's tests once on each database, and exits.
func Main(m *testing.M) {
	only := os.Getenv("FOYER_TEST_ON")
	code := 0
	if only != "postgres" {
		code = m.Run()
	}
	if only != "sqlite" && !fuzzing() {
		fmt.Println("the same on PostgreSQL:")
		code = max(code, onPostgres(m.Run))
	}
	os.Exit(code)
}

// fuzzing tells whether this is a fuzzing run, which goes on until it is stopped.
func fuzzing() bool {
	for _, arg := range os.Args {
		if len(arg) > 11 && (arg[:11] == "-test.fuzz=" || arg[:11] == "-test.list=") {
			return true
		}
	}
	return false
}

// onPostgres runs fn with Database naming databases of PostgreSQL.
func onPostgres(fn func() int) int {
	address := os.Getenv("FOYER_TEST_DATABASE")
	if address == "" {
		cluster, err := StartCluster()
		if err != nil {
			fmt.Fprintln(os.Stderr, "storetest:", err)
			return 1
		}
		defer cluster.Stop()
		address = cluster.URL("postgres")
	}
	server.url, server.template, server.made = address, randomName(), map[string]string{}
	if err := makeTemplate(); err != nil {
		fmt.Fprintln(os.Stderr, "storetest: make the schema:", err)
		return 1
	}
	server.made[""] = server.template
	defer func() {
		for _, name := range server.made {
			if err := ask(address, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err != nil {
				fmt.Fprintln(os.Stderr, "storetest:", err)
			}
		}
		server.url = ""
	}()
	return fn()
}

func randomName() string {
	random := make([]byte, 6)
	rand.Read(random)
	return "foyer_test_" + hex.EncodeToString(random)
}

// makeTemplate makes the database of which the tests' are copies.
func makeTemplate() error {
	if err := ask(server.url, `CREATE DATABASE `+server.template); err != nil {
		return err
	}
	db, err := sql.Open("pgx", named(server.url, server.template))
	if err != nil {
		return err
	}
	defer db.Close()
	_, here, _, _ := runtime.Caller(0)
	p, err := goose.NewProvider(goose.DialectPostgres, db, os.DirFS(filepath.Join(filepath.Dir(here), "../migrations/postgres")))
	if err != nil {
		return err
	}
	_, err = p.Up(context.Background())
	return err
}

// OnPostgres tells whether tests run on PostgreSQL now.
func OnPostgres() bool { return server.url != "" }

// SQLiteOnly passes a test over that is about SQLite's file while tests run on PostgreSQL.
func SQLiteOnly(t testing.TB) {
	t.Helper()
	if OnPostgres() {
		t.Skip("this is about SQLite's file")
	}
}

// Database returns the address of the test's database for a data folder: the same for the same folder. Empty means SQLite in the folder.
func Database(t testing.TB, dir string) string {
	t.Helper()
	for _, name := range []string{"FOYER_TEST_ON", "FOYER_TEST_DATABASE"} {
		os.Getenv(name) // so that go test does not answer from its cache when they differ: it notes what a test reads, not what Main does
	}
	if !OnPostgres() {
		return ""
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	server.Lock()
	defer server.Unlock()
	name := server.made[dir]
	if name == "" {
		name = randomName()
		if err := ask(server.url, `CREATE DATABASE `+name+` TEMPLATE `+server.template); err != nil {
			t.Fatalf("make a database for the test: %v", err)
		}
		server.made[dir] = name
		t.Cleanup(func() { drop(t, dir, name) })
	}
	return named(server.url, name)
}

// drop removes a test's database, so that a thousand tests do not fill the disk.
func drop(t testing.TB, dir, name string) {
	server.Lock()
	defer server.Unlock()
	delete(server.made, dir)
	var err error
	for range 10 { // a process of the server that tidies up may look at it just now
		if err = ask(server.url, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`); err == nil {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Error(err)
}

// ask runs one statement.
func ask(address, statement string) error {
	db, err := sql.Open("pgx", address)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(context.Background(), statement)
	return err
}

// named returns the address of another database of the same server.
func named(address, database string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	u.Path = "/" + database
	return u.String()
}

// withQuery returns an address with another setting in it.
func withQuery(address, name, value string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// Empty makes a database of PostgreSQL without a schema and returns its address; it goes with the test.
func Empty(t testing.TB) string {
	t.Helper()
	name := randomName()
	if err := ask(server.url, `CREATE DATABASE `+name); err != nil {
		t.Fatalf("make a database for the test: %v", err)
	}
	t.Cleanup(func() { drop(t, name, name) }) // no data folder is named so
	return named(server.url, name)
}

// As returns an address for another role.
func As(t testing.TB, address, role string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	return u.String()
}

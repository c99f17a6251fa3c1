//go:build !windows

package storetest

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Cluster is a PostgreSQL in a temporary folder, reached over a socket in it. Its roles are "postgres", a superuser, and "foyer", which may make databases.
// It ends with the process that started it.
type Cluster struct {
	dir     string
	bin     string
	process *exec.Cmd
	ended   chan struct{} // the process has
	stopped chan struct{} // the cluster is
	command func(name string, args ...string) *exec.Cmd
}

// StartCluster makes a cluster and starts it. Where PostgreSQL is not installed the error says how to.
func StartCluster() (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "foyer-pg") // short, since the path of a socket must be
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, bin: bin, stopped: make(chan struct{})}
	if err := c.make(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := c.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := ask(c.admin("postgres"), `CREATE ROLE foyer LOGIN CREATEDB`); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// binaries returns the folder of the newest PostgreSQL that is installed.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errors.New("PostgreSQL 15 or newer is not installed; install it: apt-get install postgresql (or name a server in FOYER_TEST_DATABASE)")
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(found[len(found)-1]), nil
}

// Program returns the path of a program that comes with PostgreSQL's server, such as pg_dump.
func Program(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

func version(path string) int {
	n, _ := strconv.Atoi(strings.Split(path, "/")[4])
	return n
}

// make makes the cluster's files. PostgreSQL does not run as root: then the user "postgres" gets them.
func (c *Cluster) make() error {
	c.command = exec.Command
	if os.Getuid() == 0 {
		account, err := user.Lookup("postgres")
		if err != nil {
			return err
		}
		uid, _ := strconv.Atoi(account.Uid)
		gid, _ := strconv.Atoi(account.Gid)
		if err := os.Chown(c.dir, uid, gid); err != nil {
			return err
		}
		c.command = func(name string, args ...string) *exec.Cmd {
			cmd := exec.Command(name, args...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
			return cmd
		}
	}
	init := c.command(c.bin+"/initdb", "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	init.Dir = c.dir
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("make a PostgreSQL: %w: %s", err, out)
	}
	return nil
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// Start starts the cluster, after Kill too, and waits until it answers.
func (c *Cluster) Start() error {
	c.ended = make(chan struct{})
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the process ends with the thread that started it
		defer close(c.ended)
		// What is written is not carried to the disk at once, which these tests would only wait for. A killed process loses nothing by it.
		c.process = c.command(c.bin+"/postgres", "-D", c.data(), "-k", c.dir, "-h", "", "-c", "fsync=off", "-c", "max_connections=300", "-c", "log_min_messages=fatal", "-c", "autovacuum=off")
		c.process.Dir = c.dir
		endWithParent(c.process)
		started <- c.process.Start()
		c.process.Wait()
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	var err error
	for range 600 {
		if err = ask(c.admin("postgres"), `SELECT 1`); err == nil {
			return nil
		}
		select {
		case <-c.ended:
			return fmt.Errorf("PostgreSQL ended while starting: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return err
}

// Kill ends the cluster as a loss of power does: nothing is said to its clients, and it recovers from its log when it starts again.
func (c *Cluster) Kill() {
	c.process.Process.Signal(syscall.SIGQUIT)
	<-c.ended
}

// Stop ends the cluster and removes its files.
func (c *Cluster) Stop() {
	close(c.stopped)
	c.Kill()
	os.RemoveAll(c.dir)
}

// URL returns the address of a database for the role "foyer".
func (c *Cluster) URL(database string) string { return c.address("foyer", database) }

// Create makes a database without a schema and returns its name.
func (c *Cluster) Create() (string, error) {
	name := randomName()
	return name, ask(c.URL("postgres"), `CREATE DATABASE `+name)
}

// ReadOnly makes all databases of the cluster read-only, for connections that are open too, or writable again.
func (c *Cluster) ReadOnly(on bool) error {
	if err := ask(c.admin("postgres"), fmt.Sprintf(`ALTER SYSTEM SET default_transaction_read_only = %v`, on)); err != nil {
		return err
	}
	return ask(c.admin("postgres"), `SELECT pg_reload_conf()`)
}

func (c *Cluster) admin(database string) string { return c.address("postgres", database) }

func (c *Cluster) address(role, database string) string {
	return (&url.URL{Scheme: "postgres", User: url.User(role), Host: "", Path: "/" + database, RawQuery: url.Values{"host": {c.dir}}.Encode()}).String()
}

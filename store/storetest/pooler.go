//go:build !windows

package storetest

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Pool starts a PgBouncer in front of a cluster, which gives each transaction any of few connections, and returns the address of a database through it. It ends with the
// cluster, or with this process.
func (c *Cluster) Pool(database string) (string, error) {
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer"
	}
	if _, err := os.Stat(path); err != nil {
		return "", errors.New("PgBouncer is not installed; install it: apt-get install pgbouncer")
	}
	dir := filepath.Join(c.dir, "pool")
	settings := fmt.Sprintf(`[databases]
* = host=%s user=foyer
[pgbouncer]
unix_socket_dir = %s
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = 8
max_client_conn = 500
server_reset_query =
ignore_startup_parameters = extra_float_digits
logfile = %s/log
pidfile = %s/pid
`, c.dir, dir, dir, dir)
	file := filepath.Join(dir, "settings")
	if err := errors.Join(os.MkdirAll(dir, 0o777), os.Chmod(dir, 0o777), os.WriteFile(file, []byte(settings), 0o644)); err != nil {
		return "", err
	}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the process ends with the thread that started it
		cmd := c.command(path, file)
		cmd.Dir = dir
		endWithParent(cmd)
		started <- cmd.Start()
		go func() { <-c.stopped; cmd.Process.Signal(syscall.SIGKILL) }()
		cmd.Wait()
	}()
	if err := <-started; err != nil {
		return "", err
	}
	address := (&url.URL{Scheme: "postgres", User: url.User("foyer"), Path: "/" + database, RawQuery: url.Values{"host": {dir}, "port": {"6432"}}.Encode()}).String()
	for range 200 {
		if err = ask(address, `SELECT 1`); err == nil {
			return address, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	return "", fmt.Errorf("PgBouncer does not answer: %w\n%s", err, log)
}

//go:build unix

package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestInterrupt_SaysWhyItGoesOn interrupts a command that cannot end at once: it says that it goes on, and ends where it is interrupted once more.
func TestInterrupt_SaysWhyItGoesOn(t *testing.T) {
	name, err := exec.LookPath("foyer") // built by TestMain
	check(t, err)
	data := filepath.Join(t.TempDir(), "data")
	for _, args := range [][]string{{"org", "create", "Acme"}, {"source", "create", "hr", "--org", "acme"}} {
		if code := run(append(args, "--data", data), os.Stderr, os.Stderr); code != 0 {
			t.Fatalf("%q exits with %d", args, code)
		}
	}
	cmd := exec.Command(name, "sync", "-", "--org", "acme", "--source", "hr", "--data", data)
	file, err := cmd.StdinPipe()
	check(t, err)
	said, err := cmd.StderrPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	_, err = file.Write(make([]byte, 1<<20)) // more than a pipe holds: it is reading
	check(t, err)
	check(t, cmd.Process.Signal(syscall.SIGINT))
	line, err := bufio.NewReader(said).ReadString('\n')
	check(t, err)
	if !strings.Contains(line, "goes on to its end") {
		t.Errorf("it says %q", line)
	}
	check(t, cmd.Process.Signal(syscall.SIGINT))
	cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v", status)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kardianos/service"

	"foyer/push"
)

// unit is a service whose description is a file, as with systemd, and of which a later step may fail.
type unit struct {
	service.Service
	file            string
	status, install error
	stubborn        bool // cannot be uninstalled
	uninstalled     int
}

func (u *unit) Status() (service.Status, error) { return service.StatusStopped, u.status }

func (u *unit) Install() error {
	if err := os.WriteFile(u.file, []byte("[Unit]"), 0o644); err != nil {
		return err
	}
	return u.install
}

func (u *unit) Uninstall() error {
	u.uninstalled++
	if u.stubborn {
		return errors.New("systemctl disable failed")
	}
	return os.Remove(u.file)
}

// TestInstall_NothingIsLeftHalfDone holds that a service of which a step fails is taken out again, also where the system does not help, and that one that is there stays.
func TestInstall_NothingIsLeftHalfDone(t *testing.T) {
	broken := errors.New("systemctl enable failed")
	for name, step := range map[string]struct {
		u       unit
		there   bool // before
		want    string
		remains bool
	}{
		"all is well":                  {unit{status: service.ErrNotInstalled}, false, "", true},
		"a later step fails":           {unit{status: service.ErrNotInstalled, install: broken}, false, "systemctl enable failed; this needs the rights", false},
		"and so does taking it out":    {unit{status: service.ErrNotInstalled, install: broken, stubborn: true}, false, "systemctl enable failed", false},
		"the system says nothing":      {unit{status: errors.New("no bus"), install: broken}, false, "systemctl enable failed", false},
		"it is there":                  {unit{install: broken}, true, "installed already", true},
		"it is there, of which nobody": {unit{status: service.ErrNotInstalled, install: broken}, true, "installed already", true},
	} {
		u := step.u
		u.file = filepath.Join(t.TempDir(), "foyer-push.service")
		if step.there {
			if err := os.WriteFile(u.file, []byte("old"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		err := installWhole(&u, u.file)
		if (err == nil) != (step.want == "") || err != nil && !strings.Contains(err.Error(), step.want) {
			t.Errorf("%s: %v; it should say %q", name, err, step.want)
		}
		if exists(u.file) != step.remains || step.there && u.uninstalled > 0 {
			t.Errorf("%s: it remains: %v", name, exists(u.file))
		}
	}
}

// TestInstall_AccountsOfWindowsNeedNoPassword holds which accounts a service of Windows can have, and that of another the message says what to do.
func TestInstall_AccountsOfWindowsNeedNoPassword(t *testing.T) {
	for user, want := range map[string]string{
		"": "", "LocalSystem": "", `NT AUTHORITY\SYSTEM`: "", "LocalService": `NT AUTHORITY\LocalService`, `nt authority\network service`: `NT AUTHORITY\NetworkService`,
		`ACME\svc-foyer$`: `ACME\svc-foyer$`,
	} {
		if got, err := accountFor("windows", user); err != nil || got != want {
			t.Errorf("%q is %q, %v", user, got, err)
		}
	}
	for _, user := range []string{`ACME\svc-foyer`, "svc-foyer$", "svc-foyer@acme.example", "$", `\x$`} {
		if got, err := accountFor("windows", user); push.OutcomeOf(err) != push.Misused || !strings.Contains(err.Error(), "managed service account") {
			t.Errorf("%q is %q, %v", user, got, err)
		}
	}
	if got, err := accountFor("linux", "foyer"); err != nil || got != "foyer" {
		t.Errorf("of Linux: %q, %v", got, err)
	}
}

// TestInstall_ArgumentsMeanWhatTheySay holds that what systemd takes for more than a character is written so that it is one.
func TestInstall_ArgumentsMeanWhatTheySay(t *testing.T) {
	if got := quoted(systemd, []string{`/etc/100% $HOME\x`}); got[0] != `/etc/100%% $$HOME\\x` {
		t.Errorf("systemd is given %q", got)
	}
	if got := quoted(windowsService, []string{`C:\100%`}); got[0] != `C:\100%` {
		t.Errorf("Windows is given %q", got)
	}
}

// managed is a service under a manager as that of Windows: it starts the program, and hands on why it does not start.
type managed struct {
	service.Service
	program *program
	log     noted
	waiting bool // for stop
}

func (m *managed) Logger(chan<- error) (service.Logger, error) { return &m.log, nil }

// noted is a log of the system.
type noted struct {
	service.Logger
	said []string
}

func (l *noted) Error(v ...any) error {
	l.said = append(l.said, "error "+fmt.Sprint(v...))
	return nil
}

func (m *managed) Run() error {
	if err := m.program.Start(m); err != nil {
		return err
	}
	m.waiting = true
	return m.program.Stop(m)
}

// TestService_SaysInTheLogWhyItDoesNotStart holds that a service with settings that cannot be used comes to the manager, and that the manager and the log are told.
func TestService_SaysInTheLogWhyItDoesNotStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "foyer-push.toml")
	if err := os.WriteFile(file, []byte("[sever]"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	a := &app{ctx: t.Context(), cli: &cli{Config: file}, out: io.Discard, errOut: &stderr}
	worked := false
	m := &managed{program: newProgram(a.ctx, func() error { return a.usable(true) }, func(context.Context) { worked = true })}
	err := a.manage(m)
	if code := a.fail(err); code != int(push.Misused) || worked || m.waiting || stderr.Len() > 0 {
		t.Errorf("the code is %d; it worked: %v", code, worked)
	}
	if len(m.log.said) != 1 || !strings.HasPrefix(m.log.said[0], "error foyer-push: ") || !strings.Contains(m.log.said[0], "there is no setting sever") {
		t.Errorf("the log says %q", m.log.said)
	}

	m = &managed{program: newProgram(a.ctx, func() error { return nil }, func(ctx context.Context) { worked = true; <-ctx.Done() })}
	if err := a.manage(m); err != nil || !worked || !m.waiting {
		t.Errorf("with settings that can be used: %v", err)
	}
}

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/kardianos/service"
)

type serviceCmd struct {
	Install   installCmd `cmd:"" help:"Set the service up, and start it with the machine."`
	Uninstall controlCmd `cmd:"" help:"Stop the service and take it out."`
	Start     controlCmd `cmd:"" help:"Start the service now."`
	Stop      controlCmd `cmd:"" help:"Stop the service."`
	Restart   controlCmd `cmd:"" help:"Stop it and start it."`
	Status    statusCmd  `cmd:"" help:"Say whether it runs."`
	Try       tryCmd     `cmd:"" hidden:"" help:"Say whether whoever runs this can use the settings; install asks so as the service's account."`
}

// settings are how the system knows the service.
func settings(arguments []string, user string) *service.Config {
	return &service.Config{
		Name: "foyer-push", DisplayName: "Foyer push", Description: "Sends the people of the directory to the address book of the visitor management.",
		Arguments: arguments, UserName: user,
		Option: service.KeyValue{
			"Restart": "on-failure", "OnFailure": "restart", "DelayedAutoStart": true, // a directory on the same machine starts first
		},
		Dependencies: dependencies(),
	}
}

// dependencies are what the network needs, as systemd and Windows call it.
func dependencies() []string {
	if service.Platform() == systemd {
		return []string{"After=network-online.target", "Wants=network-online.target"}
	}
	return nil
}

// controlCmd is a command that the system carries out.
type controlCmd struct{}

// Run starts, stops, restarts or uninstalls the service, as the command's name says.
func (c *controlCmd) Run(a *app, k *kong.Context) error {
	action := k.Selected().Name
	s, err := service.New(nothing{}, settings(nil, ""))
	if err != nil {
		return err
	}
	if action == "uninstall" {
		s.Stop() // it may not run
	}
	if err := service.Control(s, action); err != nil {
		return fmt.Errorf("%w; this needs the rights of an administrator, and the service to be installed; where it ended at once, its log says why: %s", err, whereLogged())
	}
	fmt.Fprintf(a.out, "Done: %s.\n", action)
	return nil
}

type statusCmd struct{}

// Run says whether the service runs.
func (c *statusCmd) Run(a *app) error {
	s, err := service.New(nothing{}, settings(nil, ""))
	if err != nil {
		return err
	}
	status, err := s.Status()
	if err != nil {
		return fmt.Errorf("the service: %w", err)
	}
	fmt.Fprintf(a.out, "The service foyer-push %s.\n", map[service.Status]string{service.StatusRunning: "runs", service.StatusStopped: "is stopped", service.StatusUnknown: "is in a state of which the system does not say more"}[status])
	return nil
}

// whereLogged says where what the service says can be read.
func whereLogged() string {
	switch service.Platform() {
	case windowsService:
		return "the event log, Application, source foyer-push"
	case systemd:
		return "journalctl -u foyer-push"
	}
	return "the log of the system"
}

// nothing is the program of a service that is only administered here.
type nothing struct{}

// Start implements service.Interface.
func (nothing) Start(service.Service) error { return nil }

// Stop implements service.Interface.
func (nothing) Stop(service.Service) error { return nil }

// program is what runs as a service: until the system says stop.
type program struct {
	ctx   context.Context
	stop  context.CancelFunc
	check func() error // before it counts as started
	work  func(context.Context)
	done  chan struct{}
}

// newProgram returns one that works until ctx is done at the latest.
func newProgram(ctx context.Context, check func() error, work func(context.Context)) *program {
	p := &program{check: check, work: work, done: make(chan struct{})}
	p.ctx, p.stop = context.WithCancel(ctx)
	return p
}

// Start implements service.Interface: it may not block.
func (p *program) Start(service.Service) error {
	if err := p.check(); err != nil {
		return err
	}
	go func() {
		defer close(p.done)
		p.work(p.ctx)
	}()
	return nil
}

// Stop implements service.Interface.
func (p *program) Stop(service.Service) error {
	p.stop()
	<-p.done
	return nil
}

// The platforms of which something is particular, as the library calls them.
const (
	windowsService = "windows-service"
	systemd        = "linux-systemd"
)

// serve runs work until it is interrupted, or, as a service of Windows, until the system says stop. What check says against it is an error before anything is done; as a service it is one only after the
// system's manager was told that the program is there, since the manager would wait for that, and then know nothing but that it did not come.
func (a *app) serve(check func() error, work func(context.Context)) error {
	if service.Interactive() || service.Platform() != windowsService { // others say stop by a signal, and read the log from where it is written
		if err := check(); err != nil {
			return err
		}
		work(a.ctx)
		return nil
	}
	s, err := service.New(newProgram(a.ctx, check, work), settings(nil, ""))
	if err != nil {
		return err
	}
	return a.manage(s)
}

// manage runs a service under the system's manager, and has what is said go to the system's log: also why it cannot start.
func (a *app) manage(s service.Service) error {
	logger, err := s.Logger(nil)
	if err != nil {
		return err
	}
	a.log = slog.New(slog.NewTextHandler(&systemLog{logger}, nil))
	a.errOut, a.out = &systemLog{logger}, io.Discard
	return s.Run()
}

// systemLog writes lines to the log of the system: the event log of Windows.
type systemLog struct{ service.Logger }

// Write implements io.Writer: one line at a time.
func (l *systemLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	switch {
	case strings.Contains(text, "level=ERROR"), strings.HasPrefix(text, "foyer-push:"):
		return len(line), l.Error(text)
	case strings.Contains(text, "level=WARN"):
		return len(line), l.Warning(text)
	}
	return len(line), l.Info(text)
}

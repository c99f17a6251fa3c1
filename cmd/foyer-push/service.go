package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/kardianos/service"

	"foyer/push"
)

type serviceCmd struct {
	Install   installCmd `cmd:"" help:"Set the service up, and start it with the machine."`
	Uninstall controlCmd `cmd:"" help:"Stop the service and take it out."`
	Start     controlCmd `cmd:"" help:"Start the service now."`
	Stop      controlCmd `cmd:"" help:"Stop the service."`
	Restart   controlCmd `cmd:"" help:"Stop it and start it."`
	Status    statusCmd  `cmd:"" help:"Say whether it runs."`
}

type installCmd struct {
	What  string `arg:"" enum:"ldap,csv" help:"What it sends: ldap, or csv (the files of the settings)."`
	Every every  `help:"How often." default:"24h" placeholder:"24h"`
	User  string `help:"The account that it runs as; it must be able to read the settings and secrets. Otherwise root, or Local System." placeholder:"NAME"`
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
	if service.Platform() == "linux-systemd" {
		return []string{"After=network-online.target", "Wants=network-online.target"}
	}
	return nil
}

// Run installs the service, if the settings can be used and the secrets be read.
func (c *installCmd) Run(a *app) error {
	config, err := push.Load(a.cli.Config, os.Getenv)
	if err != nil {
		return err
	}
	if c.What == "ldap" && len(config.Directories) == 0 {
		return &push.Error{Outcome: push.Misused, Message: "there is no [[directory]] in the settings to send"}
	}
	if variables := config.Environment(c.What == "ldap"); len(variables) > 0 {
		return &push.Error{Outcome: push.Misused, Message: "a service has not your environment, so put what is in " + strings.Join(variables, " and ") + " into files: secret_file, password_file"}
	}
	path, err := filepath.Abs(a.cli.Config)
	if err != nil {
		return err
	}
	s, err := service.New(nothing{}, settings([]string{"--config", path, c.What, "--every", time.Duration(c.Every).String()}, c.User))
	if err != nil {
		return err
	}
	if err := s.Install(); err != nil {
		return fmt.Errorf("install the service: %w; this needs the rights of an administrator", err)
	}
	fmt.Fprintf(a.out, "Installed the service foyer-push (%s): %s every %v, with the settings %s.\nStart it now: foyer-push service start\n", s.Platform(), c.What, time.Duration(c.Every), path)
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
		return fmt.Errorf("%w; this needs the rights of an administrator, and the service to be installed", err)
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
	fmt.Fprintf(a.out, "The service foyer-push %s.\n", map[service.Status]string{service.StatusRunning: "runs", service.StatusStopped: "is stopped"}[status])
	return nil
}

// nothing is the program of a service that is only administered here.
type nothing struct{}

// Start implements service.Interface.
func (nothing) Start(service.Service) error { return nil }

// Stop implements service.Interface.
func (nothing) Stop(service.Service) error { return nil }

// program is what runs as a service: until the system says stop.
type program struct {
	ctx  context.Context
	stop context.CancelFunc
	work func(context.Context)
	done chan struct{}
}

// Start implements service.Interface: it may not block.
func (p *program) Start(service.Service) error {
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

// serve runs work until it is interrupted, or, as a service, until the system says stop.
func (a *app) serve(work func(context.Context)) error {
	if service.Interactive() || service.Platform() == "linux-systemd" { // systemd says stop by a signal, and reads the log from where it is written
		work(a.ctx)
		return nil
	}
	ctx, stop := context.WithCancel(a.ctx)
	s, err := service.New(&program{ctx: ctx, stop: stop, work: work, done: make(chan struct{})}, settings(nil, ""))
	if err != nil {
		return err
	}
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

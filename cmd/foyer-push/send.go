package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"foyer/push"
)

// sending are the flags of the commands that send.
type sending struct {
	schedule
	DryRun bool   `help:"Ask the server what it would do, and change nothing." name:"dry-run"`
	Out    string `help:"Write what would be sent into this file instead of sending it; of several keys: one file each." placeholder:"FILE"`
}

type csvCmd struct {
	File string `arg:"" optional:"" help:"The file; otherwise those of the settings." type:"path"`
	Key  string `help:"The key to send it with, by name, site or id, where the settings have several." placeholder:"NAME"`
	sending
}

// Run sends a file.
func (c *csvCmd) Run(a *app) error {
	return a.send(c.sending, false, func(_ context.Context, config *push.Config, _ *meter) ([]*push.File, error) {
		return push.FromCSV(config, c.File, c.Key)
	})
}

type ldapCmd struct {
	sending
}

// Run sends the people of the directories.
func (c *ldapCmd) Run(a *app) error {
	return a.send(c.sending, true, func(ctx context.Context, config *push.Config, m *meter) ([]*push.File, error) {
		return push.FromDirectories(ctx, config, a.log, m.read)
	})
}

// maker makes the files to send.
type maker func(context.Context, *push.Config, *meter) ([]*push.File, error)

// send makes the files, of directories or not, and sends them, once or on a schedule.
func (a *app) send(s sending, directories bool, files maker) error {
	if s.Every == 0 {
		return a.sendOnce(a.ctx, s, files)
	}
	if s.Out != "" || s.DryRun {
		return &push.Error{Outcome: push.Misused, Message: "--every goes with neither --out nor --dry-run"}
	}
	return a.serve(func() error { return a.usable(directories) }, func(ctx context.Context) {
		push.Every(ctx, time.Duration(s.Every), a.log, func(ctx context.Context) push.Outcome {
			err := a.sendOnce(ctx, s, files)
			said, ok := errors.AsType[outcomeError](err)
			if ok {
				return push.Outcome(said)
			}
			if err != nil && ctx.Err() == nil {
				a.log.Error(err.Error(), "outcome", push.OutcomeOf(err).String())
			}
			return push.OutcomeOf(err)
		})
	})
}

// usable returns an error unless the settings and secrets can be used.
func (a *app) usable(directories bool) error {
	config, err := push.Load(a.cli.Config, os.Getenv)
	if err != nil {
		return err
	}
	return config.Usable(directories)
}

// sendOnce reads the settings, so that what was changed in them counts, makes the files and sends them.
func (a *app) sendOnce(ctx context.Context, s sending, files maker) error {
	config, err := push.Load(a.cli.Config, os.Getenv)
	if err != nil {
		return err
	}
	m := a.newMeter()
	made, err := files(ctx, config, m)
	m.done()
	if err != nil {
		return err
	}
	if s.Out != "" {
		return a.write(s.Out, made)
	}
	client, err := push.NewClient(config, a.log, m.sent)
	if err != nil {
		return err
	}
	sent, worst, err := push.Send(ctx, config, client, made, s.DryRun)
	m.done()
	for _, one := range sent {
		a.report(one, len(made) > 1)
	}
	if err == nil && worst != push.Applied {
		err = outcomeError(worst)
	}
	return err
}

// report says what became of a file: for a person, and elsewhere in the log too.
func (a *app) report(s push.Sent, several bool) {
	if s.Err != nil {
		fmt.Fprintf(a.errOut, "foyer-push: %v\n", s.Err)
		a.log.Error("not sent", "key", s.File.Key.Name, "outcome", s.Outcome().String())
		return
	}
	if several {
		fmt.Fprintf(a.out, "--- %s\n", s.File.Key.Name)
	}
	fmt.Fprint(a.out, s.Reply.Text())
	r, level := s.Reply, slog.LevelInfo
	if s.Outcome() == push.Held {
		level = slog.LevelWarn // somebody has to do something
	}
	what, outcome := "sent", s.Outcome().String()
	if r.Run == "" {
		what, outcome = "dry run", "would be "+outcome
	}
	a.log.Log(a.ctx, level, what, "key", s.File.Key.Name, "outcome", outcome, "run", r.Run, "people", s.File.Rows, "bytes", len(s.File.CSV),
		"added", r.Added, "updated", r.Updated, "disabled", r.Disabled, "enabled", r.Enabled, "unchanged", r.Unchanged, "skipped", r.Skipped, "errors", r.Errors)
}

// write writes the files where only their owner can read them, since they are about people.
func (a *app) write(name string, files []*push.File) error {
	for i, f := range files {
		target := name
		if len(files) > 1 {
			ending := filepath.Ext(name)
			target = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(name, ending), i+1, ending)
		}
		if err := writeAnew(target, f.CSV); err != nil {
			return fmt.Errorf("write what would be sent: %w", err)
		}
		fmt.Fprintf(a.out, "Wrote what would be sent with the key %s to %s: %d people, %d bytes. Nothing was sent.\n", f.Key.Name, target, f.Rows, len(f.CSV))
	}
	return nil
}

// writeAnew writes a file that only its owner can read. One that is there already may be open to others, or lead elsewhere, and makes way.
func writeAnew(name string, content []byte) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

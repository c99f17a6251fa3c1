package main

import (
	"fmt"
	"os"
	"runtime/debug"
)

type backupCmd struct {
	To string `arg:"" help:"The file to write; it must not exist." type:"path"`
}

// Run copies the database.
func (c *backupCmd) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	if err := o.Backup(a.ctx, o.operator, c.To); err != nil {
		return err
	}
	info, err := os.Stat(c.To)
	if err != nil {
		return err
	}
	return a.said(map[string]any{"file": c.To, "bytes": info.Size()},
		"Copied the database to %s (%d bytes). It holds personal data: keep it as you keep the original, and keys/ elsewhere.\nTo restore: stop the server, put the file back as foyer.db without foyer.db-wal and foyer.db-shm beside it, and keys/ as they were.", c.To, info.Size())
}

type versionCmd struct{}

// Run prints the version.
func (c *versionCmd) Run(a *app) error {
	version, revision := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	return a.said(map[string]string{"version": version, "revision": revision}, "foyer %s", fmt.Sprintf("%s (%s)", version, revision))
}

package main

import (
	"fmt"
	"runtime/debug"
)

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

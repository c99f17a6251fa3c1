package main

import (
	"fmt"
	"os"
	"strings"

	"foyer/push"
)

type doctorCmd struct {
	File string `arg:"" optional:"" help:"A CSV file to try; otherwise what the settings say: directories, and files of keys." type:"path"`
	Key  string `help:"The key to try it with, where the settings have several." placeholder:"NAME"`
}

// Run looks at everything on the way, and changes nothing.
func (c *doctorCmd) Run(a *app) error {
	outcome := push.Doctor(a.ctx, push.DoctorConfig{File: a.cli.Config, Getenv: os.Getenv, CSV: c.File, Key: c.Key, Log: a.log, Report: a.check})
	if err := a.ctx.Err(); err != nil {
		return err
	}
	if outcome != push.Applied {
		fmt.Fprintln(a.out, "\nSomething is in the way: see FAIL above. Nothing was changed.")
		return outcomeError(outcome)
	}
	fmt.Fprintln(a.out, "\nAll is well. Nothing was changed.")
	return nil
}

// check prints a step.
func (a *app) check(c push.Check) {
	state, said := "ok  ", c.Said
	switch {
	case c.Needed != "":
		state, said = "skip", "not looked at: it needs "+c.Needed
	case c.Err != nil:
		state, said = "FAIL", c.Err.Error()
	}
	const column = 24
	first, rest, more := strings.Cut(said, "\n")
	fmt.Fprintf(a.out, "%s  %-*s  %s\n", state, column, c.Name, first)
	if more {
		indent := strings.Repeat(" ", len(state)+2+column+2)
		fmt.Fprintln(a.out, indent+strings.ReplaceAll(rest, "\n", "\n"+indent))
	}
}

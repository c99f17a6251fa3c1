package main

import "embed"

//go:embed example/*.toml
var examples embed.FS

type exampleCmd struct {
	Kind string `arg:"" optional:"" enum:"ad,ldap,csv" default:"ad" help:"Of what: ad, ldap or csv; ad unless given."`
}

// Run prints settings to begin with.
func (c *exampleCmd) Run(a *app) error {
	text, err := examples.ReadFile("example/" + c.Kind + ".toml")
	if err != nil {
		return err
	}
	_, err = a.out.Write(text)
	return err
}

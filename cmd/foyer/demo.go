package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"

	"foyer"
	"foyer/script"
	"foyer/store"
)

//go:embed demo/monday.csv
var mondayCSV []byte

//go:embed demo/tuesday.csv
var tuesdayCSV []byte

//go:embed demo/thursday.csv
var thursdayCSV []byte

type demoCmd struct {
	Listen string `help:"Address and port to listen on." default:"127.0.0.1:8443" placeholder:"ADDR"`
	Once   bool   `help:"Exit after it; the exit code is 0 when all went well."`
}

// Run shows the main job on a real server, and keeps it running.
func (c *demoCmd) Run(a *app) error {
	a.log = slog.New(slog.NewTextHandler(a.errOut, &slog.HandlerOptions{Level: slog.LevelWarn}))
	a.cli.Database = "" // the demonstration is one of one machine
	if a.cli.Data == "" {
		dir, err := os.MkdirTemp("", "foyer-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		a.cli.Data = dir
	}
	o, err := a.openOrMake()
	if err != nil {
		return err
	}
	defer o.Close()
	defer o.authority.Close()
	if err := c.onlyDemos(a, o); err != nil {
		return err
	}
	i, err := a.start(o, &serveCmd{Listen: c.Listen})
	if err != nil {
		return fmt.Errorf("%w\nanother address: foyer demo --listen 127.0.0.1:0", err)
	}
	ctx, stop := context.WithCancel(a.ctx)
	ended := make(chan error, 1)
	go func() { ended <- i.serve(ctx) }()
	err = a.demonstrate(o, i, c.Once)
	if err == nil && !c.Once {
		a.printf("\nThe server keeps running; Ctrl-C ends it.")
		err = <-ended
		stop()
		return err
	}
	stop()
	return errors.Join(err, <-ended)
}

// onlyDemos refuses an installation that is used for more than demonstrations: what the demonstration makes cannot be removed again.
func (c *demoCmd) onlyDemos(a *app, o *opened) error {
	orgs, err := o.Orgs(a.ctx, o.operator)
	for _, org := range orgs {
		if org.Slug != "demo" {
			return foyer.Errorf(foyer.Conflict, "the installation in %s is in use (organization %s): show it elsewhere, with --data DIR, or with FOYER_DATA unset", a.cli.Data, org.Slug)
		}
	}
	return err
}

// demonstrate makes an organization and does for some nights what a customer's script does.
func (a *app) demonstrate(o *opened, i *instance, once bool) error {
	customer, org, err := a.demoCustomer(o, i)
	if err != nil {
		return err
	}
	a.printf("Foyer listens on %s, with its data in %s\n", i.url, a.cli.Data)
	for _, day := range []struct {
		title  string
		file   []byte
		status int
	}{
		{"Monday night: the script gets a token and sends the sample file", mondayCSV, 200},
		{"Tuesday night: Rob was promoted, Ann left, Zoe is new, and one row has a site that does not exist", tuesdayCSV, 200},
		{"Wednesday night: the same file again", tuesdayCSV, 200},
		{"Thursday night: somebody broke the filter of the export, and nearly everybody is missing", thursdayCSV, 202},
	} {
		a.printf("--- %s\n\n%s", day.title, indent(string(day.file)))
		reply, err := customer.Upload(day.file, nil)
		if err != nil {
			return err
		}
		a.printf("The server answers %d:\n\n%s", reply.Status, indent(reply.Body))
		if reply.Status != day.status {
			return fmt.Errorf("the server answered %d", reply.Status)
		}
	}
	a.printf("--- The address book now\n")
	if err := (&entryListCmd{orgFlag: orgFlag{org.Slug}}).Run(a); err != nil {
		return err
	}
	if once {
		return nil
	}
	a.printf("\nLook further, in another terminal:")
	program := "foyer"
	if _, err := exec.LookPath(program); err != nil {
		program = "go run ./cmd/foyer"
	}
	for _, command := range []string{"run list", "run show R-2", "entry show rob.jones@test.com", "run show R-4", "run reject R-4", "run undo R-2 --dry-run", "key list"} {
		a.printf("  %s %s --data %s --org %s", program, command, a.cli.Data, org.Slug)
	}
	a.printf("Send a file yourself:")
	a.printf("  curl --cacert %s %s/auth/connect/token -d 'grant_type=client_credentials&client_id=%s&client_secret=%s'", i.certs.CAFile(), i.url, customer.ClientID, customer.ClientSecret)
	a.printf("  curl --cacert %s -H \"Authorization: Bearer THE_TOKEN\" -F file=@staff.csv %s/addressbook/uploadcsv", i.certs.CAFile(), i.url)
	return nil
}

// demoCustomer makes an organization with two sites and a key, and the script that uses it.
func (a *app) demoCustomer(o *opened, i *instance) (*script.Script, foyer.Org, error) {
	org, err := o.CreateOrg(a.ctx, o.operator, "Demo", "CA")
	if foyer.KindOf(err) == foyer.Conflict { // of an earlier demonstration in the same folder
		org, err = o.FindOrg(a.ctx, o.operator, "demo")
	}
	if err != nil {
		return nil, org, err
	}
	for _, site := range []foyer.Site{{Name: "Toronto"}, {Name: "Montréal", Aliases: []string{"MTL"}}} {
		if _, err := o.CreateSite(a.ctx, o.operator, org.ID, site); err != nil && foyer.KindOf(err) != foyer.Conflict {
			return nil, org, err
		}
	}
	made := o.authority.NewCredentials(org.ID)
	if _, _, err := o.CreateKey(a.ctx, o.operator, org.ID, store.NewKey{ID: made.ID, SecretMAC: made.SecretMAC, Name: "demo", Scopes: foyer.ScopeSync}); err != nil {
		return nil, org, err
	}
	client, err := script.Trust(i.certs.CAFile())
	return &script.Script{URL: i.url, ClientID: string(made.ID), ClientSecret: made.Secret, Client: client}, org, err
}

// indent sets a text off from what is said about it.
func indent(text string) string {
	text = strings.ReplaceAll(strings.TrimRight(text, "\r\n"), "\r", "")
	return "    " + strings.ReplaceAll(text, "\n", "\n    ") + "\n"
}

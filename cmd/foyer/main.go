// Command foyer keeps the address books of visitor management in step with the directories of the organizations that use it.
//
// It is the server (serve), the administration on the server's machine (org, site, source, key, entry, run, alert), and a
// demonstration of all that (demo). Configuration is read here and nowhere else: flags, and environment variables named FOYER_….
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"foyer"
	"foyer/oauth"
	"foyer/store"
	"foyer/vault"
)

// cli is the command line.
type cli struct {
	Data     string `help:"Folder of the database, certificates and keys; foyer-data unless given, for the demo a temporary one." env:"FOYER_DATA" placeholder:"DIR"`
	Database string `help:"Database of PostgreSQL, which many servers share; SQLite in the data folder unless given. The password may be in PGPASSFILE or PGPASSWORD." env:"FOYER_DATABASE" placeholder:"postgres://USER@HOST/NAME"`
	JSON     bool   `help:"Print one JSON document instead of text." name:"json" env:"FOYER_JSON"`

	Demo    demoCmd    `cmd:"" help:"Show it: start a server, send the sample file as a customer's script does, print the replies."`
	Serve   serveCmd   `cmd:"" help:"Run the server."`
	Org     orgCmd     `cmd:"" help:"Organizations: the customers, each with an address book of its own."`
	Site    siteCmd    `cmd:"" help:"Sites: the locations of an organization."`
	Source  sourceCmd  `cmd:"" help:"Sources: the feeds into an organization's book."`
	Key     keyCmd     `cmd:"" help:"Keys: the client ids and secrets that the customers' scripts use."`
	Script  scriptCmd  `cmd:"" help:"Make the PowerShell script with which a customer syncs from Active Directory."`
	Entra   entraCmd   `cmd:"" help:"Microsoft Entra ID: tenants that are connected by a link, and read."`
	Entry   entryCmd   `cmd:"" help:"Entries: the people in an address book."`
	Run     runCmd     `cmd:"" help:"Runs: what each sync did; approve, reject and undo them."`
	Sync    syncCmd    `cmd:"" help:"Apply a file on this machine as if it had been sent, or try it."`
	Vault   vaultCmd   `cmd:"" help:"The keys under which is encrypted what held runs keep."`
	Audit   auditCmd   `cmd:"" help:"The audit: who did what, from where, and that nobody altered it."`
	Alert   alertCmd   `cmd:"" help:"Alerts: what somebody should look at."`
	Migrate migrateCmd `cmd:"" help:"Bring the database's schema up to date; each server does so too when it starts, where its role may."`
	Copy    copyCmd    `cmd:"" help:"Move an installation from its data folder to PostgreSQL."`
	Backup  backupCmd  `cmd:"" help:"Copy the database, also while the server runs; encrypted if wanted."`
	Restore restoreCmd `cmd:"" help:"Put a backup in the place of the database, or check that it could be."`
	Version versionCmd `cmd:"" help:"Print the version."`
	Bench   benchCmd   `cmd:"" hidden:"" help:"Measure syncs beside the sqlite3 command."`
}

// app is what the commands run with.
type app struct {
	ctx    context.Context
	cli    *cli
	out    io.Writer
	errOut io.Writer
	log    *slog.Logger
}

// opened is the data folder, opened.
type opened struct {
	*store.Store
	vault     *vault.Vault
	authority *oauth.Authority
	operator  foyer.Caller
}

func main() {
	// A first load of a million people holds 110 MiB; with Go's default it would need twice that.
	debug.SetGCPercent(50)
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run carries out one command line and returns the exit code: 0 done, 1 it failed, 2 the command line is wrong, 3 the run
// waits for a person to decide, 130 interrupted.
func run(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	exit := -1
	parser, err := kong.New(&c, kong.Name("foyer"),
		kong.Description("Foyer keeps the address book of a visitor-management system in step with each customer's directory.\n\nStart with: foyer demo"),
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Writers(out, errOut), kong.Exit(func(code int) { exit = code }))
	if err != nil {
		fmt.Fprintln(errOut, "foyer:", err)
		return 1
	}
	k, err := parser.Parse(args)
	if exit >= 0 {
		return exit // it was asked for help
	}
	if err != nil {
		fmt.Fprintf(errOut, "foyer: %v\nfoyer --help shows the commands; foyer COMMAND --help what one takes\n", err)
		return 2
	}
	a := &app{ctx: ctx, cli: &c, out: out, errOut: errOut, log: slog.New(slog.NewTextHandler(errOut, nil))}
	defer context.AfterFunc(ctx, func() {
		stop() // whoever interrupts it once more means it
		time.Sleep(interruptPause)
		if k.Command() != "serve" {
			fmt.Fprintln(errOut, "foyer: interrupted; what is being written goes on to its end. Interrupt it once more, and it ends now, with nothing of it written")
		}
	})()
	if err := k.Run(a); err != nil {
		return a.fail(err)
	}
	return 0
}

// interruptPause is for how long a command that was interrupted may end before it says why it goes on.
const interruptPause = 300 * time.Millisecond

// fail tells the user of an error, unless all was said. What underlies it is shown too: it is the operator's own machine.
func (a *app) fail(err error) int {
	if errors.Is(err, context.Canceled) {
		return 130
	}
	if _, held := errors.AsType[heldError](err); held {
		return exitHeld
	}
	if known, ok := errors.AsType[*foyer.Error](err); ok && known.Err == nil {
		err = known
	}
	if a.cli.JSON {
		a.json(map[string]string{"error": err.Error()})
	} else {
		fmt.Fprintln(a.errOut, "foyer:", err)
	}
	return 1
}

// open opens the data folder for a command. A folder without an installation is an error, so that a slip of the keyboard makes none.
func (a *app) open() (*opened, error) {
	if a.cli.Database == "" {
		if err := a.installed(); err != nil {
			return nil, err
		}
	}
	return a.openOrMake()
}

// data returns the data folder.
func (a *app) data() string {
	if a.cli.Data == "" {
		a.cli.Data = "foyer-data"
	}
	return a.cli.Data
}

// installed returns an error where the data folder has no installation.
func (a *app) installed() error {
	if err := a.notMoved(); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(a.data(), "foyer.db")); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no installation in %s; give --data DIR or --database URL, or make one: foyer org create NAME", a.data())
	}
	return nil
}

// notMoved returns an error where the installation of the data folder was moved to PostgreSQL: in its place an empty one would be made, in which no customer's key works.
func (a *app) notMoved() error {
	path := filepath.Join(a.data(), "foyer.db")
	if _, err := os.Stat(path); a.cli.Database != "" || !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	aside, err := filepath.Glob(path + ".copied-*")
	if err != nil || len(aside) == 0 {
		return err
	}
	return fmt.Errorf("the installation in %s was moved to PostgreSQL by foyer copy: give --database, or FOYER_DATABASE. To go back to what it was before, name %s foyer.db again", a.data(), aside[len(aside)-1])
}

// openOrMake is open for the commands that begin: it makes what is missing.
func (a *app) openOrMake() (*opened, error) {
	if err := a.notMoved(); err != nil {
		return nil, err
	}
	made := a.missingKeys()
	v, err := a.openVault()
	if err != nil {
		return nil, err
	}
	o, err := a.openStore(a.ctx, v)
	if errors.Is(err, store.ErrOtherKeys) {
		for _, path := range made { // they belong to nothing, and would be taken for the right ones
			err = errors.Join(err, os.Remove(path))
		}
	}
	return o, err
}

// missingKeys returns the files of keys that opening the vault is going to make.
func (a *app) missingKeys() (missing []string) {
	for variable, file := range map[string]string{"FOYER_PEPPER": "pepper", "FOYER_AT_REST": "at-rest"} {
		path := filepath.Join(a.data(), "keys", file)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && os.Getenv(variable) == "" {
			missing = append(missing, path)
		}
	}
	return missing
}

// openVault takes the pepper and the keys at rest from FOYER_PEPPER and FOYER_AT_REST, else from the data folder.
func (a *app) openVault() (*vault.Vault, error) {
	return vault.Open(vault.Config{Dir: a.data(), Pepper: os.Getenv("FOYER_PEPPER"), AtRest: os.Getenv("FOYER_AT_REST")})
}

// operatorName is who works at the command line, for the log of what was done.
func operatorName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}

// eachOrg opens the data folder and calls fn with the organization of that name, slug or id; with all of them, by slug, where name is "".
func (a *app) eachOrg(name string, fn func(*opened, foyer.Org) error) error {
	if name != "" {
		return a.withOrg(name, fn)
	}
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	orgs, err := o.Orgs(a.ctx, o.operator)
	for _, org := range orgs {
		if err == nil {
			err = fn(o, org)
		}
	}
	return err
}

// withOrg opens the data folder and calls fn with the organization of that name, slug or id.
func (a *app) withOrg(name string, fn func(*opened, foyer.Org) error) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	org, err := o.FindOrg(a.ctx, o.operator, name)
	if err != nil {
		return err
	}
	return fn(o, org)
}

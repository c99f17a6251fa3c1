// Command foyer-push runs on a customer's machine and sends the people of its directories, or a CSV file, to a Foyer server.
//
// It needs one file of settings; docs/push.md describes all of them. The settings, the flags and the environment are read here and in
// push.Load, and nowhere else.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"foyer"
	"foyer/push"
)

// cli is the command line.
type cli struct {
	Config  string `help:"File of the settings; foyer-push.toml in this folder unless given." default:"foyer-push.toml" env:"FOYER_PUSH_CONFIG" placeholder:"FILE" short:"c"`
	Verbose bool   `help:"Log on a terminal too what is logged elsewhere." short:"v"`

	CSV     csvCmd     `cmd:"" name:"csv" help:"Send a CSV file."`
	LDAP    ldapCmd    `cmd:"" name:"ldap" help:"Send the people of the directories: Active Directory, OpenLDAP."`
	Doctor  doctorCmd  `cmd:"" help:"Check everything on the way, one after the other, and say what to do."`
	Service serviceCmd `cmd:"" help:"Run as a service of this machine: systemd, Windows."`
	Example exampleCmd `cmd:"" help:"Print settings to begin with."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// app is what the commands run with.
type app struct {
	ctx      context.Context
	cli      *cli
	out      io.Writer
	errOut   io.Writer
	log      *slog.Logger
	terminal bool // a person looks at errOut
}

// exitInterrupted is the exit code after Ctrl-C.
const exitInterrupted = 130

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run carries out one command line and returns the exit code: a push.Outcome, or exitInterrupted.
func run(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	exit := -1
	parser, err := kong.New(&c, kong.Name("foyer-push"),
		kong.Description("foyer-push sends the people of your directory to the address book of your visitor management. You decide what leaves this machine.\n\nStart with: foyer-push example"),
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Writers(out, errOut), kong.Exit(func(code int) { exit = code }))
	if err != nil {
		fmt.Fprintln(errOut, "foyer-push:", err)
		return int(push.Failed)
	}
	k, err := parser.Parse(args)
	if exit >= 0 {
		return exit // it was asked for help
	}
	if err != nil {
		fmt.Fprintf(errOut, "foyer-push: %v\nfoyer-push --help shows the commands; foyer-push COMMAND --help what one takes\n", err)
		return int(push.Misused)
	}
	a := &app{ctx: ctx, cli: &c, out: out, errOut: errOut, terminal: isTerminal(errOut)}
	level := slog.LevelInfo
	if a.terminal && !c.Verbose {
		level = slog.LevelWarn
	}
	a.log = slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: level}))
	if err := k.Run(a); err != nil {
		return a.fail(err)
	}
	return int(push.Applied)
}

// outcomeError ends a command with an outcome of which all was said.
type outcomeError push.Outcome

// Error implements error.
func (e outcomeError) Error() string { return push.Outcome(e).String() }

// fail tells the user of an error, unless all was said, and returns the exit code.
func (a *app) fail(err error) int {
	if errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	if said, ok := errors.AsType[outcomeError](err); ok {
		return int(said)
	}
	fmt.Fprintln(a.errOut, "foyer-push:", err)
	return int(push.OutcomeOf(err))
}

// isTerminal tells whether a person looks at what is written there.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// schedule is when a command runs.
type schedule struct {
	Every every `help:"Stay, and send again and again: 24h, 12h. Otherwise once." placeholder:"24h"`
}

// every is an interval on the command line.
type every time.Duration

// The shortest and longest interval at which to send.
const (
	shortest = time.Minute
	longest  = 31 * 24 * time.Hour
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *every) UnmarshalText(text []byte) error {
	d, err := foyer.ParseDuration(string(text))
	if err == nil && (d < shortest || d > longest) {
		err = fmt.Errorf("the shortest interval is 1m, the longest 31d; once a day is what is recommended")
	}
	*e = every(d)
	return err
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
	fmt.Fprintf(a.out, "foyer-push %s (%s)\n", version, revision)
	return nil
}

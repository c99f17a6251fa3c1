package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kardianos/service"

	"foyer/push"
)

type installCmd struct {
	What  string `arg:"" enum:"ldap,csv" help:"What it sends: ldap, or csv (the files of the settings)."`
	Every every  `help:"How often." default:"24h" placeholder:"24h"`
	User  string `help:"The account that it runs as; it must be able to read the settings and secrets. Otherwise root, or Local System. On Windows a group managed service account (DOMAIN\\name$), LocalService or NetworkService." placeholder:"NAME"`
}

// misused is an error of the command line or the settings.
func misused(format string, args ...any) error {
	return &push.Error{Outcome: push.Misused, Message: fmt.Sprintf(format, args...)}
}

// Run installs the service, if the settings can be used and the secrets be read, by the account that it is to run as.
func (c *installCmd) Run(a *app) error {
	config, err := push.Load(a.cli.Config, os.Getenv)
	if err != nil {
		return err
	}
	directories := c.What == "ldap"
	if err := c.check(config); err != nil {
		return err
	}
	account, err := accountFor(runtime.GOOS, c.User)
	if err != nil {
		return err
	}
	path, err := filepath.Abs(a.cli.Config)
	if err != nil {
		return err
	}
	if err := config.Usable(directories); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := push.Unchangeable(program); err != nil {
		return misused("%v", err)
	}
	if err := tryAs(account, c.What, path, config.Files(directories)); err != nil {
		return err
	}
	arguments := []string{"--config", path, c.What, "--every", time.Duration(c.Every).String()}
	s, err := service.New(nothing{}, settings(quoted(service.Platform(), arguments), account))
	if err != nil {
		return err
	}
	if err := installWhole(s, units[s.Platform()]); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "Installed the service foyer-push (%s): %s every %v, with the settings %s.\nStart it now: foyer-push service start\n", s.Platform(), c.What, time.Duration(c.Every), path)
	return nil
}

// check returns an error where a service would have nothing to send, or lack a secret.
func (c *installCmd) check(config *push.Config) error {
	directories := c.What == "ldap"
	if directories && len(config.Directories) == 0 {
		return misused("there is no [[directory]] in the settings to send")
	}
	if !directories && !slices.ContainsFunc(config.Keys, func(k push.Key) bool { return k.CSV != "" }) {
		return misused("no [[key]] of the settings has a csv to send")
	}
	if variables := config.Environment(directories); len(variables) > 0 {
		return misused("a service has not your environment, so put what is in %s into files: secret_file, password_file", strings.Join(variables, " and "))
	}
	return nil
}

// accountFor returns the account of a service as a system wants it, "" for the one that is usual there. Of Windows it is one that needs no password: none is taken here, where others would see it.
func accountFor(system, user string) (string, error) {
	if system != "windows" {
		return user, nil
	}
	bare := user[strings.LastIndex(user, `\`)+1:]
	switch strings.ToLower(strings.ReplaceAll(bare, " ", "")) {
	case "", "system", "localsystem":
		return "", nil
	case "localservice":
		return `NT AUTHORITY\LocalService`, nil
	case "networkservice":
		return `NT AUTHORITY\NetworkService`, nil
	}
	if strings.HasSuffix(bare, "$") && len(bare) > 1 && strings.Contains(strings.Trim(user, `\`), `\`) {
		return user, nil
	}
	return "", misused(`a service of Windows that runs as %s needs that account's password, which is not given here. Take a group managed service account, whose password Windows knows: --user 'DOMAIN\name$', with the domain. `+
		`Or LocalService or NetworkService. Or install it without --user, and then choose the account in services.msc, Foyer push, Log On, where the password is asked for`, user)
}

// quoted returns arguments as a system reads them: systemd takes % and $ for more than they are.
func quoted(platform string, arguments []string) []string {
	if platform != systemd {
		return arguments
	}
	var all []string
	for _, a := range arguments {
		all = append(all, strings.NewReplacer("%", "%%", "$", "$$", `\`, `\\`).Replace(a))
	}
	return all
}

// units are the files into which systems have a service written.
var units = map[string]string{
	systemd: "/etc/systemd/system/foyer-push.service", "linux-upstart": "/etc/init/foyer-push.conf", "linux-openrc": "/etc/init.d/foyer-push", "linux-rcs": "/etc/init.d/foyer-push",
	"unix-systemv": "/etc/init.d/foyer-push", "darwin-launchd": "/Library/LaunchDaemons/foyer-push.plist",
}

// installer is what is needed of a service to install it.
type installer interface {
	Install() error
	Uninstall() error
	Status() (service.Status, error) // service.ErrNotInstalled where it is not there
}

// installWhole installs a service, and takes out again what there is of it where that fails halfway. One that is there already stays as it is, and is an error. unit is the file that describes it, if it has one.
func installWhole(s installer, unit string) error {
	_, err := s.Status()
	if err == nil || exists(unit) {
		return misused("the service is installed already; to install it anew: foyer-push service uninstall")
	}
	anew := errors.Is(err, service.ErrNotInstalled)
	if err = s.Install(); err == nil {
		return nil
	}
	err = fmt.Errorf("install the service: %w; this needs the rights of an administrator", err)
	if anew {
		s.Uninstall() // what of it is there
	}
	if exists(unit) {
		if left := os.Remove(unit); left != nil {
			return fmt.Errorf("%w; take out what is left of it: %w", err, left)
		}
	}
	return err
}

// exists tells whether there is a file of that name.
func exists(name string) bool {
	if name == "" {
		return false
	}
	_, err := os.Lstat(name)
	return err == nil
}

type tryCmd struct {
	What string `arg:"" enum:"ldap,csv"`
}

// Run says whether the settings and secrets can be used.
func (c *tryCmd) Run(a *app) error { return a.usable(c.What == "ldap") }

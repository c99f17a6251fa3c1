//go:build !windows

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// tryAs returns an error where the program could not use its settings as another account: it is run as that account. "" stands for root. Who is not root cannot try, nor install.
func tryAs(account, what, settings string, _ []string) error {
	program, err := os.Executable()
	if account == "" || err != nil {
		return err
	}
	return runAs(account, program, "service", "try", what, "--config", settings)
}

// runAs runs a program as another account, and returns what it says against it.
func runAs(account, program string, args ...string) error {
	credential, err := credentialOf(account)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", []string{"PATH=" + os.Getenv("PATH")}, &syscall.SysProcAttr{Credential: credential}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) {
		return misused("%s may not run %s: put the program where everybody may, such as /usr/local/bin", account, program)
	}
	if err != nil {
		said := strings.TrimPrefix(strings.TrimSpace(string(out)), "foyer-push: ")
		return misused("the service, as %s, could not use its settings: %s; what it reads must be readable by %s, and the secrets by nobody else: chown %s", account, said, account, account)
	}
	return nil
}

// credentialOf returns the numbers of an account and its groups, as id(1) knows them, also where accounts are in a directory.
func credentialOf(account string) (*syscall.Credential, error) {
	id := func(flag string) ([]uint32, error) {
		out, err := exec.Command("id", flag, "--", account).Output()
		if err != nil {
			return nil, misused("there is no account %s on this machine", account)
		}
		var all []uint32
		for _, field := range strings.Fields(string(out)) {
			n, err := strconv.ParseUint(field, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("find the account %s: %w", account, err)
			}
			all = append(all, uint32(n))
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("find the account %s: id said nothing", account)
		}
		return all, nil
	}
	user, err := id("-u")
	if err != nil {
		return nil, err
	}
	group, err := id("-g")
	if err != nil {
		return nil, err
	}
	groups, err := id("-G")
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: user[0], Gid: group[0], Groups: groups}, nil
}

//go:build !windows

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"foyer/push"
)

// TestInstall_IsTriedAsTheAccount holds that a service is not installed for an account that cannot read its settings or secrets, or run the program.
func TestInstall_IsTriedAsTheAccount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this takes root, who alone can try as another")
	}
	if err := runAs("no-such-account", "/bin/true"); err == nil || !strings.Contains(err.Error(), "there is no account no-such-account") {
		t.Errorf("an account that is not there: %v", err)
	}
	program, err := exec.LookPath("foyer-push")
	if err != nil {
		t.Fatal(err)
	}
	if err := runAs("nobody", program, "version"); err == nil || !strings.Contains(err.Error(), "may not run") {
		t.Errorf("a program out of reach: %v", err)
	}
	dir, err := os.MkdirTemp("", "foyer-push-open-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	settings, secret, program := filepath.Join(dir, "foyer-push.toml"), filepath.Join(dir, "key.secret"), filepath.Join(dir, "foyer-push")
	for name, content := range map[string]string{program: string(binary), secret: "fs_1", settings: "[server]\nurl = \"https://foyer.example.com\"\n[[key]]\nid = \"fk_1\"\nsecret_file = \"key.secret\"\ncsv = \"staff.csv\"\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	credential, err := credentialOf("nobody")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		allow func() error
		want  string
	}{
		{func() error { return errors.Join(os.Chmod(dir, 0o755), os.Chmod(program, 0o755)) }, "foyer-push.toml: permission denied"},
		{func() error { return os.Chmod(settings, 0o644) }, "key.secret: permission denied"},
		{func() error { return os.Chown(secret, int(credential.Uid), -1) }, ""},
	} {
		if err := step.allow(); err != nil {
			t.Fatal(err)
		}
		err := runAs("nobody", program, "service", "try", "csv", "--config", settings)
		if (err == nil) != (step.want == "") || err != nil && (!strings.Contains(err.Error(), step.want) || !strings.Contains(err.Error(), "as nobody") || push.OutcomeOf(err) != push.Misused) {
			t.Errorf("%v; it should say %q", err, step.want)
		}
	}
}

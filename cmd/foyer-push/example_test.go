package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"foyer/push"
)

// TestExample_CanBeUsed holds that the settings which a newcomer begins with are right, as they stand but for the key's id, and with everything in them that is commented out.
func TestExample_CanBeUsed(t *testing.T) {
	commented := regexp.MustCompile(`(?m)^# (\[|[a-z_]+ = )`)
	for _, kind := range []string{"ad", "ldap", "csv"} {
		var out strings.Builder
		if code := run([]string{"example", kind}, &out, os.Stderr); code != 0 {
			t.Fatalf("%s: the exit code is %d", kind, code)
		}
		text := strings.Replace(out.String(), `"fk_…"`, `"fk_one"`, 1)
		text = strings.ReplaceAll(text, `"fk_…"`, `"fk_two"`)
		for name, settings := range map[string]string{"as it stands": text, "with everything": commented.ReplaceAllString(text, "$1")} {
			if name == "with everything" && settings == text {
				t.Fatalf("%s: nothing is commented out", kind)
			}
			file := filepath.Join(t.TempDir(), "foyer-push.toml")
			if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := push.Load(file, os.Getenv); err != nil {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
		}
	}
}

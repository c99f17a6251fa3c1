package script_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocs_CommandsArePowerShell holds that what docs/active-directory.md shows to be typed follows the grammar, and that the script has the parameters
// with which it is called.
func TestDocs_CommandsArePowerShell(t *testing.T) {
	page := readPage(t)
	var typed []string
	for _, line := range strings.Split(page, "\n") {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			typed = append(typed, command)
		}
	}
	if len(typed) < 25 {
		t.Fatalf("only %d lines are to be typed", len(typed))
	}
	if _, wrong := parse(t, strings.Join(typed, "\n")+"\n"); len(wrong) > 0 {
		t.Errorf("this is not PowerShell: %q", wrong)
	}
	tree := generated(t, settings("https://127.0.0.1:1"), staff)
	has := tree.child("param_block").Text
	for _, parameter := range []string{"DryRun", "KeepCsv", "SaveSecret", "Account"} {
		if !strings.Contains(page, "-"+parameter) || !strings.Contains(has, "$"+parameter) {
			t.Errorf("the parameter -%s is not in both", parameter)
		}
	}
}

// TestDocs_NumbersAreThoseOfTheScript holds that each exit code and event of the page is the script's, and each line that it sends is in the table.
func TestDocs_NumbersAreThoseOfTheScript(t *testing.T) {
	page := readPage(t)
	text, err := variants["several sites"].Generate()
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`(?m)^\| (1\d\d) \| (\d) \|`).FindAllStringSubmatch(page, -1)
	if len(codes) != 5 {
		t.Errorf("the page has %d codes", len(codes))
	}
	for _, c := range codes {
		if c[1] != "10"+c[2] || !strings.Contains(text, fmt.Sprintf("      %s  ", c[2])) && !strings.Contains(text, fmt.Sprintf("  %s  nothing was sent", c[2])) {
			t.Errorf("event %s, exit code %s", c[1], c[2])
		}
	}
	for _, line := range regexp.MustCompile(`(?m)^    (?:# )?([A-Z]+) +=`).FindAllStringSubmatch(text, -1) {
		if line[1] != "HOMEPHONE" && !strings.Contains(page, line[1]) {
			t.Errorf("the page does not name %s", line[1])
		}
	}
}

func readPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../docs/active-directory.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

package push_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode/utf16"

	"foyer/push"
)

// settings is a whole file of settings, to break in one place.
const settings = `[server]
url = "https://foyer.example.com"

[[key]]
id = "fk_abc"
secret_file = "key.secret"

[[directory]]
kind = "ad"
urls = ["ldaps://dc1.example.com"]
bind_dn = "foyer@example.com"
password_file = "ad.secret"
bases = ["OU=Staff,DC=example,DC=com"]
`

func load(t *testing.T, text string) (*push.Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "foyer-push.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return push.Load(file, func(string) string { return "" })
}

func TestLoad_FilesAreRelativeToTheSettings(t *testing.T) {
	c, err := load(t, settings)
	if err != nil {
		t.Fatal(err)
	}
	if key := c.Keys[0].SecretFile; !filepath.IsAbs(key) || filepath.Base(key) != "key.secret" {
		t.Errorf("the secret is looked for in %s", key)
	}
	if d := c.Directories[0]; d.Name != "dc1.example.com" || d.PageSize != 500 || d.Map["email"][0] != "mail" || d.Nesting != "in-chain" || d.Disabled != "leave-out" {
		t.Errorf("what was not given is %+v", d)
	}
}

// TestLoad_ReadsWhatWindowsWrites holds that settings which PowerShell or an editor of Windows wrote are read: UTF-16, a byte order mark, CRLF.
func TestLoad_ReadsWhatWindowsWrites(t *testing.T) {
	text := strings.ReplaceAll(settings+"# Montréal\n", "\n", "\r\n")
	wide := []byte{0xFF, 0xFE}
	for _, unit := range utf16.Encode([]rune(text)) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	for name, written := range map[string]string{"a mark": "\uFEFF" + text, "UTF-16": string(wide)} {
		if c, err := load(t, written); err != nil || c.Keys[0].ID != "fk_abc" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLoad_SaysWhatIsWrong holds that each setting that cannot be used is named, with what to write.
func TestLoad_SaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"url = \"https:", "url = \"http:", `write url = "https://foyer.example.com"`},
		{"foyer.example.com", "foyer.example.com/addressbook", "without anything behind it"},
		{"[server]", "[server]\nprxy = \"x\"", "line 2: there is no setting server.prxy"},
		{"[server]", "[server", "line 1"},
		{"[server]", "[server]\nproxy = \"http://u:p@h\"", "HTTPS_PROXY"},
		{"[server]", "[server]\nproxy = \"h:3128\"", "proxy"},
		{"[server]", "[server]\nattempts = -1", "attempts is -1"},
		{"[server]", "[server]\ngive_up = \"soon\"", "is not a duration"},
		{"[server]", "[server]\ngive_up = \"21h\"", "give_up is 21h0m0s; it can be up to"},
		{"secret_file = \"key.secret\"", "[[key]]\nid = \"fk_abd\"", "the keys fk_abc and fk_abd would have one secret, that of the environment variable FOYER_PUSH_SECRET"},
		{"secret_file = \"key.secret\"", "secret_env = \"X\"\n[[key]]\nid = \"fk_abd\"\nsecret_env = \"X\"", "environment variable X;"},
		{"fk_abc", "abc", "as you were given it"},
		{"fk_abc", "fk_…", "as you were given it"},
		{"key.secret", "C:\\Foyer\\key", "single quotes"},
		{"[[directory]]", "[[key]]\nid = \"fk_abc\"\n[[directory]]", "is there twice"},
		{"[[directory]]", "[[key]]\nid = \"fk_abd\"\nname = \"fk_abc\"\n[[directory]]", "two keys are named"},
		{"[[directory]]", "[[key]]\nid = \"fk_abd\"\nsite = \"A;B\"\n[[directory]]", "delivers one site"},
		{"secret_file", "secret_env = \"X\"\nsecret_file", "secret_file and secret_env are both given"},
		{`kind = "ad"`, `kind = "AD"`, `kind = "ad" for Active Directory`},
		{"ldaps:", "http:", "write ldaps://HOST"},
		{"ldaps://dc1", "ldaps://u:p@dc1", "write ldaps://HOST"},
		{"OU=Staff,DC=example,DC=com", "Staff", "no distinguished name"},
		{`bases = ["OU=Staff,DC=example,DC=com"]`, "bases = []", "bases is missing"},
		{`bind_dn = "foyer@example.com"`, "", "bind_dn is missing"},
		{"bases", "filter = \"(mail=*\"\nbases", "is no filter"},
		{"bases", "scope = \"all\"\nbases", "it can be subtree, one, base"},
		{"bases", "groups = [\"Hosts\"]\nbases", "groups: \"Hosts\" is no distinguished name"},
		{"bases", "page_size = 0\nmap.phone = [\"x\"]\nbases", `there is no column "phone"`},
		{"bases", "map.email = []\nbases", "email needs an attribute"},
		{"bases", "[[directory.site]]\nname = \"Toronto\"\nbases", "there is no setting directory.site.bases"},
		{`kind = "ad"`, "kind = \"ldap\"\ndisabled = \"send\"", "needs disabled_filter"},
		{`bases = ["OU=Staff,DC=example,DC=com"]`, "bases = [\"OU=Staff,DC=example,DC=com\"]\n[[directory.site]]\nname = \"Toronto\"", "exactly one of group, ou, and attribute"},
	} {
		text := strings.Replace(settings, c.old, c.new, 1)
		if text == settings {
			t.Fatalf("%q is not in the settings", c.old)
		}
		_, err := load(t, text)
		if err == nil || !strings.Contains(err.Error(), c.want) || push.OutcomeOf(err) != push.Misused {
			t.Errorf("%q for %q: %v; it should say %q", c.new, c.old, err, c.want)
		}
	}
}

// TestLoad_SpeaksOfWindowsPathsOnlyWhereOneIs holds that a slip of another kind is not explained by backslashes.
func TestLoad_SpeaksOfWindowsPathsOnlyWhereOneIs(t *testing.T) {
	_, err := load(t, strings.Replace(settings, "[[key]]", "[key]]", 1))
	if err == nil || !strings.Contains(err.Error(), "line ") || strings.Contains(err.Error(), "single quotes") {
		t.Error(err)
	}
}

// TestLoad_SettingsThatEverybodyCanChangeAreRefused holds that nobody else decides to whom the secrets are sent; that others can read the settings is no matter.
func TestLoad_SettingsThatEverybodyCanChangeAreRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are of Unix")
	}
	file := filepath.Join(t.TempDir(), "foyer-push.toml")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[os.FileMode]string{0o644: "", 0o664: "", 0o666: "can be changed by everybody (mode 0666), and who changes it has the secrets sent elsewhere; run: chmod o-w "} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		_, err := push.Load(file, os.Getenv)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || push.OutcomeOf(err) != push.Misused) {
			t.Errorf("%04o: %v; it should say %q", mode, err, want)
		}
	}
}

// TestSecret_OthersMayNotReadIt holds that a secret that others can read is not used, and that the message says what to do and not what it is.
func TestSecret_OthersMayNotReadIt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are of Unix")
	}
	c, err := load(t, settings)
	if err != nil {
		t.Fatal(err)
	}
	c.Server.URL = "https://127.0.0.1:1" // where nobody listens
	file := c.Keys[0].SecretFile
	for _, step := range []struct {
		content string
		mode    os.FileMode
		want    string
	}{
		{"fs_1", 0o644, "chmod 600"}, {"fs_1", 0o640, "chmod 600"}, {"", 0o600, "on one line"}, {"fs_1\nfs_2", 0o600, "on one line"},
		{"pw", 0o600, "does not begin with fs_"}, {"fs_1", 0o600, ""}, {"\uFEFFfs_1\r\n", 0o400, ""},
		{"\xFF\xFEf\x00s\x00_\x001\x00\r\x00\n\x00", 0o600, ""}, {"f\x00s\x00_\x001\x00", 0o600, "on one line"},
	} {
		os.Remove(file)
		if err := os.WriteFile(file, []byte(step.content), step.mode); err != nil {
			t.Fatal(err)
		}
		client, err := push.NewClient(c, (&customer{}).logger(), nil)
		if err != nil {
			t.Fatal(err)
		}
		client.Waits()
		_, _, err = push.Send(t.Context(), c, client, []*push.File{{Key: c.Keys[0]}}, false)
		if step.want == "" {
			if push.OutcomeOf(err) == push.Misused {
				t.Errorf("%q %v: %v", step.content, step.mode, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), step.want) || push.OutcomeOf(err) != push.Misused || strings.Contains(err.Error(), "fs_1") {
			t.Errorf("%q %v: %v; it should say %q", step.content, step.mode, err, step.want)
		}
	}
}

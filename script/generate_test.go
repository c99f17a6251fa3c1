package script_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"foyer/script"
)

// variants are scripts with everything that a script can have, and with what could break out of it.
var variants = map[string]script.Settings{
	"one site, one key": {Server: "https://foyer.example.com", ClientID: "fk_1", Org: "Acme"},
	"several sites":     {Server: "https://foyer.example.com:8443", ClientID: "fk_1", Org: "Acme", Sites: []string{"Toronto", "St. John's", "\u6771\u4eac"}},
	"a key of a site":   {Server: "https://foyer.example.com", ClientID: "fk_1", Org: "Acme", Site: "Toronto", Sites: []string{"Toronto", "MTL"}},
	"own authority":     {Server: "https://192.0.2.7", ClientID: "fk_1", Org: "Acme", CAFingerprint: "AB:CD"},
	"breaking out": {Server: "https://foyer.example.com", ClientID: "fk_1", Org: "x #> ; Remove-Item C:\\ \n'\u2019; exit #", Site: "#>",
		Sites: []string{"'; exit; '", "$(exit)", "\u2018quote\u2019", "#>\r\nexit"}},
}

// TestGenerate_IsPowerShell holds that what is generated follows the grammar, and is the same program whatever the names are.
func TestGenerate_IsPowerShell(t *testing.T) {
	var first []string
	for name, s := range variants {
		text, err := s.Generate()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		tree, wrong := parse(t, text)
		if len(wrong) > 0 {
			t.Errorf("%s: this is not PowerShell: %q", name, wrong)
		}
		statements := program(tree)
		if first == nil {
			first = statements
		}
		if !slices.Equal(first, statements) {
			t.Errorf("%s: the program is another one", name)
		}
	}
}

// program returns the words of a script without comments, but for the settings that differ.
func program(tree *node) (texts []string) {
	for _, c := range tree.child("statement_list").Children {
		if c.Type != "comment" && !(c.Type == "assignment_expression" && regexp.MustCompile(`(?s)^\$(Attributes|Server|ClientId) `).MatchString(c.Text)) {
			c.walk(func(n *node) {
				if len(n.Children) == 0 && n.Type != "comment" {
					texts = append(texts, n.Text)
				}
			})
		}
	}
	return texts
}

// TestGenerate_GrammarNoticesErrors holds that the test above can fail.
func TestGenerate_GrammarNoticesErrors(t *testing.T) {
	text, err := variants["own authority"].Generate()
	if err != nil {
		t.Fatal(err)
	}
	for _, broken := range []string{
		strings.Replace(text, "    return $request\r\n}", "    return $request\r\n", 1),
		strings.Replace(text, "'client_credentials')", "'client_credentials'", 1),
		strings.Replace(text, "foreach ($place in $People)", "foreach ($place of $People)", 1),
	} {
		if broken == text {
			t.Fatal("nothing was broken")
		}
		if _, wrong := parse(t, broken); len(wrong) == 0 {
			t.Error("a broken script was taken for PowerShell")
		}
	}
}

// TestGenerate_ASCIIWithEndsOfWindows holds that Windows PowerShell 5.1 reads the file as it was written, whatever the code page.
func TestGenerate_ASCIIWithEndsOfWindows(t *testing.T) {
	for name, s := range variants {
		text, err := s.Generate()
		if err != nil {
			t.Fatal(err)
		}
		if i := strings.IndexFunc(text, func(r rune) bool { return r > '~' || r < ' ' && r != '\r' && r != '\n' }); i >= 0 {
			t.Errorf("%s: %q at %d", name, text[i:i+10], i)
		}
		if lines := strings.Count(text, "\n"); lines != strings.Count(text, "\r\n") || lines < 300 {
			t.Errorf("%s: not all of the %d lines end as in Windows", name, lines)
		}
	}
}

// TestGenerate_SaysWhatIsSet holds what differs from customer to customer.
func TestGenerate_SaysWhatIsSet(t *testing.T) {
	for name, want := range map[string][]string{
		"one site, one key": {"delivers for the whole organization", "    # OFFICE    = ", "Site = 'Toronto'"},
		"several sites":     {"# The sites in Foyer (accents may be left out): Toronto; St. John's", "    OFFICE      = ", "$Server     = 'https://foyer.example.com:8443'", "There are others, whose names are not in ASCII"},
		"a key of a site":   {"delivers for the site Toronto only", "    # OFFICE    = ", "leave Site out"},
		"own authority":     {`"Cert Hash(sha256)" must be AB:CD`},
		"breaking out":      {"Site = '''; exit; ''' }"},
	} {
		text, err := variants[name].Generate()
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: it does not say %q", name, w)
			}
		}
	}
}

func TestGenerate_WrongSettingsAreRefused(t *testing.T) {
	for _, s := range []script.Settings{
		{Server: "http://foyer.example.com", ClientID: "fk_1"}, {Server: "foyer.example.com", ClientID: "fk_1"}, {Server: "https://foyer.example.com/", ClientID: "fk_1"},
		{Server: "https://foyer.example.com/x", ClientID: "fk_1"}, {Server: "https://u:p@foyer.example.com", ClientID: "fk_1"}, {Server: "https://", ClientID: "fk_1"},
		{Server: "https://foyer.example.com?a", ClientID: "fk_1"}, {Server: "https://f\u00f6yer.example.com", ClientID: "fk_1"},
		{Server: "https://foyer.example.com", ClientID: "fk_1'; exit"}, {Server: "https://foyer.example.com", ClientID: ""},
	} {
		if text, err := s.Generate(); err == nil || text != "" {
			t.Errorf("%+v was accepted", s)
		}
	}
}

// TestGenerate_OneWayOut holds that the script talks to the server in one place only, and turns off no check.
func TestGenerate_OneWayOut(t *testing.T) {
	text, err := variants["several sites"].Generate()
	if err != nil {
		t.Fatal(err)
	}
	tree, _ := parse(t, text)
	code := ""
	for _, c := range tree.Children {
		if c.Type != "comment" {
			code += c.Text
		}
	}
	for what, times := range map[string]int{"SendAsync": 1, "HttpRequestMessage]::new": 2, "HttpClient]::new": 1, "/auth/connect/token": 1, "ReadAllBytes": 1} {
		if n := strings.Count(code, what); n != times {
			t.Errorf("%s stands there %d times, want %d", what, n, times)
		}
	}
	for _, no := range []string{"Invoke-WebRequest", "Invoke-RestMethod", "WebClient", "BitsTransfer", "Invoke-Expression", "CertificateValidation", "CertificateCustomValidation",
		"SkipCertificate", "Ssl3", "Tls11", "&&", "||", "??", "?."} { // the last ones are not in Windows PowerShell 5.1
		if strings.Contains(code, no) {
			t.Errorf("%q is in the script", no)
		}
	}
	pinned, first := strings.Index(code, "]::Tls12"), strings.Index(code, "function ")
	if pinned < 0 || pinned > first {
		t.Error("TLS 1.2 is not pinned before anything else")
	}
}

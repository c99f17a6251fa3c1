package script

import (
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

// FileName is what the generated script is called in its own texts and in the documentation.
const FileName = "foyer-sync.ps1"

//go:embed foyer-sync.ps1.tmpl
var templateText string

var syncTemplate = template.Must(template.New(FileName).Funcs(template.FuncMap{
	"quote": quote, "comment": comment, "siteExample": siteExample,
}).Parse(templateText))

// Settings are what the generated script says of the server and of the customer. It has no secret in it: that is given to the script where it runs.
type Settings struct {
	Server        string   // as the customer reaches it, without a path: https://foyer.example.com
	ClientID      string   // of the customer's key
	Org           string   // the customer's name, for a comment
	Site          string   // the site that the key delivers for, "" where it is the whole organization
	Sites         []string // names of the customer's sites
	CAFingerprint string   // SHA-256 of the server's own authority, in hexadecimal with colons; "" where it has none
}

// OfficeIsSite tells whether the office column is sent: where there are several sites, of which it may be one (R14).
func (s Settings) OfficeIsSite() bool { return s.Site == "" && len(s.Sites) > 1 }

// PlainSites returns the names of sites that can be written in ASCII.
func (s Settings) PlainSites() []string {
	return slices.DeleteFunc(slices.Clone(s.Sites), func(name string) bool { return !isASCII(name) })
}

// OtherSites tells whether there are others.
func (s Settings) OtherSites() bool { return len(s.PlainSites()) < len(s.Sites) }

var clientID = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// Generate returns the PowerShell script that a customer runs every night: for Windows PowerShell 5.1, which reads a file without a mark as the
// machine's own code page, and PowerShell 7, so in ASCII; with the ends of lines of Windows. The error says which setting is wrong.
func (s Settings) Generate() (string, error) {
	address, err := url.Parse(s.Server)
	if err != nil || address.Scheme != "https" || address.Hostname() == "" || s.Server != "https://"+address.Host || !isASCII(s.Server) {
		return "", fmt.Errorf("%q is no address of a server; write https://foyer.example.com, with nothing behind the name but a port", s.Server)
	}
	if !clientID.MatchString(s.ClientID) {
		return "", fmt.Errorf("%q is no client id", s.ClientID)
	}
	var b strings.Builder
	if err := syncTemplate.Execute(&b, s); err != nil {
		return "", err
	}
	if !isASCII(b.String()) {
		return "", errors.New("the script is not in ASCII")
	}
	return strings.ReplaceAll(b.String(), "\n", "\r\n"), nil
}

func isASCII(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return r > '~' }) }

// quote returns s as PowerShell takes it literally: in single quotes. It must be ASCII: PowerShell takes typographic quotes for quotes.
func quote(s string) (string, error) {
	if !isASCII(s) {
		return "", fmt.Errorf("%q cannot be written in ASCII", s)
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'", nil
}

// comment returns s as it can stand in a comment: in ASCII, on one line, and without what ends one.
func comment(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < ' ' || r == 0x7F:
			b.WriteByte(' ')
		case r > '~':
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	return strings.ReplaceAll(b.String(), "#>", "# >")
}

// siteExample returns the first name of a site that can be written in ASCII, in quotes.
func siteExample(sites []string) string {
	i := slices.IndexFunc(sites, isASCII)
	if i < 0 {
		return "'Toronto'"
	}
	quoted, _ := quote(comment(sites[i])) // it is ASCII
	return quoted
}

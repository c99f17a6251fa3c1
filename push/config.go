package push

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"foyer/directory"
)

// Config are the settings: one file in TOML. Names of files in it are relative to its folder.
type Config struct {
	Server      Server             `toml:"server"`
	Keys        []Key              `toml:"key"`
	Directories []directory.Config `toml:"directory"`

	dir    string
	getenv func(string) string
}

// Server is where people are sent.
type Server struct {
	URL      string            `toml:"url"`      // https://foyer.example.com
	CAFile   string            `toml:"ca_file"`  // authorities (PEM) that alone are trusted; otherwise those of the system
	Proxy    string            `toml:"proxy"`    // http://host:port, or none; otherwise HTTPS_PROXY of the environment decides
	Strict   bool              `toml:"strict"`   // rather be refused than applied in part, or held
	Attempts int               `toml:"attempts"` // how often at most a request is tried; 8 unless given
	GiveUp   directory.Timeout `toml:"give_up"`  // how long at most a request is tried; 30m unless given
	Timeout  directory.Timeout `toml:"timeout"`  // of connecting, and of each answer but that to a file; 1m unless given
}

// Key is a key of the server's, for the whole organization or for one site.
type Key struct {
	ID         string `toml:"id"`          // fk_…
	Name       string `toml:"name"`        // in messages, and for --key; the site, or else the id, unless given
	SecretFile string `toml:"secret_file"` // holds fs_…, for its owner's eyes only
	SecretEnv  string `toml:"secret_env"`  // the variable that holds it, where there is no file; FOYER_PUSH_SECRET unless given
	Site       string `toml:"site"`        // the key delivers this site only, and gets only the people there
	CSV        string `toml:"csv"`         // the file that is sent with this key where the command names none
}

// environment names where secrets are looked for unless the settings say.
const (
	keyEnvironment      = "FOYER_PUSH_SECRET"
	passwordEnvironment = "FOYER_PUSH_PASSWORD"
)

// Load reads the settings from a file; getenv is os.Getenv, and asked when a secret is used. Everything that can be judged without the network is: what cannot be used is an Error of the outcome Misused that says where and why.
func Load(file string, getenv func(string) string) (*Config, error) {
	text, err := readSettings(file)
	if err != nil {
		return nil, err
	}
	if text, err = utf8Of(text); err != nil {
		return nil, failf(Misused, "%s is no text: %w; save it as UTF-8", file, err)
	}
	c := &Config{getenv: getenv}
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(c); err != nil {
		return nil, failf(Misused, "%s: %w", file, explainTOML(err))
	}
	absolute, err := filepath.Abs(file)
	if err != nil {
		return nil, failf(Failed, "find the folder of %s: %w", file, err)
	}
	c.dir = filepath.Dir(absolute)
	if err := c.check(); err != nil {
		return nil, failf(Misused, "%s: %w", file, err)
	}
	return c, nil
}

// readSettings reads the file of the settings, if not everybody can change it: it says to whom the secrets are sent.
func readSettings(file string) ([]byte, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, failf(Misused, "there are no settings in %s; give --config FILE, or write one: foyer-push example > %s", file, file)
	}
	if err != nil {
		return nil, failf(Misused, "read the settings: %w", err)
	}
	defer f.Close()
	if err := unchangeable(f); err != nil {
		return nil, failf(Misused, "%w", err)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, failf(Misused, "read the settings: %w", err)
	}
	return text, nil
}

// explainTOML says where in a file the settings are wrong.
func explainTOML(err error) error {
	if unknown, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(unknown.Errors) > 0 {
		row, _ := unknown.Errors[0].Position()
		return fmt.Errorf("line %d: there is no setting %s here; docs/push.md lists them all", row, strings.Join(unknown.Errors[0].Key(), "."))
	}
	if wrong, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := wrong.Position()
		hint := ""
		if strings.Contains(wrong.String(), "\\") {
			hint = `; in Windows paths write / or single quotes: 'C:\Foyer\secret'`
		}
		return fmt.Errorf("line %d, column %d: %w%s", row, column, err, hint)
	}
	return err
}

// check fills in what is not given, and judges the rest.
func (c *Config) check() error {
	if err := c.checkServer(); err != nil {
		return err
	}
	if len(c.Keys) == 0 {
		return fmt.Errorf(`there is no [[key]]; write one, with id = "fk_…" and secret_file`)
	}
	for i := range c.Keys {
		if err := c.checkKey(i); err != nil {
			return err
		}
	}
	for i := range c.Directories {
		d, err := c.Directories[i].WithDefaults()
		if err != nil {
			return fmt.Errorf("directory %d: %w", i+1, err)
		}
		if d.PasswordFile != "" && d.PasswordEnv != "" {
			return fmt.Errorf("directory %s: password_file and password_env are both given; keep one", d.Name)
		}
		d.CAFile, d.PasswordFile = c.path(d.CAFile), c.path(d.PasswordFile)
		c.Directories[i] = d
	}
	return nil
}

// longestTrying is how long at most a request may be tried.
const longestTrying = 20 * time.Hour

func (c *Config) checkServer() error {
	s := &c.Server
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf(`[server] url is %q; write url = "https://foyer.example.com", without anything behind it`, s.URL)
	}
	s.URL = "https://" + u.Host
	if s.Proxy != "" && s.Proxy != "none" {
		p, err := parseProxy(s.Proxy)
		if err != nil || !strings.Contains(s.Proxy, "://") {
			return fmt.Errorf(`[server] proxy is no proxy's address; write proxy = "http://proxy.example.com:3128", or "none"`)
		}
		if _, secret := p.User.Password(); secret {
			return fmt.Errorf("[server] proxy holds a password; leave proxy out and set the environment variable HTTPS_PROXY instead")
		}
	}
	if s.Attempts == 0 {
		s.Attempts = 8
	}
	if s.Attempts < 1 || s.Attempts > 100 {
		return fmt.Errorf("[server] attempts is %d; it can be 1 to 100", s.Attempts)
	}
	if s.GiveUp == 0 {
		s.GiveUp = directory.Timeout(30 * time.Minute)
	}
	if s.GiveUp < 0 || time.Duration(s.GiveUp) > longestTrying {
		return fmt.Errorf(`[server] give_up is %v; it can be up to "20h": the server knows a file that is sent again for a day`, time.Duration(s.GiveUp))
	}
	if s.Timeout == 0 {
		s.Timeout = directory.Timeout(time.Minute)
	}
	if s.Timeout < 0 || time.Duration(s.Timeout) > oneTry {
		return fmt.Errorf(`[server] timeout is %v; it can be up to %v; "1m" is usual`, time.Duration(s.Timeout), oneTry)
	}
	s.CAFile = c.path(s.CAFile)
	return nil
}

// checkKey checks the key of that number.
func (c *Config) checkKey(i int) error {
	k := &c.Keys[i]
	k.Site = strings.TrimSpace(k.Site)
	if k.Name == "" {
		k.Name = k.Site
	}
	if k.Name == "" {
		k.Name = k.ID
	}
	switch {
	case !isKeyID(k.ID):
		return fmt.Errorf(`key %d: id is %q; write the id as you were given it: fk_, then letters and digits`, i+1, k.ID)
	case k.SecretFile != "" && k.SecretEnv != "":
		return fmt.Errorf("key %s: secret_file and secret_env are both given; keep one", k.Name)
	case strings.Contains(k.Site, ";"):
		return fmt.Errorf("key %s: site is %q; a key delivers one site: write a [[key]] for each", k.Name, k.Site)
	}
	for _, other := range c.Keys[:i] {
		if other.ID == k.ID {
			return fmt.Errorf("the key %s is there twice: what is sent second would take the place of what is sent first", k.ID)
		}
		if strings.EqualFold(other.Name, k.Name) {
			return fmt.Errorf("two keys are named %q; give each a name of its own", k.Name)
		}
		if k.SecretFile == "" && other.SecretFile == "" && cmp.Or(k.SecretEnv, keyEnvironment) == cmp.Or(other.SecretEnv, keyEnvironment) {
			return fmt.Errorf("the keys %s and %s would have one secret, that of the environment variable %s; give each a secret_file, or a secret_env of its own", other.Name, k.Name, cmp.Or(k.SecretEnv, keyEnvironment))
		}
	}
	k.SecretFile, k.CSV = c.path(k.SecretFile), c.path(k.CSV)
	return nil
}

// isKeyID tells whether a text can be the id of a key.
func isKeyID(s string) bool {
	rest, ok := strings.CutPrefix(s, "fk_")
	return ok && rest != "" && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// path returns the name of a file as the settings mean it.
func (c *Config) path(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.dir, name)
}

// key returns the key of that name, site or id; with no name the only one.
func (c *Config) key(name string) (Key, error) {
	var names []string
	for _, k := range c.Keys {
		if name != "" && (strings.EqualFold(k.Name, name) || strings.EqualFold(k.Site, name) || k.ID == name) || name == "" && len(c.Keys) == 1 {
			return k, nil
		}
		names = append(names, k.Name)
	}
	if name == "" {
		return Key{}, failf(Misused, "the settings have several keys; say which: --key %s", strings.Join(names, ", or --key "))
	}
	return Key{}, failf(Misused, "the settings have no key %q; there are: %s", name, strings.Join(names, ", "))
}

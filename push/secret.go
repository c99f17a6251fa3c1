package push

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"foyer/directory"
	"foyer/trust"
)

// longestSecret is how long a secret may be, in bytes.
const longestSecret = 4096

// secret reads a secret from a file that only its owner can read, or from the environment. It is never shown in a message.
func (c *Config) secret(what, file, variable string) (string, error) {
	if file == "" {
		value := c.getenv(variable)
		if value == "" {
			return "", failf(Misused, "%s: there is neither a file for it in the settings, nor is the environment variable %s set", what, variable)
		}
		return value, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return "", failf(Misused, "%s: %w", what, err)
	}
	defer f.Close()
	if err := private(f); err != nil {
		return "", failf(Misused, "%s: %w", what, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, longestSecret+1))
	if err != nil {
		return "", failf(Misused, "%s: %w", what, err)
	}
	plain, err := utf8Of(text)
	value := strings.TrimRight(string(plain), "\r\n") // a password may end with a space
	if err != nil || value == "" || len(text) > longestSecret || strings.ContainsAny(value, "\r\n\x00") {
		return "", failf(Misused, "%s: %s must hold the secret on one line, and nothing else; save it as UTF-8", what, file)
	}
	return value, nil
}

// keySecret returns the secret of a key.
func (c *Config) keySecret(k Key) (string, error) {
	value, err := c.secret("the secret of the key "+k.Name, k.SecretFile, cmp.Or(k.SecretEnv, keyEnvironment))
	if err == nil && !strings.HasPrefix(strings.TrimSpace(value), "fs_") {
		return "", failf(Misused, "the secret of the key %s does not begin with fs_: it is another secret, or not all of it", k.Name)
	}
	return strings.TrimSpace(value), err
}

// password returns the password with which a directory is read.
func (c *Config) password(d directory.Config) (string, error) {
	return c.secret("the password of the directory "+d.Name, d.PasswordFile, cmp.Or(d.PasswordEnv, passwordEnvironment))
}

// errShared says that others can read a secret, or let themselves do so.
func errShared(file, who, cure string) error {
	return fmt.Errorf("%s is open to %s; run: %s", file, who, cure)
}

// errChangeable says that others can change what decides where secrets go.
func errChangeable(file, who, cure string) error {
	return fmt.Errorf("%s can be changed by %s, and who changes it has the secrets sent elsewhere; run: %s", file, who, cure)
}

// Unchangeable returns an error that says what to do where everybody on the machine can change a file.
func Unchangeable(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return unchangeable(f)
}

// Usable returns an error unless all secrets can be used, those of directories too where these are read, and the authorities that are to be trusted be read.
func (c *Config) Usable(directories bool) error {
	_, _, err := c.secrets(directories)
	failures := []error{err}
	for _, file := range c.authorities(directories) {
		_, err := trust.Config(file)
		failures = append(failures, err)
	}
	if err := errors.Join(failures...); err != nil {
		return &Error{Outcome: Misused, Message: err.Error(), Err: err}
	}
	return nil
}

// secrets returns the secrets of all keys, by their ids, and how many secrets there are with those of directories.
func (c *Config) secrets(directories bool) (secrets map[string]string, n int, err error) {
	var failures []error
	secrets = map[string]string{}
	for _, k := range c.Keys {
		value, err := c.keySecret(k)
		secrets[k.ID] = value
		failures = append(failures, err)
	}
	for _, d := range c.Directories {
		if directories {
			_, err := c.password(d)
			failures = append(failures, err)
		}
	}
	return secrets, len(failures), errors.Join(failures...)
}

// authorities returns the files of the authorities that are to be trusted.
func (c *Config) authorities(directories bool) []string {
	files := []string{c.Server.CAFile}
	for _, d := range c.Directories {
		if directories {
			files = append(files, d.CAFile)
		}
	}
	return slices.DeleteFunc(files, func(file string) bool { return file == "" })
}

// Files returns the files that the program reads besides its settings: secrets and authorities.
func (c *Config) Files(directories bool) []string {
	files := c.authorities(directories)
	for _, k := range c.Keys {
		files = append(files, k.SecretFile)
	}
	for _, d := range c.Directories {
		if directories {
			files = append(files, d.PasswordFile)
		}
	}
	return slices.DeleteFunc(files, func(file string) bool { return file == "" })
}

// Environment returns which secrets come from the environment, by the names of the variables; those of directories too where these are read.
func (c *Config) Environment(directories bool) []string {
	var variables []string
	for _, k := range c.Keys {
		if k.SecretFile == "" {
			variables = append(variables, cmp.Or(k.SecretEnv, keyEnvironment))
		}
	}
	for _, d := range c.Directories {
		if directories && d.PasswordFile == "" {
			variables = append(variables, cmp.Or(d.PasswordEnv, passwordEnvironment))
		}
	}
	return variables
}

package push

import (
	"context"
	"errors"
	"log/slog"

	"foyer/directory"
)

// Directories reads all directories of the settings, each to its end.
func Directories(ctx context.Context, c *Config, log *slog.Logger, progress func(people int)) ([]*directory.Result, error) {
	if len(c.Directories) == 0 {
		return nil, failf(Misused, "there is no [[directory]] in the settings; foyer-push example shows one")
	}
	var results []*directory.Result
	read := 0
	for _, d := range c.Directories {
		password, err := c.password(d)
		if err != nil {
			return nil, err
		}
		report := func(people int) {
			if progress != nil {
				progress(read + people)
			}
		}
		r, err := directory.Read(ctx, d, directory.Options{Password: password, Log: log, Progress: report})
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, failf(NotRead, "nothing was sent, since of the directory %s not everybody was found: %w", d.Name, err)
		}
		read += len(r.People)
		results = append(results, r)
	}
	directory.Join(results...)
	return results, nil
}

// FromDirectories reads all directories of the settings and returns the files for all keys. Nothing is returned unless each was read to its end.
func FromDirectories(ctx context.Context, c *Config, log *slog.Logger, progress func(people int)) ([]*File, error) {
	results, err := Directories(ctx, c, log, progress)
	if err != nil {
		return nil, err
	}
	var people []directory.Person
	for i, r := range results {
		people = append(people, r.People...)
		log.Info("directory read", "directory", c.Directories[i].Name, "people", len(r.People), "disabled", r.Disabled,
			"without_email", r.WithoutEmail, "without_site", r.WithoutSite, "left_out_disabled", r.LeftOut, "expired", r.Expired, "references_ignored", r.Ignored)
		for _, w := range r.Warnings {
			log.Warn(w, "directory", c.Directories[i].Name)
		}
	}
	return fromPeople(c, people)
}

// Sent is what became of one file.
type Sent struct {
	File  *File
	Reply *Reply // nil where Err is not
	Err   error
}

// Outcome returns how it went.
func (s Sent) Outcome() Outcome {
	if s.Err != nil {
		return OutcomeOf(s.Err)
	}
	return s.Reply.Outcome()
}

// Send sends the files, one after the other, and returns what became of each, and the worst outcome. All secrets are read before the first is sent. A failure of one key does not
// keep back the others: each is a source of its own.
func Send(ctx context.Context, c *Config, client *Client, files []*File, dry bool) ([]Sent, Outcome, error) {
	secrets := make([]string, len(files))
	for i, f := range files {
		var err error
		if secrets[i], err = c.keySecret(f.Key); err != nil {
			return nil, OutcomeOf(err), err
		}
	}
	var sent []Sent
	worst := Applied
	for i, f := range files {
		reply, err := client.Upload(ctx, f, secrets[i], dry)
		if errors.Is(err, context.Canceled) {
			return sent, Failed, err
		}
		s := Sent{f, reply, err}
		sent = append(sent, s)
		if s.Outcome().rank() > worst.rank() {
			worst = s.Outcome()
		}
	}
	return sent, worst, nil
}

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// rival is the script that a good engineer would write instead of us, and the command that runs it.
type rival struct {
	command string // its name, and how its files begin
	folder  string
	run     func(script, file string) error // with an empty file it makes the tables
}

func newRival(folder, database string) *rival {
	if database == "" {
		return &rival{"sqlite3", folder, nil}
	}
	return &rival{"psql", folder, func(script, file string) error {
		psql := exec.Command("psql", "-q", "-v", "ON_ERROR_STOP=1", database, "-f", script)
		// The wall of the database wants row-level security on all tables of its own schema.
		psql.Env = append(os.Environ(), "PGOPTIONS=-c search_path=rival -c client_min_messages=warning")
		if file == "" {
			if err := runQuietly(exec.Command("psql", "-q", database, "-c", "DROP SCHEMA IF EXISTS rival CASCADE", "-c", "CREATE SCHEMA rival")); err != nil {
				return err
			}
			return runQuietly(psql)
		}
		in, err := os.Open(file)
		if err != nil {
			return err
		}
		defer in.Close()
		psql.Stdin = in
		return runQuietly(psql)
	}}
}

// round lets the rival do each kind of work once on new tables.
func (r *rival) round(dir string, cases []*benchCase) error {
	run := r.run
	if run == nil {
		db := filepath.Join(dir, "rival.db")
		for _, suffix := range []string{"", "-wal", "-shm"} {
			os.Remove(db + suffix)
		}
		run = func(script, file string) error {
			text, err := os.ReadFile(script)
			if err != nil {
				return err
			}
			command := exec.Command("sqlite3", "-bail", db)
			command.Stdin = strings.NewReader(strings.ReplaceAll(string(text), "FILE", file))
			return runQuietly(command)
		}
	}
	name := strings.TrimSuffix(r.command, "3")
	if err := run(filepath.Join(r.folder, name+"-schema.sql"), ""); err != nil {
		return err
	}
	for _, work := range cases {
		start := time.Now()
		if err := run(filepath.Join(r.folder, name+"-sync.sql"), filepath.Join(dir, work.file)); err != nil {
			return err
		}
		work.took = append(work.took, time.Since(start))
	}
	return nil
}

func runQuietly(command *exec.Cmd) error {
	var errOut strings.Builder
	command.Stderr = &errOut
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", command.Args[0], err, &errOut)
	}
	return nil
}

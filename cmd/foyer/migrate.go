package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"foyer"
	"foyer/oauth"
	"foyer/store"
	"foyer/vault"
)

type migrateCmd struct {
	Check      bool   `help:"Only say how the schema stands: exit code 0 where it is up to date, 1 where something is missing."`
	AppRole    string `help:"Make this role of PostgreSQL, where it is not there, and grant it what servers need. They connect as it." placeholder:"NAME"`
	Distribute string `help:"Spread the tables over the machines of a distributed PostgreSQL: citus." enum:"citus," default:"" placeholder:"citus"`
}

// Run brings the schema up to date, or says how it stands.
func (c *migrateCmd) Run(a *app) error {
	config, err := a.storeConfig()
	if err != nil {
		return err
	}
	if c.Check {
		return c.check(a, config)
	}
	schema, err := store.Migrate(a.ctx, config, c.AppRole)
	if err != nil {
		return err
	}
	var spread []string
	if c.Distribute != "" {
		if spread, err = store.Distribute(a.ctx, config); err != nil {
			return err
		}
	}
	lines := []string{fmt.Sprintf("The schema was up to date already, at version %d.", schema.Version)}
	if len(schema.Applied) > 0 {
		lines[0] = fmt.Sprintf("Applied %s: the schema is at version %d.", strings.Join(schema.Applied, ", "), schema.Version)
	}
	if schema.Made {
		lines = append(lines, fmt.Sprintf("Made the role %s. Give it a password, and let the servers connect as it: ALTER ROLE %s PASSWORD '…'", schema.Role, schema.Role))
	} else if schema.Role != "" {
		lines = append(lines, fmt.Sprintf("The role %s has what servers need; if it has no password yet: ALTER ROLE %s PASSWORD '…'", schema.Role, schema.Role))
	}
	for _, statement := range spread {
		lines = append(lines, "Ran "+statement)
	}
	return a.said(map[string]any{"version": schema.Version, "applied": schema.Applied, "role": schema.Role, "role_made": schema.Made, "distributed": spread}, "%s", strings.Join(lines, "\n"))
}

func (c *migrateCmd) check(a *app, config store.Config) error {
	schema, err := store.CheckSchema(a.ctx, config)
	if err != nil {
		return err
	}
	if len(schema.Pending) > 0 {
		return foyer.Errorf(foyer.Conflict, "the schema is at version %d; missing: %s; run: foyer migrate", schema.Version, strings.Join(schema.Pending, ", "))
	}
	return a.said(map[string]any{"version": schema.Version, "pending": []string{}}, "The schema is up to date, at version %d.", schema.Version)
}

type copyCmd struct {
	From string `help:"The data folder to copy from; stop its server first." required:"" placeholder:"DIR" type:"existingdir"`
	To   string `help:"The database of PostgreSQL to copy into, empty or left by an earlier try: postgres://…" required:"" placeholder:"URL" env:"FOYER_DATABASE"`
	Keep bool   `help:"Leave the data folder in use, to try it out. Otherwise its database is put aside once all is copied, so that nobody goes on with it by mistake."`
}

// Run copies an installation.
func (c *copyCmd) Run(a *app) error {
	a.cli.Data, a.cli.Database = c.From, ""
	orgs, rows, err := c.copy(a)
	if err != nil {
		return err
	}
	said := map[string]any{"organizations": orgs, "rows": rows}
	next := "The data folder is as it was: what is done in it from now on is not in the copy."
	if !c.Keep {
		aside, err := store.PutAside(a.ctx, c.From, time.Now())
		if err != nil {
			return err
		}
		said["aside"] = aside
		next = fmt.Sprintf("From now on: foyer serve --database …, on every node with the keys/ and tls/ of %s.\nThe database that was there is %s now. It holds personal data: delete it once you are sure.", c.From, aside)
	}
	return a.said(said, "All is copied: organizations: %d, rows: %d. %s", orgs, rows, next)
}

// copy copies while nobody else has the data folder open, and returns how much there was.
func (c *copyCmd) copy(a *app) (orgs int, rows int64, err error) {
	if err := a.installed(); err != nil {
		return 0, 0, err
	}
	keys, err := a.openVault()
	if err != nil {
		return 0, 0, err
	}
	from, err := store.Open(a.ctx, store.Config{Dir: c.From, Vault: keys, Alone: true})
	if err != nil {
		return 0, 0, err
	}
	defer from.Close()
	to, err := store.Open(a.ctx, store.Config{Dir: c.From, Database: c.To, Vault: keys})
	if err != nil {
		return 0, 0, err
	}
	defer to.Close()
	err = store.Copy(a.ctx, foyer.Operator(operatorName()), from, to, func(done store.Copied) {
		orgs, rows = orgs+1, rows+done.Rows
		how := "copied and compared"
		if done.Before {
			how = "there already, and the same"
		}
		if !a.cli.JSON {
			a.printf("%s: %d rows, %s", done.Org.Slug, done.Rows, how)
		}
	})
	return orgs, rows, err
}

// storeConfig returns which database the command line names. Where it names none, and there is no installation in the data folder, that is an error.
func (a *app) storeConfig() (store.Config, error) {
	config := store.Config{Dir: a.data(), Database: a.cli.Database}
	if config.Database == "" {
		if err := a.installed(); err != nil {
			return config, err
		}
	}
	return config, nil
}

// openStore opens the database that the command line names.
func (a *app) openStore(ctx context.Context, v *vault.Vault) (*opened, error) {
	s, err := store.Open(ctx, store.Config{Dir: a.data(), Database: a.cli.Database, Vault: v})
	if err != nil {
		return nil, err
	}
	return &opened{Store: s, vault: v, authority: oauth.New(s, v, a.log), operator: foyer.Operator(operatorName())}, nil
}

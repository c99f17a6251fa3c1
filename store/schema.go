package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"

	"foyer"
)

// Schema is how a database's tables stand to this program.
type Schema struct {
	Version int64    // the newest migration that was applied
	Pending []string // those that are not applied yet, the oldest first
	Applied []string // by Migrate, just now
	Role    string   // to which it granted what servers need; empty: none was named
	Made    bool     // the role was not there before
}

// CheckSchema tells how the schema of a database stands, and changes nothing. Vault is not needed.
func CheckSchema(ctx context.Context, c Config) (Schema, error) {
	s, p, err := openSchema(c)
	if err != nil {
		return Schema{}, err
	}
	defer s.Close()
	schema, err := schemaNow(ctx, p)
	return schema, s.opening(err)
}

// Migrate brings the schema of a database up to date, each step whole or not at all, however many processes do so at once. On PostgreSQL it makes the role of that name,
// where there is none, and grants it what servers need and no more: they are refused where the role that they connect as could see past row-level
// security. Vault is not needed.
func Migrate(ctx context.Context, c Config, role string) (Schema, error) {
	s, p, err := openSchema(c)
	if err != nil {
		return Schema{}, err
	}
	defer s.Close()
	before, err := schemaNow(ctx, p)
	if err == nil && s.dialect == postgresDialect {
		err = s.migratePostgres(ctx)
	} else if err == nil {
		err = migrate(ctx, s.write, goose.DialectSQLite3)
	}
	if err != nil {
		return before, s.opening(err)
	}
	after, err := schemaNow(ctx, p)
	after.Applied, after.Role = before.Pending, role
	if err == nil && role != "" {
		after.Made, err = s.grant(ctx, role)
	}
	return after, s.busy("change the schema", err)
}

// openSchema opens a database without looking whether the schema is right.
func openSchema(c Config) (*Store, *goose.Provider, error) {
	s, kind := &Store{}, goose.DialectPostgres
	var err error
	if c.Database != "" {
		err = s.connectPostgres(c.Database)
	} else {
		kind = goose.DialectSQLite3
		if s.lock, err = shareFolder(c.Dir); err != nil {
			return nil, nil, err
		}
		s.write, err = sql.Open("sqlite", dsn(filepath.Join(c.Dir, databaseName), "_txlock", "immediate"))
	}
	if err != nil {
		return nil, nil, err
	}
	p, err := schemaFrom(s.write, kind)
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return s, p, nil
}

func schemaNow(ctx context.Context, p *goose.Provider) (schema Schema, err error) {
	statuses, err := p.Status(ctx)
	for _, status := range statuses {
		if status.State == goose.StatePending {
			schema.Pending = append(schema.Pending, filepath.Base(status.Source.Path))
		}
	}
	if err == nil {
		schema.Version, err = p.GetDBVersion(ctx)
	}
	return schema, err
}

// grant gives a role what servers need: to read and write rows, but for the audit, which only grows, and the list of migrations.
func (s *Store) grant(ctx context.Context, role string) (made bool, err error) {
	if s.dialect != postgresDialect {
		return false, foyer.Errorf(foyer.Invalid, "--app-role is for PostgreSQL: give --database too")
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback()
	var above, owns bool
	const q = `SELECT rolsuper OR rolbypassrls, oid = (SELECT relowner FROM pg_class WHERE oid = 'book'::regclass) FROM pg_roles WHERE rolname = $1`
	err = tx.QueryRowContext(ctx, q, role).Scan(&above, &owns)
	made = errors.Is(err, sql.ErrNoRows)
	switch {
	case err != nil && !made:
		return false, err
	case above:
		return false, foyer.Errorf(foyer.Invalid, "the role %q may bypass row-level security; name another one, which is made if it is not there", role)
	case owns:
		return false, foyer.Errorf(foyer.Invalid, "the role %q owns the tables, and could change them; name another one for the servers", role)
	}
	var schema, database, doors string
	if err := tx.QueryRowContext(ctx, `SELECT current_schema(), current_database(), `+loadSchema).Scan(&schema, &database, &doors); err != nil {
		return false, err
	}
	name, in := pgx.Identifier{role}.Sanitize(), pgx.Identifier{schema}.Sanitize()
	statements := []string{
		"GRANT CONNECT ON DATABASE " + pgx.Identifier{database}.Sanitize() + " TO " + name,
		"GRANT USAGE ON SCHEMA " + in + " TO " + name,
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA " + in + " TO " + name,
		"ALTER DEFAULT PRIVILEGES IN SCHEMA " + in + " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO " + name,
		"REVOKE UPDATE, DELETE, TRUNCATE ON audit FROM " + name,
		"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON goose_db_version FROM " + name,
		"GRANT USAGE ON SCHEMA " + doors + " TO " + name,
	}
	for _, table := range loadTables {
		var columns string
		const q = `SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'org'`
		if err := tx.QueryRowContext(ctx, q, table).Scan(&columns); err != nil {
			return false, err
		}
		statements = append(statements, "REVOKE ALL ON "+doors+"."+table+" FROM "+name, "GRANT INSERT ("+columns+") ON "+doors+"."+table+" TO "+name)
	}
	if made {
		statements = slices.Insert(statements, 0, "CREATE ROLE "+name+" LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE")
	}
	for _, statement := range statements {
		_, err := tx.ExecContext(ctx, statement)
		if code, ok := errors.AsType[*pgconn.PgError](err); ok && code.Code == "42501" && strings.HasPrefix(statement, "CREATE ROLE") {
			return false, foyer.Errorf(foyer.Forbidden, "the schema is up to date, but this role may not make the role %s; have it made, and run this again: CREATE ROLE %s LOGIN PASSWORD '…'", role, name)
		}
		if err != nil {
			return false, fmt.Errorf("%s: %w", statement, err)
		}
	}
	if err := proveDoors(ctx, tx, role); err != nil {
		return false, err
	}
	return made, tx.Commit()
}

// referenceTables are not about one organization, or are looked up before it is known which: on a database that is spread over several machines each has all of them.
var referenceTables = []string{"entra_tenant", "meta", "org"}

// customerTables returns all other tables that have rows. The key of each begins with the organization.
func customerTables(ctx context.Context, db *sql.DB) (tables []string, err error) {
	rows, err := db.QueryContext(ctx, `SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' ORDER BY relname`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return nil, err
		}
		if table != "goose_db_version" && !slices.Contains(referenceTables, table) {
			tables = append(tables, table)
		}
	}
	return tables, rows.Err()
}

// Distribute spreads the tables of a PostgreSQL with Citus over its machines by organization, and returns the statements that it ran. What is spread already is
// left as it is. foyer.Invalid where the database has no Citus. Vault is not needed.
func Distribute(ctx context.Context, c Config) (ran []string, err error) {
	s, _, err := openSchema(c)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if s.dialect != postgresDialect {
		return nil, foyer.Errorf(foyer.Invalid, "--distribute is for PostgreSQL: give --database too")
	}
	var citus bool
	if err := s.write.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'citus')`).Scan(&citus); err != nil {
		return nil, s.busy("look for Citus", err)
	}
	if !citus {
		return nil, foyer.Errorf(foyer.Invalid, "this database has no Citus; make it there first: CREATE EXTENSION citus")
	}
	statements, err := distribution(ctx, s.write)
	for _, statement := range statements {
		if err == nil {
			if _, err = s.write.ExecContext(ctx, statement); err != nil {
				err = fmt.Errorf("%s: %w", statement, err)
			} else {
				ran = append(ran, statement)
			}
		}
	}
	return ran, s.busy("spread the tables", err)
}

// distribution returns the statements by which the tables are spread.
func distribution(ctx context.Context, db *sql.DB) (statements []string, err error) {
	tables, err := customerTables(ctx, db)
	if err != nil {
		return nil, err
	}
	var database, doors string
	if err := db.QueryRowContext(ctx, `SELECT current_database(), `+loadSchema).Scan(&database, &doors); err != nil {
		return nil, err
	}
	// Row-level security goes by a setting of the transaction, which the other machines must be told.
	statements = append(statements, "ALTER DATABASE "+pgx.Identifier{database}.Sanitize()+" SET citus.propagate_set_commands = 'local'")
	const unless = " WHERE NOT EXISTS (SELECT 1 FROM pg_dist_partition WHERE logicalrelid = '%[1]s'::regclass)"
	for _, table := range referenceTables {
		statements = append(statements, fmt.Sprintf("SELECT create_reference_table('%[1]s')"+unless, table))
	}
	statements = append(statements, fmt.Sprintf("SELECT create_distributed_table('%[1]s', 'org')"+unless, "book"))
	for _, table := range tables {
		if slices.Contains(loadTables, table) {
			table = doors + "." + table // of which it is a partition, and with which it goes
		}
		if table != "book" {
			statements = append(statements, fmt.Sprintf("SELECT create_distributed_table('%[1]s', 'org', colocate_with => 'book')"+unless, table))
		}
	}
	return statements, nil
}

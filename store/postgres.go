package store

import (
	"cmp"
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"foyer"
)

// How many connections a process opens at most, and for how long it keeps one: then another server behind the same name gets its share.
const (
	postgresWriters    = 8
	postgresReaders    = 16
	postgresIdentities = 8
	postgresConnLife   = time.Hour
	postgresConnIdle   = 5 * time.Minute
)

// migrationLock is the number of the lock that one process at a time holds while it changes the schema.
const migrationLock = 4073196

// openPostgres opens the database, brings its schema up to date where its role may, and proves that row-level security holds that role.
func (s *Store) openPostgres(ctx context.Context, c Config) error {
	if err := s.connectPostgres(c.Database); err != nil {
		return err
	}
	if err := s.migratePostgres(ctx); err != nil {
		return s.opening(err)
	}
	return s.opening(s.proveWall(ctx))
}

// opening says of what keeps a database from being opened what is to be done about it, where trying again would not help.
func (s *Store) opening(err error) error {
	if known, ok := errors.AsType[*foyer.Error](err); ok {
		return known
	}
	message := ""
	code, answered := errors.AsType[*pgconn.PgError](err)
	_, unknown := errors.AsType[*net.DNSError](err)
	switch {
	case answered && (code.Code == "28P01" || code.Code == "28000"):
		message = "the database does not let this role in (" + code.Message + "); the password is looked for in --database, PGPASSWORD, and the file that PGPASSFILE names. In an address / # and @ are written as %2F, %23 and %40"
	case answered && code.Code == "3D000":
		message = code.Message + "; make it, or see whether --database ends in its name"
	case answered && code.Code == "42P01", answered && code.Code == "3F000":
		message = "there is no schema of Foyer's here (" + code.Message + "); make it as the owner of the database: foyer migrate"
	case answered && code.Code == "42501":
		message = "this role may not do what servers do (" + code.Message + "); run as the owner: foyer migrate --app-role ROLE"
	case answered && code.Code == "42704":
		message = "--database has a setting that PostgreSQL does not know: " + code.Message
	case unknown:
		message = "--database names a host that is not known: " + err.Error()
	case err != nil && !answered && strings.Contains(err.Error(), "server refused TLS connection"):
		message = "the database takes no TLS connections, and is reached over a network: turn ssl on in its postgresql.conf"
	default:
		return s.busy("open the database", err)
	}
	return &foyer.Error{Kind: foyer.Forbidden, Message: message}
}

// connectPostgres makes the pools. Nothing is sent yet.
func (s *Store) connectPostgres(database string) error {
	config, err := parsePostgres(database)
	if err != nil {
		return err
	}
	s.dialect = postgresDialect
	for pool, size := range map[**sql.DB]int{&s.write: postgresWriters, &s.read: postgresReaders, &s.ident: postgresIdentities} {
		*pool = stdlib.OpenDB(*config, stdlib.OptionAfterConnect(takePackedArrays))
		(*pool).SetMaxOpenConns(size)
		(*pool).SetMaxIdleConns(size)
		(*pool).SetConnMaxLifetime(postgresConnLife)
		(*pool).SetConnMaxIdleTime(postgresConnIdle)
	}
	return nil
}

// parsePostgres reads the address of a database. Over a network it must be reached by TLS 1.2 or newer, and its certificate must be right; that is the default.
func parsePostgres(database string) (*pgx.ConnConfig, error) {
	u, err := url.Parse(database)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, foyer.Errorf(foyer.Invalid, "--database wants postgres://USER@HOST/NAME; the password in it, or in PGPASSFILE or PGPASSWORD") // it may hold a password: it is not repeated
	}
	config, err := pgx.ParseConfig(database)
	if err == nil && !u.Query().Has("sslmode") && unprotected(config) != "" {
		q := u.Query()
		q.Set("sslmode", "verify-full")
		u.RawQuery = q.Encode()
		config, err = pgx.ParseConfig(u.String())
	}
	if err != nil {
		return nil, fmt.Errorf("--database: %w", err) // pgx leaves passwords out
	}
	if host := unprotected(config); host != "" {
		return nil, foyer.Errorf(foyer.Invalid, "--database: %s is reached over a network, and sslmode does not say that its certificate is verified: sslmode=verify-full, with sslrootcert=FILE for a private authority", host)
	}
	for _, secured := range tlsOf(config) {
		if secured != nil {
			secured.MinVersion = max(secured.MinVersion, tls.VersionTLS12)
		}
	}
	config.RuntimeParams["application_name"] = "foyer"
	config.ConnectTimeout = cmp.Or(config.ConnectTimeout, 10*time.Second)
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 4}}
	config.DialFunc = dialer.DialContext
	if len(config.Fallbacks) > 0 && !u.Query().Has("target_session_attrs") && strings.Contains(u.Host+u.Query().Get("host"), ",") {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite // of several hosts that which takes writes: another one lags behind
	}
	// No statement is remembered by a connection: behind a pooler the next transaction may have another one.
	config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	return config, nil
}

// tlsOf returns the settings of TLS by which the servers of an address are reached; nil for one that is reached without.
func tlsOf(config *pgx.ConnConfig) (all []*tls.Config) {
	all = append(all, config.TLSConfig)
	for _, fallback := range config.Fallbacks {
		all = append(all, fallback.TLSConfig)
	}
	return all
}

// unprotected returns a server that is reached over a network without TLS, or without looking whose certificate it shows; "" where there is none.
func unprotected(config *pgx.ConnConfig) string {
	hosts := []string{config.Host}
	for _, fallback := range config.Fallbacks {
		hosts = append(hosts, fallback.Host)
	}
	for i, secured := range tlsOf(config) {
		host := hosts[i]
		ip := net.ParseIP(host)
		local := strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback()
		if !local && (secured == nil || secured.InsecureSkipVerify || secured.ServerName == "") {
			return host
		}
	}
	return ""
}

// proveWall proves that row-level security holds the role: it must see nothing unless it says of which organization.
func (s *Store) proveWall(ctx context.Context) error {
	conn, err := s.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var role string
	var above bool
	if err := conn.QueryRowContext(ctx, `SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user`).Scan(&role, &above); err != nil {
		return err
	}
	if above {
		return foyer.Errorf(foyer.Forbidden, "the role %q may bypass row-level security, which keeps organizations apart; make one that may not, and connect as it: foyer migrate --app-role foyer_app", role)
	}
	var tables string
	const bare = `SELECT COALESCE(string_agg(c.relname::text, ', '), '') FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
		AND c.relname NOT IN ('meta', 'goose_db_version') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)`
	if err := conn.QueryRowContext(ctx, bare).Scan(&tables); err != nil {
		return err
	}
	if tables != "" {
		return foyer.Errorf(foyer.Forbidden, "row-level security is off for %s; put it back as the owner: ALTER TABLE … ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", tables)
	}
	if err := proveDoors(ctx, conn, role); err != nil {
		return err
	}
	if err := conn.QueryRowContext(ctx, `SELECT `+loadSchema).Scan(&s.doors); err != nil {
		return err
	}
	const foreign = `SELECT COALESCE(string_agg(tablename || '.' || policyname, ', '), '') FROM pg_policies WHERE schemaname = current_schema() AND policyname NOT IN ('listed', 'own', 'noted')`
	if err := conn.QueryRowContext(ctx, foreign).Scan(&tables); err != nil {
		return err
	}
	if tables != "" {
		return foyer.Errorf(foyer.Forbidden, "there are policies that are not Foyer's, and may let rows through: %s; drop them", tables)
	}
	for _, table := range []string{"org", "book", "source", "client_key"} { // those of few rows: all of them are looked at
		var seen bool
		if err := conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM `+table+`)`).Scan(&seen); err != nil {
			return err
		}
		if seen {
			return foyer.Errorf(foyer.Forbidden, "the role %q sees rows of %s without saying of which organization: row-level security does not hold it", role, table)
		}
	}
	return nil
}

// migratePostgres applies what is missing of the schema, one process at a time.
func (s *Store) migratePostgres(ctx context.Context) error {
	p, err := schemaFrom(s.write, goose.DialectPostgres)
	if err != nil {
		return err
	}
	if pending, err := p.HasPending(ctx); err == nil && !pending {
		return nil
	}
	tx, err := s.read.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // which gives the lock back
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, migrationLock); err != nil {
		return err
	}
	err = migrate(ctx, s.write, goose.DialectPostgres)
	if code, ok := errors.AsType[*pgconn.PgError](err); ok && code.Code == "42501" {
		return foyer.Errorf(foyer.Forbidden, "the schema is missing or older than this program, and this role may not change it (%s); run as the owner of the database: foyer migrate --app-role ROLE", code.Message)
	}
	return err
}

// postgresBusy returns what to say of a failure that may pass; "" of any other.
func postgresBusy(err error) string {
	if code, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case code.Code == "53100" || code.Code == "58030":
			return "the database's disk is full or fails; nothing was changed"
		case code.Code == "25006":
			return "the database is read-only now; nothing was changed, try again"
		case code.Code == "55P03":
			return "another sync of this organization is still running; nothing was changed, try again"
		case code.Code == "40001" || code.Code == "40P01" || code.Code == "23505" && code.ConstraintName != "audit_pkey": // of the audit it means that its head was taken away
			return "somebody else changed the same at the same moment; nothing was changed, try again"
		case strings.HasPrefix(code.Code, "08"), strings.HasPrefix(code.Code, "53"), strings.HasPrefix(code.Code, "57P"), code.Code == "57014", code.Code == "25P03":
			return "the database is away or busy; nothing was changed, try again"
		}
		return ""
	}
	var away *pgconn.ConnectError
	var network net.Error
	if errors.As(err, &away) || errors.As(err, &network) {
		return "the database does not answer; nothing was changed, try again"
	}
	return ""
}

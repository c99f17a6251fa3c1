package store

import (
	"context"
	"database/sql"
	"strings"

	"foyer"
)

// loadTables are those whose new rows go in by COPY, which takes PostgreSQL two thirds of the time of an INSERT, and which it refuses for a table with row-level security. So they go in by a door:
// a table over each, of its name, in a schema of their own (loadSchema), without rows. Nothing can be read, changed or removed through it, and nobody says there of which organization a row is:
// it is of the one that the transaction is about.
var loadTables = []string{"address", "change_chunk", "entry"}

// loadSchema is an expression for the name of the schema with the doors.
const loadSchema = `quote_ident(current_schema() || '_load')`

// doors says of each door in what it differs from what it should be for a role: whether that may do more than insert rows of the transaction's organization, by which rights, or less.
const doors = `SELECT d.door,
	d.load IS NULL OR d.below IS NULL OR NOT EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhparent = d.load AND i.inhrelid = d.below),
	NOT has_schema_privilege($1::text::name, ` + loadSchema + `, 'USAGE') OR EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = d.load AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'org'
		AND NOT has_column_privilege($1::text::name, d.load, a.attnum, 'INSERT')),
	has_table_privilege($1::text::name, d.load, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE') OR has_any_column_privilege($1::text::name, d.load, 'SELECT, UPDATE') OR has_column_privilege($1::text::name, d.load, 'org', 'INSERT'),
	COALESCE((SELECT string_agg(r.granted || ' to ' || CASE WHEN r.grantee = 0 THEN 'PUBLIC' ELSE r.grantee::regrole::text END, ', ') FROM (
		SELECT x.privilege_type AS granted, x.grantee FROM pg_class c, aclexplode(COALESCE(c.relacl, acldefault('r', c.relowner))) x WHERE c.oid = d.load
		UNION ALL SELECT x.privilege_type || ' (' || a.attname || ')', x.grantee FROM pg_attribute a, aclexplode(a.attacl) x WHERE a.attrelid = d.load AND NOT (x.privilege_type = 'INSERT' AND a.attname <> 'org')
	) r WHERE CASE WHEN r.grantee = 0 THEN true ELSE pg_has_role($1::text::name, r.grantee, 'USAGE') END), 'a right on all tables, such as pg_read_all_data'),
	NOT EXISTS (SELECT 1 FROM pg_attrdef f JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
		WHERE f.adrelid = d.load AND a.attname = 'org' AND pg_get_expr(f.adbin, f.adrelid) = 'NULLIF(NULLIF(current_setting(''foyer.org''::text, true), ''*''::text), ''''::text)')
	FROM (SELECT ` + loadSchema + ` || '.' || t AS door, to_regclass(` + loadSchema + ` || '.' || t)::oid AS load, to_regclass(t)::oid AS below FROM unnest($2::text[]) AS t) AS d ORDER BY d.door`

// queryer is a connection, or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// proveDoors proves that a role can insert rows through the doors, and do nothing else with them.
func proveDoors(ctx context.Context, conn queryer, role string) error {
	rows, err := conn.QueryContext(ctx, doors, role, loadTables)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var door, rights string
		var apart, less, more, other sql.NullBool // null: it is not there
		if err := rows.Scan(&door, &apart, &less, &more, &rights, &other); err != nil {
			return err
		}
		_, table, _ := strings.Cut(door, ".")
		switch {
		case apart.Bool:
			return foyer.Errorf(foyer.Forbidden, "%s is not there, or not over %s any more, and nothing new can be stored; as the owner: ALTER TABLE %[1]s ATTACH PARTITION %[2]s DEFAULT", door, table)
		case more.Bool:
			return foyer.Errorf(foyer.Forbidden, "the role %q may do more with %s than insert rows, by %s; take that away as the owner: REVOKE … ON %[2]s FROM …", role, door, rights)
		case other.Bool:
			return foyer.Errorf(foyer.Forbidden, "rows that come in by %s are not of the transaction's organization; as the owner: ALTER TABLE %[1]s ALTER org SET DEFAULT NULLIF(NULLIF(current_setting('foyer.org', true), '*'), '')", door)
		case less.Bool:
			return foyer.Errorf(foyer.Forbidden, "the role %q may not insert rows by %s; foyer migrate --app-role %[1]s lets it; where it is the owner itself: GRANT INSERT (all columns but org) ON %[2]s TO %[1]s", role, door)
		}
	}
	return rows.Err()
}

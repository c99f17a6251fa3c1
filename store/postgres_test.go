package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"foyer"
	"foyer/foyertest"
	"foyer/store"
	"foyer/store/storetest"
	"foyer/vault"
)

// onPostgres tells whether a test that is about PostgreSQL is to go on.
func onPostgres() bool { return storetest.OnPostgres() }

func ask(t *testing.T, address string, statements ...string) {
	t.Helper()
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func config(t *testing.T, address string) store.Config {
	t.Helper()
	v, err := vault.Open(vault.Config{Pepper: strings.Repeat("00", vault.PepperSize), AtRest: "1:" + strings.Repeat("00", 32)})
	if err != nil {
		t.Fatal(err)
	}
	return store.Config{Database: address, Vault: v}
}

// TestPostgres_KeysBeginWithTheOrganization holds that the tables can be spread over machines by organization: all keys and indexes begin with it, no key
// of one refers to another table, and there is no sequence and no trigger.
func TestPostgres_KeysBeginWithTheOrganization(t *testing.T) {
	if !onPostgres() {
		return
	}
	w := startWorld(t)
	db := w.open()
	const q = `SELECT c.relname || ' ' || ic.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class ic ON ic.oid = i.indexrelid
		JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relname NOT IN ('meta', 'org', 'entra_tenant', 'goose_db_version') AND a.attname <> 'org'`
	const others = `SELECT conname FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace
		UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
		UNION ALL SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = current_schema()::regnamespace AND relname <> 'goose_db_version_id_seq'`
	for _, query := range []string{q, others} {
		if found := storetest.Texts(t, db, query); len(found) > 0 {
			t.Errorf("these do not keep to one organization: %q", found)
		}
	}
	distributed := store.Distribution(t, w.Store)
	for _, table := range storetest.Texts(t, db, `SELECT tablename FROM pg_tables WHERE schemaname = current_schema()`) {
		named := slices.ContainsFunc(distributed, func(statement string) bool {
			return strings.Contains(statement, "_table('"+table+"'") || strings.Contains(statement, "_load."+table+"'")
		})
		if named == (table == "goose_db_version") {
			t.Errorf("%s: spread %v", table, named)
		}
	}
}

// TestPostgres_BothSchemasAreTheSame holds that each table has the same columns on both databases.
func TestPostgres_BothSchemasAreTheSame(t *testing.T) {
	if !onPostgres() {
		return
	}
	w := startWorld(t)
	dir := t.TempDir()
	c := config(t, "")
	c.Dir = dir
	s, err := store.Open(t.Context(), c)
	w.must(err)
	w.must(s.Close())
	db, err := sql.Open("sqlite", filepath.Join(dir, "foyer.db"))
	w.must(err)
	defer db.Close()
	const here = `SELECT table_name || ' ' || column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name <> 'goose_db_version' ORDER BY 1`
	const there = `SELECT m.name || ' ' || c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT IN ('goose_db_version', 'sqlite_sequence') ORDER BY 1`
	postgres, sqlite := storetest.Texts(t, w.open(), here), storetest.Texts(t, db, there)
	slices.Sort(postgres)
	slices.Sort(sqlite)
	if !slices.Equal(postgres, sqlite) {
		t.Errorf("PostgreSQL has\n%s\nSQLite has\n%s", strings.Join(postgres, "\n"), strings.Join(sqlite, "\n"))
	}
}

// TestPostgres_TheWallHidesOtherOrganizations takes the filter by organization out of every statement: still nobody sees anything of another one.
func TestPostgres_TheWallHidesOtherOrganizations(t *testing.T) {
	if !onPostgres() {
		return
	}
	w := startWorld(t)
	seen := func(org foyer.OrgID) string {
		var b strings.Builder
		ctx, c := t.Context(), w.Operator
		w.must(w.Store.Entries(ctx, c, org, func(e *foyer.Entry) error { fmt.Fprintln(&b, *e); return nil }))
		w.must(w.Store.Audit(ctx, c, org, func(a *foyer.Audit) error { fmt.Fprintln(&b, *a); return nil }))
		w.must(w.Store.View(ctx, c, org, func(book *store.Book) error { // looked up one by one
			err := book.Entries([]foyer.EntryID{1, 5, 900}, func(e *foyer.Entry) error { fmt.Fprintln(&b, *e); return nil })
			return errors.Join(err, book.Addresses([]string{"p1@test.com", "p2@test.com"}, func(key string, a foyer.Address) { fmt.Fprintln(&b, key, a) }))
		}))
		for name, list := range map[string]func() (any, error){
			"runs": func() (any, error) { return w.Store.Runs(ctx, c, org, 0, true) }, "keys": func() (any, error) { return w.Store.Keys(ctx, c, org) },
			"sites": func() (any, error) { return w.Store.Sites(ctx, c, org) }, "sources": func() (any, error) { return w.Store.Sources(ctx, c, org) },
			"connections": func() (any, error) { return w.Store.Connections(ctx, c, org) }, "links": func() (any, error) { return w.Store.EntraLinks(ctx, c, org) },
			"people": func() (any, error) {
				known := 0
				err := w.Store.EntraPeople(ctx, c, org, 2, func(*store.EntraPerson) error { known++; return nil })
				if foyer.KindOf(err) == foyer.NotFound {
					err = nil
				}
				return known, err
			},
			"alerts": func() (any, error) { return w.Store.Alerts(ctx, c, org, true) }, "contacts": func() (any, error) { return w.Store.Contacts(ctx, c, org) },
		} {
			all, err := list()
			w.must(err)
			fmt.Fprintf(&b, "%s %v\n", name, all)
		}
		lines := strings.Split(b.String(), "\n")
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	_, random, _ := strings.Cut(w.token, ".")
	hidden := func(org foyer.OrgID) bool {
		_, err := w.Store.LookupKey(t.Context(), org, foyer.KeyID(w.Script.ClientID))
		_, _, link := w.Store.FollowEntraLink(t.Context(), string(org)+"."+random)
		return foyer.KindOf(err) == foyer.NotFound && foyer.KindOf(link) == foyer.NotFound
	}
	other := seen(w.other.ID)
	if !strings.Contains(other, "Montréal") || strings.Contains(other, "p1@test.com") {
		t.Fatalf("the other organization is %s", other)
	}
	store.Unfiltered(t)
	if now := seen(w.other.ID); now != other {
		t.Errorf("without the filter another is seen:\n%s\nwant\n%s", now, other)
	}
	if !hidden(w.other.ID) || hidden(w.Org.ID) {
		t.Error("another's key is found")
	}
}

// TestPostgres_TheWall tries each table of the database by itself.
func TestPostgres_TheWall(t *testing.T) {
	if !onPostgres() {
		return
	}
	w := startWorld(t)
	db := w.open()
	ctx := t.Context()
	for _, table := range storetest.Texts(t, db, `SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname NOT IN ('meta', 'goose_db_version')`) {
		column := map[bool]string{true: "id", false: "org"}[table == "org"]
		for _, about := range []string{"", "nobody", string(w.other.ID), "*"} {
			tx, err := db.BeginTx(ctx, nil)
			w.must(err)
			_, err = tx.Exec(`SET LOCAL foyer.org = '` + about + `'`)
			w.must(err)
			var foreign int
			w.must(tx.QueryRow(`SELECT COUNT(*) FROM `+table+` WHERE `+column+` <> $1`, about).Scan(&foreign))
			if foreign > 0 && about != "*" {
				t.Errorf("%s about %q: %d rows of others are seen", table, about, foreign)
			}
			for _, statement := range []string{`DELETE FROM ` + table + ` WHERE ` + column + ` = $1`, `UPDATE ` + table + ` SET ` + column + ` = ` + column + ` WHERE ` + column + ` = $1`} {
				result, err := tx.Exec(statement, w.Org.ID)
				w.must(err)
				if n, err := result.RowsAffected(); err != nil || n > 0 {
					t.Errorf("%s about %q: %d rows of Acme, %v", statement, about, n, err)
				}
			}
			_, err = tx.Exec(`INSERT INTO book (org, version, settings, next_entry, next_site, next_source) VALUES ('zzzzzz', 1, 1, 1, 1, 1)`)
			if code, ok := errors.AsType[*pgconn.PgError](err); !ok || code.Code != "42501" {
				t.Errorf("about %q a row of another can be inserted: %v", about, err)
			}
			tx.Rollback()
		}
	}
}

// TestPostgres_TheDoorsOfTheWall tries what can be done by the tables through which COPY comes in: insert rows of the transaction's organization, and nothing else.
func TestPostgres_TheDoorsOfTheWall(t *testing.T) {
	if !onPostgres() {
		return
	}
	w := startWorld(t)
	db := w.open()
	ctx := t.Context()
	values := map[string]string{
		"public_load.entry": `(id, email, first_name, last_name, display_name, title, division, mobile, desk_phone, manager, assistant, mobile_e164, desk_phone_e164, sites, claimed_by, last_run, origins)
			VALUES (900, '', '', '', '', '', '', '', '', '', '', '', '', '', '', 1, '')`,
		"public_load.address":      `(email, entry, alias) VALUES ('late@test.com', 900, 0)`,
		"public_load.change_chunk": `(run, first, changes) VALUES (900, 900, '')`,
	}
	if doors := storetest.Texts(t, db, `SELECT relname FROM pg_class WHERE relkind = 'p'`); len(doors) != len(values) {
		t.Errorf("there are the doors %q", doors)
	}
	own := string(w.Org.ID)
	for door, row := range values {
		try := func(about, statement string) (code string) {
			tx, err := db.BeginTx(ctx, nil)
			w.must(err)
			defer tx.Rollback()
			if about != "unsaid" {
				_, err = tx.Exec(`SET LOCAL foyer.org = '` + about + `'`)
				w.must(err)
			}
			_, err = tx.Exec(statement)
			if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
				return answer.Code
			}
			w.must(err)
			var came int // in this transaction
			w.must(tx.QueryRow(`SELECT COUNT(*) FROM ` + strings.TrimPrefix(door, "public_load.") + ` WHERE xmin::text = pg_current_xact_id()::xid::text AND org = '` + about + `'`).Scan(&came))
			if came != 1 {
				t.Errorf("%s about %q: %d rows came", door, about, came)
			}
			return ""
		}
		insert := `INSERT INTO ` + door + ` ` + row
		if code := try(own, insert); code != "" {
			t.Errorf("%s: a row of its own is refused: %s", door, code)
		}
		for _, about := range []string{"unsaid", "", "*"} {
			if code := try(about, insert); code != "23502" {
				t.Errorf("%s about %q: a row of nobody: %q", door, about, code)
			}
		}
		named := strings.NewReplacer("(", "(org, ", "VALUES (", "VALUES ('"+string(w.other.ID)+"', ").Replace(insert)
		defaulted := strings.NewReplacer("(", "(org, ", "VALUES (", "VALUES (DEFAULT, ").Replace(insert)
		for _, statement := range []string{`SELECT org FROM ` + door, `SELECT 1 FROM ` + door, `UPDATE ` + door + ` SET org = ''`, `DELETE FROM ` + door, `TRUNCATE ` + door, insert + ` RETURNING org`, named, defaulted} {
			if code := try(own, statement); code != "42501" {
				t.Errorf("%s can be done: %q", statement, code)
			}
		}
	}
}

// TestPostgres_AnOpenDoorIsRefused holds that no server starts where more can be done by such a table.
func TestPostgres_AnOpenDoorIsRefused(t *testing.T) {
	if !onPostgres() {
		return
	}
	for statement, says := range map[string]string{
		`GRANT SELECT ON public_load.entry TO PUBLIC`:                        "public_load.entry than insert rows, by SELECT to PUBLIC;",
		`GRANT SELECT (email) ON public_load.address TO CURRENT_USER`:        "by SELECT (email) to foyer",
		`GRANT DELETE ON public_load.change_chunk TO CURRENT_USER`:           "by DELETE to foyer",
		`GRANT INSERT ON public_load.entry TO CURRENT_USER`:                  "by INSERT to foyer",
		`GRANT INSERT (org) ON public_load.address TO PUBLIC`:                "by INSERT (org) to PUBLIC;",
		`ALTER TABLE public_load.entry ALTER org SET DEFAULT 'acme'`:         "ALTER TABLE public_load.entry ALTER org SET DEFAULT",
		`ALTER TABLE public_load.entry ALTER org DROP DEFAULT`:               "ALTER TABLE public_load.entry ALTER org SET DEFAULT",
		`REVOKE INSERT (email) ON public_load.entry FROM CURRENT_USER`:       "may not insert rows by public_load.entry;",
		`REVOKE USAGE ON SCHEMA public_load FROM CURRENT_USER`:               "permission denied for schema public_load); run as the owner: foyer migrate --app-role ROLE",
		`ALTER TABLE public_load.address DETACH PARTITION address`:           "ALTER TABLE public_load.address ATTACH PARTITION address DEFAULT",
		`DROP TABLE address CASCADE; CREATE VIEW address AS SELECT 1 AS one`: "public_load.address is not there, or not over address",
	} {
		dir := t.TempDir()
		foyertest.OpenStore(t, dir, nil)
		address := storetest.Database(t, dir)
		ask(t, address, statement)
		_, err := store.Open(t.Context(), config(t, address))
		if foyer.KindOf(err) != foyer.Forbidden || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: the error is %v", statement, err)
		}
	}
}

func TestPostgres_RolesThatBypassTheWallAreRefused(t *testing.T) {
	if !onPostgres() || os.Getenv("FOYER_TEST_DATABASE") != "" {
		return // of a server that is there already nobody gives us such a role
	}
	address := storetest.As(t, storetest.Empty(t), "postgres")
	_, err := store.Open(t.Context(), config(t, address))
	if foyer.KindOf(err) != foyer.Forbidden || !strings.Contains(err.Error(), "foyer migrate --app-role") {
		t.Errorf("the error is %v", err)
	}
}

func TestPostgres_ATableWithoutTheWallIsRefused(t *testing.T) {
	if !onPostgres() {
		return
	}
	for _, statement := range []string{`ALTER TABLE entry NO FORCE ROW LEVEL SECURITY`, `ALTER TABLE run DISABLE ROW LEVEL SECURITY`, `CREATE TABLE extra (org TEXT)`} {
		dir := t.TempDir()
		foyertest.OpenStore(t, dir, nil)
		address := storetest.Database(t, dir)
		ask(t, address, statement)
		_, err := store.Open(t.Context(), config(t, address))
		if foyer.KindOf(err) != foyer.Forbidden || !strings.Contains(err.Error(), "row-level security is off for") {
			t.Errorf("%s: the error is %v", statement, err)
		}
	}
}

// TestPostgres_AppRole holds that servers can run as a role that owns nothing, and that it can change neither the audit nor the schema.
func TestPostgres_AppRole(t *testing.T) {
	if !onPostgres() || os.Getenv("FOYER_TEST_DATABASE") != "" {
		return // there we may make no roles
	}
	owner := storetest.Empty(t)
	superuser := storetest.As(t, owner, "postgres")
	const role = "foyer_test_app"
	app := storetest.As(t, owner, role)
	schema, err := store.Migrate(t.Context(), store.Config{Database: superuser}, role)
	if err != nil || !schema.Made || len(schema.Applied) == 0 {
		t.Fatalf("%+v, %v", schema, err)
	}
	t.Cleanup(func() { ask(t, superuser, `DROP OWNED BY `+role, `DROP ROLE `+role) })
	s, err := store.Open(t.Context(), config(t, app))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	org, err := s.CreateOrg(t.Context(), foyer.Operator("op"), "Acme", "CA")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateSite(t.Context(), foyer.Operator("op"), org.ID, foyer.Site{Name: "Toronto"}); err != nil {
		t.Error(err)
	}
	db, err := sql.Open("pgx", app+"&foyer.org="+string(org.ID))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{`UPDATE audit SET actor = 'eve'`, `SELECT 1 FROM public_load.entry`, `DELETE FROM audit`, `TRUNCATE audit`, `ALTER TABLE entry DISABLE ROW LEVEL SECURITY`, `CREATE TABLE more (org TEXT)`, `DELETE FROM goose_db_version`} {
		if _, err := db.Exec(statement); err == nil {
			t.Errorf("the role may %s", statement)
		}
	}
	if again, err := store.Migrate(t.Context(), store.Config{Database: superuser}, role); err != nil || again.Made || len(again.Applied) > 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, err := store.Migrate(t.Context(), store.Config{Database: superuser}, "postgres"); foyer.KindOf(err) != foyer.Invalid {
		t.Errorf("a superuser as the role: %v", err)
	}
	ask(t, superuser, `DELETE FROM goose_db_version WHERE version_id = 6`) // as if a newer program came
	for _, table := range []string{"entry", "address", "change_chunk"} {
		ask(t, superuser, `ALTER TABLE public_load.`+table+` DETACH PARTITION `+table)
	}
	ask(t, superuser, `DROP SCHEMA public_load CASCADE`)
	if _, err := store.Open(t.Context(), config(t, app)); foyer.KindOf(err) != foyer.Forbidden || !strings.Contains(err.Error(), "foyer migrate") {
		t.Errorf("the error is %v", err)
	}
	if _, err := store.Migrate(t.Context(), store.Config{Database: superuser}, ""); err != nil {
		t.Error(err)
	}
	later, err := store.Open(t.Context(), config(t, app)) // the role is not named again, and has the rights that it needs on what is new
	if err != nil {
		t.Fatal(err)
	}
	later.Close()
}

// TestPostgres_ADumpIsRestored goes the way that docs/scale.md says: what a superuser dumps and restores is all there, and behind the same wall.
func TestPostgres_ADumpIsRestored(t *testing.T) {
	if !onPostgres() || os.Getenv("FOYER_TEST_DATABASE") != "" {
		return // there nobody gives us a superuser
	}
	w := startWorld(t)
	from, to, file := storetest.Database(t, w.Dir), storetest.Empty(t), filepath.Join(t.TempDir(), "foyer.dump")
	for _, command := range [][]string{{"pg_dump", "-Fc", "-f", file, storetest.As(t, from, "postgres")}, {"pg_restore", "-d", storetest.As(t, to, "postgres"), file}} {
		if out, err := exec.Command(storetest.Program(t, command[0]), command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", command, err, out)
		}
	}
	keys, err := vault.Open(vault.Config{Dir: w.Dir})
	w.must(err)
	s, err := store.Open(t.Context(), store.Config{Database: to, Vault: keys})
	w.must(err)
	defer s.Close()
	entries := func(s *store.Store) (all []string) {
		w.must(s.Entries(t.Context(), w.Operator, w.Org.ID, func(e *foyer.Entry) error {
			all = append(all, fmt.Sprint(*e))
			return nil
		}))
		return all
	}
	if restored := entries(s); len(restored) == 0 || !slices.Equal(restored, entries(w.Store)) {
		t.Errorf("restored are\n%s", strings.Join(restored, "\n"))
	}
}

// TestMigrate_ManyAtOnce holds that migrations run once however many nodes start.
func TestMigrate_ManyAtOnce(t *testing.T) {
	if !onPostgres() {
		return
	}
	address := storetest.Empty(t)
	if schema, err := store.CheckSchema(t.Context(), store.Config{Database: address}); err != nil || len(schema.Pending) == 0 {
		t.Fatalf("%+v, %v", schema, err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, err := store.Open(context.Background(), config(t, address))
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	all.Wait()
	schema, err := store.CheckSchema(t.Context(), store.Config{Database: address})
	if err != nil || len(schema.Pending) > 0 || schema.Version < 5 {
		t.Errorf("%+v, %v", schema, err)
	}
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var twice int
	if err := db.QueryRow(`SELECT COUNT(*) - COUNT(DISTINCT version_id) FROM goose_db_version`).Scan(&twice); err != nil || twice != 0 {
		t.Errorf("%d migrations are noted twice, %v", twice, err)
	}
}

// TestMigrate_AnOlderNodeWorksOnANewerSchema holds that nodes can be replaced one by one: what a migration adds disturbs no program that does not know it.
func TestMigrate_AnOlderNodeWorksOnANewerSchema(t *testing.T) {
	w := startWorld(t)
	db := w.open()
	column := `ALTER TABLE entry ADD COLUMN later TEXT NOT NULL DEFAULT ''`
	if onPostgres() {
		column = `ALTER TABLE public_load.entry ADD COLUMN later TEXT NOT NULL DEFAULT ''; GRANT INSERT (later) ON public_load.entry TO CURRENT_USER`
	}
	for _, statement := range []string{column, `ALTER TABLE run ADD COLUMN later BIGINT NOT NULL DEFAULT 0`,
		`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, ` + map[bool]string{true: "true", false: "1"}[onPostgres()] + `)`} {
		_, err := db.Exec(statement)
		w.must(err)
	}
	s, _ := foyertest.OpenStore(t, w.Dir, w.Clock.Now) // another one starts
	if _, err := s.CreateSite(t.Context(), w.Operator, w.Org.ID, foyer.Site{Name: "Ottawa"}); err != nil {
		t.Error(err)
	}
	if reply := w.Upload(t, people(18)); reply.Status != 200 {
		t.Errorf("%d %s", reply.Status, reply.Body)
	}
}

// TestCopy_MovesAnInstallation copies a world with something of everything from a data folder, and goes on with the copy.
func TestCopy_MovesAnInstallation(t *testing.T) {
	if !onPostgres() {
		return
	}
	c := config(t, "")
	c.Dir = t.TempDir()
	from, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	fill(t, from)
	setSecret(t, from, "s3cret")
	c.Database = storetest.Database(t, t.TempDir())
	to, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	operator := foyer.Operator("op")
	for _, before := range []bool{false, true} {
		orgs := 0
		err := store.Copy(t.Context(), operator, from, to, func(done store.Copied) {
			if orgs++; done.Before != before || done.Rows < 5 {
				t.Errorf("%+v", done)
			}
		})
		if err != nil || orgs != 2 {
			t.Fatalf("%d organizations, %v", orgs, err)
		}
	}
	orgs, err := to.Orgs(t.Context(), operator)
	if err != nil || len(orgs) != 2 {
		t.Fatalf("%v, %v", orgs, err)
	}
	for _, org := range orgs {
		if _, err := to.VerifyAudit(t.Context(), operator, org.ID); err != nil {
			t.Error(err)
		}
		wantTenant(t, to, org.ID)
	}
	if app, err := to.EntraApp(t.Context(), operator); err != nil || app.Credentials[0].Secret != "s3cret" {
		t.Errorf("%+v, %v", app, err)
	}
	if _, err := store.Open(t.Context(), store.Config{Dir: c.Dir, Vault: c.Vault, Alone: true}); foyer.KindOf(err) != foyer.Conflict {
		t.Errorf("a copy may begin while somebody works on the original: %v", err)
	}
	if _, err := to.CreateSite(t.Context(), operator, orgs[0].ID, foyer.Site{Name: "Only in the copy"}); err != nil {
		t.Fatal(err)
	}
	err = store.Copy(t.Context(), operator, from, to, func(store.Copied) {})
	if foyer.KindOf(err) != foyer.Conflict {
		t.Errorf("a copy that went on is taken for the original: %v", err)
	}
	setSecret(t, to, "another")
	err = store.Copy(t.Context(), operator, from, to, func(store.Copied) {})
	if foyer.KindOf(err) != foyer.Conflict || !strings.Contains(err.Error(), "another application") {
		t.Errorf("another application is taken for the same: %v", err)
	}
}

// TestCopy_SaysWhichTextItCannotTake holds that a text which PostgreSQL does not take stops a copy with a word about where it is.
func TestCopy_SaysWhichTextItCannotTake(t *testing.T) {
	if !onPostgres() {
		return
	}
	c := config(t, "")
	c.Dir = t.TempDir()
	from, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	fill(t, from)
	db, err := sql.Open("sqlite", filepath.Join(c.Dir, "foyer.db"))
	if err == nil {
		_, err = db.Exec(`UPDATE site SET name = CAST(x'4dff' AS TEXT)`)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	c.Database = storetest.Database(t, t.TempDir())
	to, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	err = store.Copy(t.Context(), foyer.Operator("op"), from, to, func(store.Copied) {})
	if foyer.KindOf(err) != foyer.Invalid || !strings.Contains(err.Error(), `row 1 of site has in name a text that is no UTF-8, which PostgreSQL does not take: "M\xff"; give it another`) {
		t.Errorf("the error is %v", err)
	}
}

// setSecret sets the secret of the application at Microsoft.
func setSecret(t *testing.T, s *store.Store, secret string) {
	t.Helper()
	err := s.SetEntraApp(t.Context(), foyer.Operator("op"), func(app *store.EntraApp) error {
		app.Credentials = []store.EntraCredential{{Secret: secret}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantTenant wants of an organization what fillTenant made, and that no tenant that is taken can be bound there.
func wantTenant(t *testing.T, to *store.Store, org foyer.OrgID) {
	t.Helper()
	operator := foyer.Operator("op")
	connections, err := to.Connections(t.Context(), operator, org)
	links, err2 := to.EntraLinks(t.Context(), operator, org)
	if err := errors.Join(err, err2); err != nil || len(connections) != 1 || connections[0].People != 2 || len(links) != 1 {
		t.Fatalf("%+v %+v: %v", connections, links, err)
	}
	people := 0
	if err := to.EntraPeople(t.Context(), operator, org, connections[0].Source, func(*store.EntraPerson) error { people++; return nil }); err != nil || people != 2 {
		t.Errorf("%d people: %v", people, err)
	}
	_, link, err := to.CreateEntraLink(t.Context(), operator, org, foyer.EntraLink{For: "x.ca"})
	if err != nil {
		t.Fatal(err)
	}
	taken := store.Tenant{ID: "tenant-of-elan", Name: "Élan", Domains: []string{"x.ca"}}
	if _, err := to.BindTenant(t.Context(), operator, org, link.ID, taken); foyer.KindOf(err) != foyer.Conflict {
		t.Errorf("whose the tenants are was not copied: %v", err)
	}
}

// fill makes two organizations with sites, a key, a contact, entries, and a connected tenant.
func fill(t *testing.T, s *store.Store) {
	t.Helper()
	operator := foyer.Operator("op")
	for _, name := range []string{"Acme", "Élan"} {
		org, err := s.CreateOrg(t.Context(), operator, name, "CA")
		if err == nil {
			_, err = s.CreateSite(t.Context(), operator, org.ID, foyer.Site{Name: "Montréal", Aliases: []string{"MTL"}})
		}
		if err == nil {
			_, _, err = s.CreateKey(t.Context(), operator, org.ID, store.NewKey{ID: "fk_x", SecretMAC: []byte{0, 1, 255}, Scopes: foyer.ScopeSync})
		}
		if err == nil {
			_, err = s.AddContact(t.Context(), operator, org.ID, foyer.Contact{Email: "it@acme.example"})
		}
		if err == nil {
			err = s.Update(t.Context(), operator, store.Act{Org: org.ID, Right: foyer.EditBook}, func(b *store.Book) (*store.Delta, error) {
				return &store.Delta{Run: &foyer.Run{Kind: foyer.Edit, Status: foyer.Applied}, Writes: func(yield func(*store.Write, error) bool) {
					for i := range foyer.EntryID(3000) {
						e := &foyer.Entry{ID: i + 1, Enabled: true, Notes: "note é"}
						e.Values[foyer.Email] = fmt.Sprintf("p%d@x.ca", i)
						w := &store.Write{ID: e.ID, Entry: e, New: true, Key: e.Values[foyer.Email], Change: &foyer.Change{Entry: e.ID, Added: true},
							Claims: []store.ClaimWrite{{Source: 1, Claim: &foyer.Claim{Hash: foyer.Hash{byte(i), 1}}}}}
						if !yield(w, nil) {
							return
						}
					}
				}}, nil
			})
		}
		if err == nil {
			err = fillTenant(t.Context(), s, org)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// fillTenant connects a tenant with two people to an organization.
func fillTenant(ctx context.Context, s *store.Store, org foyer.Org) error {
	operator := foyer.Operator("op")
	_, link, err := s.CreateEntraLink(ctx, operator, org.ID, foyer.EntraLink{For: "x.ca"})
	if err != nil {
		return err
	}
	source, err := s.BindTenant(ctx, operator, org.ID, link.ID, store.Tenant{ID: "tenant-of-" + org.Slug, Name: org.Name, Domains: []string{"x.ca"}})
	if err != nil {
		return err
	}
	_, err = s.EditConnection(ctx, operator, org.ID, source.ID, "agree", func(c *foyer.Connection) error {
		c.State = foyer.Connected
		return nil
	})
	if err != nil {
		return err
	}
	r, err := s.TakeReading(ctx, operator)
	if err != nil {
		return err
	}
	_, err = s.StoreReading(ctx, operator, r, true, "delta", func(yield func([]store.EntraItem) error) error {
		return yield([]store.EntraItem{item("a", "mail=é@x.ca"), item("b", "manager=a")})
	})
	return err
}

package store

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
)

// dialect is what differs between the databases in what a transaction says to them. The statements themselves are the same, but for those of many rows.
type dialect int

const (
	sqliteDialect dialect = iota
	postgresDialect
)

// snapshot returns the options of a transaction that reads one consistent state.
func (d dialect) snapshot() *sql.TxOptions {
	if d == postgresDialect {
		return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	return &sql.TxOptions{ReadOnly: true}
}

// begin says to PostgreSQL whose rows the transaction is about, and takes the row of the book where it is to change it (R19). Both end with the transaction, so
// that they hold through a pooler which gives each transaction another connection. SQLite has one writer and one reader of its file.
func (d dialect) begin(t *txn, about scope) error {
	if d != postgresDialect {
		return nil
	}
	org := strings.ReplaceAll(string(about.org), "'", "''")
	say := fmt.Sprintf("SET LOCAL foyer.org = '%s'; SET LOCAL lock_timeout = %d; ", org, busyTimeout.Milliseconds())
	// Every statement finds its rows by a key, in the key's order. For some thousand of them the planner would rather read all organizations' rows; and right after a first load, of
	// which it knows nothing yet, all rows of the organization, and sort them.
	say += "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off;"
	// Whatever the database or the role is set to: a sync may take its time, but a node that was cut off holds nothing for long.
	say += " SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = '30min';"
	say += " SET LOCAL tcp_keepalives_idle = 15; SET LOCAL tcp_keepalives_interval = 5; SET LOCAL tcp_keepalives_count = 4;"
	if about.writes {
		// And what is answered for is on disk (R18).
		say += " SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';"
	}
	if about.book {
		say += fmt.Sprintf(" SELECT 1 FROM book WHERE org = '%s' FOR UPDATE;", org)
	}
	_, err := t.tx.ExecContext(t.ctx, say) // in one go, since it has no parameters
	return err
}

// gone tells whether a connection to PostgreSQL was lost.
func (d dialect) gone(conn *sql.Conn) (gone bool) {
	if d != postgresDialect {
		return false
	}
	err := conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		gone = ok && c.Conn().IsClosed()
		return nil
	})
	return gone || err != nil
}

// locked is put behind a SELECT of rows that are changed afterwards.
func (d dialect) locked() string {
	if d == postgresDialect {
		return " FOR UPDATE"
	}
	return ""
}

// shared is put behind a SELECT of rows that are not to go before the transaction ends.
func (d dialect) shared() string {
	if d == postgresDialect {
		return " FOR SHARE"
	}
	return ""
}

// size is how many rows a statement takes: few on SQLite, which lies in this process, many on PostgreSQL, to which it is a way.
func (d dialect) size(sqlite, postgres int) int {
	if d == postgresDialect {
		return postgres
	}
	return sqlite
}

// rows returns the text of many rows of values, "VALUES (…), (…)" or a SELECT, for args, which are whole rows of so many columns, and the parameters for it. texts may be nil.
func (d dialect) rows(texts *rowTexts, args []any, columns int) (text string, params []any) {
	switch {
	case d == postgresDialect:
		return unnest(args, columns)
	case texts != nil:
		text, params = texts.of(args, columns)
		return "VALUES " + text, params
	}
	return "VALUES " + values(len(args)/columns, columns), args
}

// lookUp returns a SELECT of a table's rows of which a column, the last of a key, is one of a list's values, and the parameters for it. where and its args say what the columns before
// it are. PostgreSQL is made to look each value up by itself: else how it goes about it depends on what it knows of the table.
func lookUp[T ~string | ~int64](d dialect, columns, table, where string, args []any, column string, list []T) (query string, params []any) {
	wanted := make([]any, len(list))
	for i, v := range list {
		wanted[i] = v
	}
	if d != postgresDialect {
		return "SELECT " + columns + " FROM " + table + " WHERE " + where + " AND " + column + " IN " + values(1, len(list)), append(args, wanted...)
	}
	text, params := unnest(wanted, 1)
	return "SELECT " + columns + " FROM (" + text + ") AS list (wanted) CROSS JOIN LATERAL (SELECT " + columns + " FROM " + table + " WHERE " + where +
		" AND " + column + " = list.wanted OFFSET 0) AS found", append(params, args...)
}

// unnest returns rows as a SELECT of one array for each column, which PostgreSQL reads faster than as many parameters, and faster as results than FROM them. What is the same in all
// rows, as most of what one file brought is, is said once.
func unnest(args []any, columns int) (text string, params []any) {
	var list []string
	many := false
	for c := range columns {
		cast := "bigint"
		switch plain(args[c]).(type) {
		case string:
			cast = "text"
		case []byte:
			cast = "bytea"
		}
		if same(args, c, columns) {
			list, params = append(list, "?::"+cast), append(params, args[c])
			continue
		}
		many = true
		list, params = append(list, "unnest(?::"+cast+"[])"), append(params, columnOf(args, c, columns))
	}
	text = "SELECT " + strings.Join(list, ", ")
	if !many && len(args) > columns {
		text += fmt.Sprintf(" FROM generate_series(1, %d)", len(args)/columns)
	}
	return text, params
}

// same tells whether a column says the same in all rows. Bytes are taken to differ.
func same(args []any, column, columns int) bool {
	if _, ok := args[column].([]byte); ok {
		return len(args) == columns
	}
	for i := column + columns; i < len(args); i += columns {
		if args[i] != args[column] {
			return false
		}
	}
	return true
}

// plain returns a parameter as one of the types that a database has: text, integer, bytes.
func plain(v any) any {
	switch v.(type) {
	case string, int64, []byte, packedArray:
		return v
	case time.Time:
		panic("times are stored as milliseconds")
	}
	p, err := driver.DefaultParameterConverter.ConvertValue(v)
	if err != nil {
		panic(fmt.Sprintf("a parameter of type %T: %v", v, err))
	}
	if truth, ok := p.(bool); ok {
		return flag(truth)
	}
	return p
}

// numbered are statements with "?" in them, as PostgreSQL wants them. They are few: what has many rows has arrays there.
var numbered sync.Map

// edited alters statements to PostgreSQL in a test that takes a filter out of them; nil otherwise.
var edited func(query string) string

// text returns a statement as the database wants it.
func (d dialect) text(query string) string {
	if edited != nil && d == postgresDialect {
		query = edited(query)
	}
	if d != postgresDialect || !strings.Contains(query, "?") {
		return query
	}
	if known, ok := numbered.Load(query); ok {
		return known.(string)
	}
	var b strings.Builder
	for n, part := range strings.Split(query, "?") {
		if n > 0 {
			fmt.Fprintf(&b, "$%d", n)
		}
		b.WriteString(part)
	}
	numbered.Store(query, b.String())
	return b.String()
}

// values returns the text "(?, ?), (?, ?)" for so many rows and columns. The parameters have no numbers: the driver of SQLite looks each number up
// among all, which for a thousand of them takes longer than the insert.
func values(rows, columns int) string {
	row := "(" + strings.Repeat("?, ", columns-1) + "?)"
	return strings.Repeat(row+", ", rows-1) + row
}

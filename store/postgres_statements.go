package store

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"
)

// The SQL of a projection names its tables without a schema. Postgres resolves the names when it
// prepares the statement. In a shared transaction that would be before the transaction sets the
// search path. Each connection therefore prepares each statement beforehand, with the search path
// set, and knows it by search path and text. Two projections with the same text have two
// statements. A statement must run with the search path that it was prepared with. With another
// one, Postgres would analyse it anew each time.

// maxPrepared is how many statements a connection keeps. The limit keeps a projection that puts
// values into its SQL from filling Postgres's memory.
const maxPrepared = 256

// These errors keep statements from sharing a transaction with other commits. The commit is then
// made step by step.
var (
	errManyStatements    = errors.New("projections have more statements than a connection keeps")
	errTransactionAtRisk = errors.New("a statement may end the transaction, which others share, or change the session")
)

// queueStatements adds the statements of projections to a batch, behind the commits, one read
// model after the other. It first prepares them on the connection. whose has the read model of
// each query that it adds, after the first.
func (s *Postgres) queueStatements(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch, group []*Commit) (whose []*ReadModel, err error) {
	models := modelsIn(group)
	if len(models) == 0 {
		return nil, nil
	}
	batch.Queue(impatient)
	known := preparedOn(conn)
	for _, m := range models {
		path := s.path(m)
		batch.Queue(setPath, path)
		whose = append(whose, m)
		err := sending(ctx, conn, m, group, func(next sendable) error {
			name, err := known.prepare(ctx, conn, path, next.sql)
			if err == nil {
				batch.Queue(name, next.arguments...)
				whose = append(whose, m)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	batch.Queue(setDurability, s.pools.durability.Load()) // a function called by a statement may have changed it
	return append(whose, models[len(models)-1]), nil
}

// modelsIn returns the read models of the commits' statements, in the order of their first
// statements.
func modelsIn(group []*Commit) (models []*ReadModel) {
	for _, c := range group {
		for _, statement := range c.Statements {
			if !slices.Contains(models, statement.Model) {
				models = append(models, statement.Model)
			}
		}
	}
	return models
}

// prepared are the names of the statements that a connection has prepared, by search path and
// text.
type prepared map[struct{ path, sql string }]string

func preparedOn(conn *pgx.Conn) prepared {
	const key = "maestro: prepared"
	data := conn.PgConn().CustomData()
	known, ok := data[key].(prepared)
	if !ok {
		known = prepared{}
		data[key] = known
	}
	return known
}

// prepare prepares a statement on the connection with a search path, and returns its name.
func (known prepared) prepare(ctx context.Context, conn *pgx.Conn, path, sql string) (name string, err error) {
	key := struct{ path, sql string }{path, sql}
	switch name = known[key]; {
	case name != "":
		return name, nil
	case len(known) == maxPrepared:
		return "", errManyStatements
	case !goesAlong(sql): // a QueryRewriter may have produced a risky statement
		return "", errTransactionAtRisk
	}
	name = "maestro_" + strconv.Itoa(len(known)+1)
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, impatient); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, setPath, path); err != nil {
			return err
		}
		_, err := conn.Prepare(ctx, name, sql)
		return err
	})
	if err == nil {
		known[key] = name
	}
	return name, err
}

// rewritten returns a statement as Postgres gets it. A query rewriter such as pgx.NamedArgs may
// have changed it.
func rewritten(ctx context.Context, conn *pgx.Conn, q *pgx.QueuedQuery) (sql string, arguments []any, err error) {
	if len(q.Arguments) > 0 {
		if rewriter, is := q.Arguments[0].(pgx.QueryRewriter); is {
			return rewriter.RewriteQuery(ctx, conn, q.SQL, q.Arguments[1:])
		}
	}
	return q.SQL, q.Arguments, nil
}

// errEndsTransaction says why a statement is refused.
var errEndsTransaction = errors.New("the transaction is that of the events: SQL of a projection must not begin, end or divide it")

// endsTransactions tells whether a statement begins, ends or divides a transaction.
func endsTransactions(sql string) bool {
	switch firstWord(sql) {
	case "abort", "begin", "commit", "end", "prepare", "release", "rollback", "savepoint", "start":
		return true
	}
	return false
}

// firstWord returns the first word of a statement, in small letters.
func firstWord(sql string) string {
	for {
		sql = strings.TrimLeft(sql, " \t\n\r\f\v;")
		switch {
		case strings.HasPrefix(sql, "--"):
			_, sql, _ = strings.Cut(strings.ReplaceAll(sql, "\r", "\n"), "\n")
		case strings.HasPrefix(sql, "/*"):
			sql = afterComment(sql)
		default:
			end := strings.IndexFunc(sql, func(r rune) bool { return !unicode.IsLetter(r) })
			if end < 0 {
				end = len(sql)
			}
			return strings.ToLower(sql[:end])
		}
	}
}

// afterComment returns the rest of the SQL after its leading comment. Comments may contain other
// comments.
func afterComment(sql string) string {
	for depth := 0; ; {
		opens, closes := strings.Index(sql, "/*"), strings.Index(sql, "*/")
		switch {
		case closes < 0:
			return ""
		case opens >= 0 && opens < closes:
			depth, sql = depth+1, sql[opens+2:]
		default:
			if depth, sql = depth-1, sql[closes+2:]; depth == 0 {
				return sql
			}
		}
	}
}

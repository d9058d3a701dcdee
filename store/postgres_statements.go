package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"
)

// The SQL of projections names its tables without a schema. Postgres finds them when it prepares the statement, which happens before the
// exchange that commits: where the search path is the session's own. So each statement is prepared beforehand where it is ours, once for
// each connection; pgx then knows it by its text, and Postgres knows what was meant as long as it runs with the same search path.

// maxPrepared is how many statements a connection keeps, so that a projection which puts values into its SQL does not fill Postgres.
const maxPrepared = 256

// What keeps statements from going along with their commit, which is then made step by step.
var (
	errManyStatements    = errors.New("projections have more statements than a connection keeps")
	errTransactionAtRisk = errors.New("a statement may end the transaction, which others share")
)

// queueStatements puts what projections want into a batch behind the commits, and makes it known to the connection.
func (s *Postgres) queueStatements(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch, group []*Commit) error {
	if !slices.ContainsFunc(group, func(c *Commit) bool { return len(c.Statements) > 0 }) {
		return nil
	}
	batch.Queue(s.sql.impatient)
	known := preparedOn(conn, s.namespace)
	for _, c := range group {
		for _, q := range c.Statements {
			sql, arguments, err := rewritten(ctx, conn, q)
			if err != nil {
				return err
			}
			if err := s.prepare(ctx, conn, known, sql); err != nil {
				return err
			}
			batch.Queue(sql, arguments...)
		}
	}
	return nil
}

// preparedOn are the statements that a connection knows in a namespace.
func preparedOn(conn *pgx.Conn, namespace string) map[string]bool {
	data, key := conn.PgConn().CustomData(), "maestro: prepared in "+namespace
	known, ok := data[key].(map[string]bool)
	if !ok {
		known = map[string]bool{}
		data[key] = known
	}
	return known
}

// prepare makes a statement known to the connection, with the namespace's schema first in the search path.
func (s *Postgres) prepare(ctx context.Context, conn *pgx.Conn, known map[string]bool, sql string) error {
	switch {
	case known[sql]:
		return nil
	case len(known) == maxPrepared:
		return errManyStatements
	case isRisky(&pgx.QueuedQuery{SQL: sql}): // and has become so when it was rewritten
		return errTransactionAtRisk
	}
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.sql.impatient); err != nil {
			return err
		}
		_, err := conn.Prepare(ctx, sql, sql)
		return err
	})
	if err == nil {
		known[sql] = true
	}
	return err
}

// rewritten is a statement as Postgres gets it, such as one with pgx.NamedArgs.
func rewritten(ctx context.Context, conn *pgx.Conn, q *pgx.QueuedQuery) (sql string, arguments []any, err error) {
	if len(q.Arguments) > 0 {
		if rewriter, is := q.Arguments[0].(pgx.QueryRewriter); is {
			return rewriter.RewriteQuery(ctx, conn, q.SQL, q.Arguments[1:])
		}
	}
	return q.SQL, q.Arguments, nil
}

// isRisky tells whether a statement may end the transaction.
func isRisky(q *pgx.QueuedQuery) bool { return endsTransactions(q.SQL) || runsCode(q.SQL) }

// errEndsTransaction refuses a statement.
var errEndsTransaction = errors.New("the transaction is that of the events: SQL of a projection must not begin, end or divide it")

// endsTransactions tells whether a statement is about transactions.
func endsTransactions(sql string) bool {
	switch firstWord(sql) {
	case "abort", "begin", "commit", "end", "prepare", "release", "rollback", "savepoint", "start":
		return true
	}
	return false
}

// runsCode tells whether a statement runs code that may end a transaction, which Postgres only refuses where a statement has begun it.
func runsCode(sql string) bool {
	word := firstWord(sql)
	return word == "call" || word == "do"
}

// firstWord is the word that a statement begins with, in small letters.
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

// afterComment is what follows a comment, in which there may be others.
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

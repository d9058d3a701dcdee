package store

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// lentTx is the transaction of a commit as projections have it in hand. Its methods refuse to end
// it. After SQL has ended it, lentTx sends nothing more, because Postgres would commit each
// further statement by itself.
type lentTx struct {
	pgx.Tx
	savepoint bool // the projection has begun it, and ends it
}

// open returns ctx while the transaction lasts. Afterwards it returns a context that has ended.
func (t lentTx) open(ctx context.Context) context.Context {
	if marks && t.Conn().PgConn().TxStatus() == 'I' {
		ctx, cancel := context.WithCancelCause(ctx)
		cancel(errEnded)
		return ctx
	}
	return ctx
}

func (t lentTx) Begin(ctx context.Context) (pgx.Tx, error) {
	tx, err := t.Tx.Begin(t.open(ctx))
	if err != nil {
		return nil, err
	}
	return lentTx{Tx: tx, savepoint: true}, nil
}

func (t lentTx) Commit(ctx context.Context) error {
	if marks && !t.savepoint {
		return errNotTheirs
	}
	return t.Tx.Commit(t.open(ctx))
}

func (t lentTx) Rollback(ctx context.Context) error {
	if marks && !t.savepoint {
		return errNotTheirs
	}
	return t.Tx.Rollback(t.open(ctx))
}

func (t lentTx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, source pgx.CopyFromSource) (int64, error) {
	return t.Tx.CopyFrom(t.open(ctx), table, columns, source)
}

func (t lentTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return t.Tx.SendBatch(t.open(ctx), b)
}

func (t lentTx) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	return t.Tx.Prepare(t.open(ctx), name, sql)
}

func (t lentTx) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	return t.Tx.Exec(t.open(ctx), sql, arguments...)
}

func (t lentTx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return t.Tx.Query(t.open(ctx), sql, args...)
}

func (t lentTx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return t.Tx.QueryRow(t.open(ctx), sql, args...)
}

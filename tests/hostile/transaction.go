package hostile

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// says is the habit of running SQL, one statement after the other, until one fails.
func says(statements ...string) func(context.Context, pgx.Tx, string) error {
	return func(ctx context.Context, tx pgx.Tx, _ string) error {
		for _, sql := range statements {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	}
}

// says1 is the habit of running SQL with the aggregate's id as its argument.
func says1(sql string) func(context.Context, pgx.Tx, string) error {
	return func(ctx context.Context, tx pgx.Tx, id string) error {
		_, err := tx.Exec(ctx, sql, id)
		return err
	}
}

// ignores is a habit whose error is ignored.
func ignores(habit func(context.Context, pgx.Tx, string) error) func(context.Context, pgx.Tx, string) error {
	return func(ctx context.Context, tx pgx.Tx, id string) error {
		_ = habit(ctx, tx, id)
		return nil
	}
}

// then runs one habit after the other.
func then(habits ...func(context.Context, pgx.Tx, string) error) func(context.Context, pgx.Tx, string) error {
	return func(ctx context.Context, tx pgx.Tx, id string) error {
		for _, habit := range habits {
			if err := habit(ctx, tx, id); err != nil {
				return err
			}
		}
		return nil
	}
}

// prepareTransaction writes the name into the SQL, because the statement takes no argument.
func prepareTransaction(ctx context.Context, tx pgx.Tx, id string) error {
	_, err := tx.Exec(ctx, `prepare transaction 'hostile-`+id+`'`)
	return err
}

const (
	refused = "failed projection_failed"
	gaveUp  = "failed gave_up"
)

// Transactions are the habits that end, divide or break the transaction.
var Transactions = []ModelHabit{
	{Habit{"rollback", refused}, says(`rollback`)},
	{Habit{"commit", refused}, says(`commit`)},
	{Habit{"rollback and begin", refused}, says(`rollback`, `begin`)},
	{Habit{"commit and begin", refused}, says(`commit`, `begin`)},
	{Habit{"commit and chain", refused}, says(`commit and chain`)},
	{Habit{"rollback and chain", refused}, says(`rollback and chain`)},
	{Habit{"rollback and begin in one text", refused}, says(`rollback; begin`)},
	{Habit{"rollback, and the error is ignored", refused}, ignores(says(`rollback`, `select 1/0`))},
	{Habit{"prepare transaction", refused}, prepareTransaction},
	{Habit{"prepare transaction and begin", refused}, then(prepareTransaction, says(`begin`))},
	{Habit{"the transaction's own rollback", refused}, func(ctx context.Context, tx pgx.Tx, _ string) error { return tx.Rollback(ctx) }},
	{Habit{"the transaction's own commit", refused}, func(ctx context.Context, tx pgx.Tx, _ string) error { return tx.Commit(ctx) }},
	{Habit{"commit behind the transaction's back", refused}, func(ctx context.Context, tx pgx.Tx, _ string) error {
		_, err := tx.Conn().Exec(ctx, `commit`)
		return err
	}},
	{Habit{"begin", "committed"}, says(`begin`)},
	{Habit{"a savepoint", "committed"}, says(`savepoint a`, `insert into things (id) values (gen_random_uuid()::text)`, `release a`)},
	{Habit{"a savepoint, and back", "committed"}, says(`savepoint a`, `select 1`, `rollback to a`)},
	{Habit{"a savepoint heals an error", "committed"}, func(ctx context.Context, tx pgx.Tx, _ string) error {
		_ = says(`savepoint a`, `select 1/0`)(ctx, tx, "")
		return says(`rollback to a`)(ctx, tx, "")
	}},
	{Habit{"savepoints that nobody releases", "committed"}, says(`savepoint a`, `savepoint b`, `savepoint a`)},
	{Habit{"a savepoint that is not there", refused}, says(`rollback to nothing`)},
	{Habit{"a transaction in the transaction", "committed"}, func(ctx context.Context, tx pgx.Tx, id string) error {
		return pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { return says1(`insert into things (id) values ($1 || 'nested')`)(ctx, tx, id) })
	}},
	{Habit{"a transaction in the transaction that stays open", "committed or " + refused}, func(
		ctx context.Context, tx pgx.Tx, _ string,
	) error {
		_, err := tx.Begin(ctx)
		return err
	}},
	{Habit{"an error that is ignored", refused}, ignores(says(`insert into things (id) values ('taken')`))},
	{Habit{"set transaction read only", "committed or " + refused}, says(`set transaction read only`)},
	{Habit{"set transaction isolation level", refused}, says(`set transaction isolation level serializable`)},
	{Habit{"rows that nobody reads", refused + " or committed"}, func(ctx context.Context, tx pgx.Tx, _ string) error {
		_, err := tx.Query(ctx, `select n, repeat('x', 1000) from generate_series(1, 10000) n`)
		return err
	}},
	{Habit{"a panic with rows in hand", refused}, func(ctx context.Context, tx pgx.Tx, _ string) error {
		_, err := tx.Query(ctx, `select n, repeat('x', 1000) from generate_series(1, 10000) n`)
		panic(err)
	}},
}

package hostile

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// returns is the habit of returning a Go error.
func returns(err error) func(context.Context, pgx.Tx, string) error {
	return func(context.Context, pgx.Tx, string) error { return err }
}

// raises is the habit of SQL that raises an error with a SQLSTATE.
func raises(state string) func(context.Context, pgx.Tx, string) error {
	return says(`do $$ begin raise exception 'as an extension does' using errcode = '` + state + `'; end $$`)
}

// argument is the habit of SQL with an argument.
func argument(sql string, value any) func(context.Context, pgx.Tx, string) error {
	return func(ctx context.Context, tx pgx.Tx, _ string) error {
		_, err := tx.Exec(ctx, sql, value)
		return err
	}
}

// panicky is an argument that panics when it is encoded. leaving is an argument that ends the
// goroutine.
type (
	panicky struct{}
	leaving struct{}
)

func (panicky) Value() (driver.Value, error) { panic("no such value") }
func (panicky) MarshalJSON() ([]byte, error) { panic("no such JSON") }

func (leaving) Value() (driver.Value, error) {
	runtime.Goexit()
	return "", nil
}

// Failing are the habits of failing, of being slow, and of blocking others.
var Failing = []ModelHabit{
	{Habit{"an error", refused}, returns(errors.New("no"))},
	{Habit{"a rejection", "rejected not_so"}, returns(aggregate.Reject("not_so", "no"))},
	{Habit{"a constraint", "rejected constraint_violated"}, says(`insert into things (id) values ('taken')`)},
	{Habit{"a constraint that is checked at the end", "rejected constraint_violated"},
		says1(`insert into things (id, other) values ($1, 'nobody')`)},
	{Habit{"an error that wraps EOF", refused}, returns(fmt.Errorf("read the picture: %w", io.ErrUnexpectedEOF))},
	{Habit{"an error that wraps a deadline", refused}, returns(fmt.Errorf("ask the bank: %w", context.DeadlineExceeded))},
	{Habit{"an error that wraps a cancellation", refused}, returns(fmt.Errorf("ask the bank: %w", context.Canceled))},
	{Habit{"an error of an HTTP client", refused}, returns(&url.Error{Op: "Get", URL: "http://bank", Err: context.DeadlineExceeded})},
	{Habit{"an error that pretends to be the fence's", refused}, returns(store.ErrFenced)},
	{Habit{"an error that pretends to be a conflict", refused}, returns(store.ErrConflict)},
	{Habit{"an error that pretends to be a duplicate", refused}, returns(store.ErrDuplicate)},
	{Habit{"an error without a text", refused}, returns(errNone)},
	{Habit{"a panic", refused}, func(context.Context, pgx.Tx, string) error { panic("no such row") }},
	{Habit{"an internal error of an extension", refused}, raises("XX000")},
	{Habit{"a missing file that a function raises", refused}, raises("58P01")},
	{Habit{"a missing table that a function raises", refused}, raises("42P01")},
	{Habit{"a cancellation that a function raises", gaveUp}, raises("57014")},
	{Habit{"a deadlock that a function raises", gaveUp}, raises("40P01")},
	{Habit{"a time-out of its own", gaveUp}, func(ctx context.Context, tx pgx.Tx, _ string) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		return says(`select pg_sleep(5)`)(ctx, tx, "")
	}},
	{Habit{"a statement time-out of its own", gaveUp}, says(`set local statement_timeout = 20`, `select pg_sleep(5)`)},
	{Habit{"it closes its connection", gaveUp}, func(ctx context.Context, tx pgx.Tx, _ string) error { return tx.Conn().Close(ctx) }},
	{Habit{"it closes its connection and says so", gaveUp}, func(ctx context.Context, tx pgx.Tx, _ string) error {
		return errors.Join(tx.Conn().Close(ctx), errors.New("no"))
	}},
	{Habit{"it ends its session", gaveUp}, says(`select pg_terminate_backend(pg_backend_pid())`)},
	{Habit{"it ends its session, and the error is ignored", gaveUp}, ignores(says(`select pg_terminate_backend(pg_backend_pid())`))},
	{Habit{"it ends its goroutine", refused}, func(context.Context, pgx.Tx, string) error { runtime.Goexit(); return nil }},
	{Habit{"an argument whose value panics", refused}, argument(`select $1::text`, panicky{})},
	{Habit{"an argument whose JSON panics", refused}, argument(`select $1::jsonb`, panicky{})},
	{Habit{"SQL that divides by zero", refused}, says(`select 1/0`)},
	{Habit{"SQL that is none", refused}, says(`selekt 1`)},
	{Habit{"a context that has ended", refused}, func(ctx context.Context, tx pgx.Tx, _ string) error {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return says(`select 1`)(ctx, tx, "")
	}},
	{Habit{"it is slow", "committed"}, says(`select pg_sleep(0.4)`)},
	{Habit{"it is slow in Go", "committed"}, func(context.Context, pgx.Tx, string) error {
		<-time.After(400 * time.Millisecond)
		return nil
	}},
	{Habit{"it locks its table", "committed"}, says(`lock table things in access exclusive mode`, `select pg_sleep(0.2)`)},
	{Habit{"rows of a megabyte", "committed"},
		says1(`insert into things (id, text) values ($1, repeat(md5($1), 32768)) on conflict (id) do update set text = excluded.text`)},
	{Habit{"it changes its table", "committed"}, says(`alter table things add column if not exists more text`)},
}

package hostile

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
)

// queues is the habit of queued SQL without arguments.
func queues(statements ...string) func(*pgx.Batch, string) error {
	return func(into *pgx.Batch, _ string) error {
		for _, sql := range statements {
			into.Queue(sql)
		}
		return nil
	}
}

// queuesOne is the habit of queued SQL with an argument.
func queuesOne(sql string, argument any) func(*pgx.Batch, string) error {
	return func(into *pgx.Batch, _ string) error {
		into.Queue(sql, argument)
		return nil
	}
}

// Queueing are the habits of queued SQL.
var Queueing = []QueueHabit{
	{Habit{"queueing fails", refused}, func(*pgx.Batch, string) error { return errors.New("no") }},
	{Habit{"queueing rejects", "rejected not_so"}, func(*pgx.Batch, string) error { return aggregate.Reject("not_so", "no") }},
	{Habit{"queueing fails with EOF", refused}, func(*pgx.Batch, string) error { return fmt.Errorf("read: %w", io.ErrUnexpectedEOF) }},
	{Habit{"queueing panics", refused}, func(*pgx.Batch, string) error { panic("no such row") }},
	{Habit{"queueing fails when it has queued", refused}, func(into *pgx.Batch, id string) error {
		into.Queue(`insert into queued (id) values ($1)`, id)
		return errors.New("no")
	}},
	{Habit{"a constraint", "rejected constraint_violated"}, queues(`insert into queued (id) values ('taken')`)},
	{Habit{"a constraint that is checked at the end", "rejected constraint_violated"}, func(into *pgx.Batch, id string) error {
		into.Queue(`insert into queued (id, other) values ($1, 'nobody')`, id)
		return nil
	}},
	{Habit{"SQL that divides by zero", refused}, queues(`select 1/0`)},
	{Habit{"SQL that is none", refused}, queues(`selekt 1`)},
	{Habit{"nothing is queued", "committed"}, queues()},
	{Habit{"a wrong number of arguments", refused}, func(into *pgx.Batch, _ string) error {
		into.Queue(`select 1`, "one", "two")
		return nil
	}},
	{Habit{"an argument that cannot be sent", refused}, func(into *pgx.Batch, _ string) error {
		into.Queue(`select $1::int`, make(chan int))
		return nil
	}},
	{Habit{"an argument that is no text", refused}, func(into *pgx.Batch, _ string) error {
		into.Queue(`insert into queued (id) values ($1)`, "a\x00\xffb")
		return nil
	}},
	{Habit{"an argument whose value panics", refused}, queuesOne(`select $1::text`, panicky{})},
	{Habit{"an argument whose JSON panics", refused}, queuesOne(`select $1::jsonb`, panicky{})},
	{Habit{"an argument that ends the goroutine", refused}, queuesOne(`select $1::text`, leaving{})},
	{Habit{"queueing ends its goroutine", refused}, func(*pgx.Batch, string) error { runtime.Goexit(); return nil }},
	{Habit{"it ends its session", gaveUp}, queues(`select pg_terminate_backend(pg_backend_pid())`)},
	{Habit{"code that ends its session", gaveUp}, queues(`do $$ begin perform pg_terminate_backend(pg_backend_pid()); end $$`)},
	{Habit{"it is cancelled each time", gaveUp}, queues(`select pg_cancel_backend(pg_backend_pid()), pg_sleep(5)`)},
	{Habit{"deallocate all", gaveUp}, queues(`deallocate all`)},
	{Habit{"a missing file that a function raises", refused}, queues(`do $$ begin raise 'no' using errcode = '58P01'; end $$`)},
	{Habit{"commit", refused}, queues(`commit`)},
	{Habit{"rollback", refused}, queues(`rollback`)},
	{Habit{"an empty text", refused}, queues(``)},
	{Habit{"two statements in one text", refused}, queues(`select 1; commit`)},
	{Habit{"code that commits", refused}, queues(`do $$ begin commit; end $$`)},
	{Habit{"set synchronous_commit = off", "committed"}, queues(`set synchronous_commit = off`)},
	{Habit{"set_config", "committed"},
		queues(`select set_config('synchronous_commit', 'off', false), set_config('TimeZone', 'Asia/Tokyo', false)`)},
	{Habit{"set search_path", "committed"}, queues(`set search_path = pg_temp, public`)},
	{Habit{"set role", "committed or " + refused}, queues(`set role hostile_nobody`)},
	{Habit{"a statement time-out of a millisecond", "committed or " + refused}, queues(`set statement_timeout = 1`)},
	{Habit{"settings by an update", "committed"}, queues(`update pg_settings set setting = 'SQL, DMY' where name = 'DateStyle'`)},
	{Habit{"an advisory lock", "committed"}, queues(`with a as (select pg_advisory_lock(424242)) select * from a`)},
	{Habit{"temporary tables", "committed"}, queues(`create temp table if not exists left_over (n int)`, `insert into left_over values (1)`)},
	{Habit{"a temporary table from a query", "committed"}, queues(`select 1 as n into temp left_over`)},
	{Habit{"listen", "committed"}, queues(`listen left_over`)},
	{Habit{"a cursor with hold", "committed"}, queues(`declare kept cursor with hold for select generate_series(1, 10)`)},
	{Habit{"SQL is slow", "committed"}, queues(`select pg_sleep(0.3)`)},
	{Habit{"code is slow", "committed"}, queues(`do $$ begin perform pg_sleep(0.3); end $$`)},
	{Habit{"two thousand statements", "committed"}, func(into *pgx.Batch, id string) error {
		for range 2000 {
			into.Queue(`select $1::text`, id)
		}
		return nil
	}},
	{Habit{"two thousand texts", "committed"}, func(into *pgx.Batch, _ string) error {
		for i := range 2000 {
			into.Queue(fmt.Sprintf(`select %d`, i))
		}
		return nil
	}},
	{Habit{"a megabyte of text", "committed"}, func(into *pgx.Batch, _ string) error {
		into.Queue(`select $1::text`, strings.Repeat("x", 1<<20))
		return nil
	}},
	{Habit{"a result that is to be read", refused}, func(into *pgx.Batch, _ string) error {
		into.Queue(`select 1`).QueryRow(func(pgx.Row) error { return nil })
		return nil
	}},
}

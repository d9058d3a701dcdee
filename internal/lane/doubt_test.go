package lane_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/projections"
)

// A command whose projection ends its own session, or is always cancelled, is given up, because
// Postgres is healthy. Only this command is given up.
func TestWhatFailsInDoubtIsGivenUp(t *testing.T) {
	t.Parallel()
	says := func(statements ...string) func(context.Context, pgx.Tx) error {
		return func(ctx context.Context, tx pgx.Tx) error {
			for _, sql := range statements {
				if _, err := tx.Exec(ctx, sql); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		does func(context.Context, pgx.Tx) error
		sql  string // queued
		why  string
	}{
		"it closes the connection": {does: func(ctx context.Context, tx pgx.Tx) error { return tx.Conn().Close(ctx) }, why: "must not close"},
		"it ends the session":      {does: says(`select pg_terminate_backend(pg_backend_pid())`), why: "end its session"},
		"queued, it does":          {sql: `select pg_terminate_backend(pg_backend_pid())`, why: `with projection "wrong"`},
		"it deallocates":           {does: says(`deallocate all`), why: "must neither deallocate"},
		"queued, it deallocates":   {sql: `deallocate all`, why: "must neither deallocate"},
		"it has a time-out":        {does: says(`set local statement_timeout = 20`, `select pg_sleep(5)`), why: "set local statement_timeout"},
		"it is cancelled":          {sql: `select pg_cancel_backend(pg_backend_pid()), pg_sleep(5)`, why: "was cancelled each time"},
		"it raises a cancellation": {does: says(`do $$ begin raise 'no' using errcode = '57014'; end $$`), why: "was cancelled each time"},
		"it raises a deadlock":     {sql: `do $$ begin raise 'no' using errcode = '40P01'; end $$`, why: "another try"},
		"its context has a time-out": {does: func(ctx context.Context, tx pgx.Tx) error {
			ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			_, err := tx.Exec(ctx, "select pg_sleep(5)")
			return err
		}, why: "a time-out of its own"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, pool := postgres(t)
			option := projections.Each(slowTally, func(ctx context.Context, tx pgx.Tx, e projections.Event[Added]) error {
				if e.Data.Note != "wrong" {
					return nil
				}
				return c.does(ctx, tx)
			})
			if c.sql != "" {
				option = projections.Queue(slowTally, func(into *pgx.Batch, e projections.Event[Added]) error {
					if e.Data.Note == "wrong" {
						into.Queue(c.sql)
					}
					return nil
				})
			}
			p := projections.Define("wrong", option)
			require.NoError(t, s.Setup(t.Context(), p.Model()))
			r := newRig(t, s, hasty, func(c *lane.Config) { c.Projections = []lane.Projection{p} }).run()
			results := r.batch(at(1, noted("a", "1", "")), noted("a", "2", ""), at(2, noted("b", "3", "wrong")), noted("c", "4", ""),
				at(3, noted("d", "5", "")))
			require.Equal(t, []string{"committed", "committed", "failed gave_up", "committed", "committed"}, statuses(results))
			message := results[2].Outcome.Error.Message
			require.Contains(t, message, "given up after 3 tries: ")
			require.Contains(t, message, c.why)
			require.Len(t, r.log(), 4)
			var letters int
			require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from maestro.dead_letters where code = 'gave_up'").Scan(&letters))
			require.Equal(t, 1, letters)
		})
	}
}

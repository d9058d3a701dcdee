package lane_test

import (
	"context"
	"database/sql/driver"
	"runtime"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/projections"
	"github.com/maestro-es/maestro/store"
)

// If Decide or Evolve ends its goroutine, only that command is refused.
func TestADecideThatEndsItsGoroutineIsRefused(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		r := newRig(t, s).run()
		results := r.batch(add("a", "1", 1), do("a", "2", "exit"), at(1, do("b", "3", "exit")), at(2, do("b", "4", "leave")), add("a", "5", 1),
			at(3, add("b", "6", 1)))
		require.Equal(t, []string{"committed", "failed panic", "failed panic", "failed panic", "committed", "committed"}, statuses(results))
		require.Contains(t, results[1].Outcome.Error.Message, "runtime.Goexit")
		require.Equal(t, "failed panic again", status(r.one(do("a", "2", "exit")).Outcome))
		done := make(chan error, 1)
		require.NoError(t, r.SubmitRead(t.Context(), &lane.Read{Key: key("a"), Done: func(err error) { done <- err },
			Look: func(aggregate.Instance) error { runtime.Goexit(); return nil }}))
		require.ErrorContains(t, <-done, "runtime.Goexit")
		require.Equal(t, "committed", status(r.one(add("a", "7", 1)).Outcome))
	})
}

// An aggregate whose history ends the goroutine that reads it cannot be read. Others can be read.
func TestAHistoryThatEndsTheGoroutineCannotBeRead(t *testing.T) {
	eachStore(t, func(t *testing.T, s store.Store) {
		before := acquired(t, s)
		c := &store.Commit{Partition: 0, Epoch: before.Epoch, Events: []store.Event{{Position: 1, Aggregate: key("a"),
			Recorded: aggregate.Recorded{Sequence: 1, Type: "leaver", Version: 1, Body: []byte(`{}`)}}}}
		require.NoError(t, s.Commit(t.Context(), c))
		r := newRigAt(t, s, must(t, s), nil).run()
		for range 2 {
			_, err := r.look("a", false)
			require.ErrorContains(t, err, "runtime.Goexit")
		}
		results := r.batch(add("a", "1", 1), at(1, add("a", "2", 1)), add("b", "3", 1), at(2, add("c", "4", 1)))
		require.Equal(t, []string{"failed unreadable_aggregate", "failed unreadable_aggregate", "committed", "committed"}, statuses(results))
	})
}

// exits and panics are arguments that encode themselves.
type (
	exits  struct{}
	panics struct{}
)

func (exits) Value() (driver.Value, error)  { runtime.Goexit(); return nil, nil } //nolint:nilnil // it does not come to that
func (panics) Value() (driver.Value, error) { panic("no value") }
func (panics) MarshalJSON() ([]byte, error) { panic("no JSON") }
func queues(sql string, argument any) func(*pgx.Batch) error {
	return func(into *pgx.Batch) error { into.Queue(sql, argument); return nil }
}

// A projection that ends its goroutine affects only its own command, wherever its code runs.
func TestAProjectionThatEndsItsGoroutineRefusesItsOwnCommandAlone(t *testing.T) {
	t.Parallel()
	inHand := func(does func(context.Context, pgx.Tx) error) projections.Option {
		return projections.Batch(tally, func(ctx context.Context, tx pgx.Tx, events []projections.Event[Added]) error {
			for _, e := range events {
				if e.Data.Note == "wrong" {
					return does(ctx, tx)
				}
			}
			return nil
		})
	}
	queued := func(does func(*pgx.Batch) error) projections.Option {
		return projections.Queue(tally, func(into *pgx.Batch, e projections.Event[Added]) error {
			if e.Data.Note == "wrong" {
				return does(into)
			}
			into.Queue("select 1")
			return nil
		})
	}
	for name, option := range map[string]projections.Option{
		"in hand": inHand(func(context.Context, pgx.Tx) error { runtime.Goexit(); return nil }),
		"in hand, it waits": inHand(func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "select $1::text", exits{})
			return err
		}),
		"queueing":                       queued(func(*pgx.Batch) error { runtime.Goexit(); return nil }),
		"an argument exits":              queued(queues("select $1::text", exits{})),
		"an argument panics":             queued(queues("select $1::text", panics{})),
		"the JSON of an argument panics": queued(queues("select $1::jsonb", panics{})),
		"an argument in hand panics": inHand(func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "select $1::text", panics{})
			return err
		}),
		"an argument of a batch panics": inHand(func(ctx context.Context, tx pgx.Tx) error {
			var batch pgx.Batch
			batch.Queue("select 1")
			batch.Queue("select $1::text", panics{})
			return tx.SendBatch(ctx, &batch).Close()
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := postgres(t)
			p := projections.Define("wrong", option)
			require.NoError(t, s.Setup(t.Context(), p.Model()))
			r := newRig(t, s, func(c *lane.Config) { c.Projections = []lane.Projection{p} }).run()
			results := r.batch(noted("a", "1", "good"), at(1, noted("b", "2", "wrong")), noted("a", "3", "good"), noted("b", "4", "wrong"),
				at(2, noted("b", "5", "good")))
			require.Equal(t, []string{"committed", "failed projection_failed", "committed", "failed projection_failed", "committed"},
				statuses(results))
			require.Len(t, r.log(), 3)
		})
	}
}

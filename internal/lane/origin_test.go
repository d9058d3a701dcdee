package lane_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/projections"
)

// The origin of a projection's error decides. An error returned by its Go code refuses the command,
// whatever the error looks like. So does damage that the projection does to the transaction. The
// other commands go on.
func TestWhatAProjectionDoesWrongRefusesItsOwnCommandAlone(t *testing.T) {
	t.Parallel()
	raise := func(state string) func(context.Context, pgx.Tx) error {
		return func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, fmt.Sprintf(`do $$ begin raise exception 'broken' using errcode = '%s'; end $$`, state))
			return err
		}
	}
	runs := func(sql string) func(context.Context, pgx.Tx) error {
		return func(ctx context.Context, tx pgx.Tx) error {
			_, _ = tx.Exec(ctx, sql)
			return nil
		}
	}
	for name, wrong := range map[string]func(context.Context, pgx.Tx) error{
		"unexpected EOF":  func(context.Context, pgx.Tx) error { return fmt.Errorf("read: %w", io.ErrUnexpectedEOF) },
		"its own timeout": func(context.Context, pgx.Tx) error { return context.DeadlineExceeded },
		"a *url.Error":    func(context.Context, pgx.Tx) error { return &url.Error{Op: "Get", Err: io.EOF} },
		"XX000":           raise("XX000"),
		"25006":           raise("25006"),
		"ME001":           raise("ME001"),
		"58P01":           raise("58P01"),
		"42P01":           raise("42P01"),
		"ignored":         runs(`select 1/0`),
		"rollback":        runs(`rollback`),
		"commit":          runs(`commit`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := postgres(t)
			p := projections.Define("wrong", projections.Each(tally, func(ctx context.Context, tx pgx.Tx, e projections.Event[Added]) error {
				if e.Data.Note == "wrong" {
					return wrong(ctx, tx)
				}
				return nil
			}))
			require.NoError(t, s.Setup(t.Context(), p.Model()))
			r := newRig(t, s, func(c *lane.Config) { c.Projections = []lane.Projection{p} }).run()
			results := r.batch(noted("a", "1", "good"), noted("b", "2", "wrong"), noted("a", "3", "good"), noted("b", "4", "wrong"))
			require.Equal(t, []string{"committed", "failed projection_failed", "committed", "failed projection_failed"}, statuses(results))
			require.Len(t, r.log(), 2)
		})
	}
}

// A projection may say that its failure is temporary.
func TestAProjectionMayAskForAnotherTry(t *testing.T) {
	t.Parallel()
	s, _ := postgres(t)
	var tries atomic.Int32
	p := projections.Define("again", projections.Each(tally, func(context.Context, pgx.Tx, projections.Event[Added]) error {
		if tries.Add(1) < 3 {
			return projections.Retry(errors.New("away"))
		}
		return nil
	}))
	require.NoError(t, s.Setup(t.Context(), p.Model()))
	r := newRig(t, s, func(c *lane.Config) { c.Projections = []lane.Projection{p} }).run()
	require.Equal(t, "committed", status(r.one(noted("a", "1", "good")).Outcome))
	require.EqualValues(t, 3, tries.Load())
	require.NoError(t, projections.Retry(nil))
}

// A table that is renamed for a while is no command's fault, so all commands wait and none is
// refused. If the projection works for others meanwhile, only the command that names a missing
// table is refused.
func TestWhatAPersonHasToRepairIsWaitedFor(t *testing.T) {
	t.Parallel()
	s, pool := postgres(t)
	p := projections.Define("named", projections.Each(tally, func(ctx context.Context, tx pgx.Tx, e projections.Event[Added]) error {
		_, err := tx.Exec(ctx, fmt.Sprintf(`insert into %s values (1)`, pgx.Identifier{e.Data.Note}.Sanitize()))
		return err
	}), projections.Setup(`create table here (n int)`))
	require.NoError(t, s.Setup(t.Context(), p.Model()))
	r := newRig(t, s, func(c *lane.Config) { c.Projections = []lane.Projection{p} }).run()
	_, err := pool.Exec(t.Context(), `alter table maestro_named_1.here rename to elsewhere`)
	require.NoError(t, err)
	results := r.put(noted("a", "1", "here"), noted("b", "2", "here"))
	require.Eventually(t, func() bool { return r.Stats().Doing.Attempts > 3 }, time.Minute, time.Millisecond)
	require.Empty(t, results)
	_, err = pool.Exec(t.Context(), `alter table maestro_named_1.elsewhere rename to here`)
	require.NoError(t, err)
	require.Equal(t, []string{"committed", "committed"}, statuses(collect(results, 2)))
	require.Equal(t, []string{"committed", "failed projection_failed", "committed"},
		statuses(r.batch(noted("a", "3", "here"), noted("b", "4", "nowhere"), noted("a", "5", "here"))))
}

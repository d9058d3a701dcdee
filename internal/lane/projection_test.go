package lane_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/projections"
	"github.com/maestro-es/maestro/store"
)

// notes is a read model: each note belongs to one tally. notesAtOnce is the same with all events of
// a commit in one call. notesQueued is the same with queued SQL.
var (
	notesQueued = projections.Define("notes", projections.Queue(tally, func(into *pgx.Batch, e projections.Event[Added]) error {
		sql, err := noteSQL(e)
		if err == nil && sql != "" {
			into.Queue(sql, pgx.NamedArgs{"note": e.Data.Note, "id": e.Aggregate.ID})
		}
		return err
	}))
	notes       = projections.Define("notes", projections.Each(tally, note))
	notesAtOnce = projections.Define("notes", projections.Batch(tally,
		func(ctx context.Context, tx pgx.Tx, events []projections.Event[Added]) error {
			for _, e := range events {
				if err := note(ctx, tx, e); err != nil {
					return err
				}
			}
			return nil
		}))
)

func note(ctx context.Context, tx pgx.Tx, e projections.Event[Added]) error {
	sql, err := noteSQL(e)
	if err == nil && sql != "" {
		_, err = tx.Exec(ctx, sql, pgx.NamedArgs{"note": e.Data.Note, "id": e.Aggregate.ID})
	}
	return err
}

// noteSQL returns the SQL for an event, or "" for an event without a note.
func noteSQL(e projections.Event[Added]) (string, error) {
	switch e.Data.Note {
	case "":
		return "", nil
	case "panic":
		panic("in a projection")
	case "error":
		return "", errors.New("the projection is broken")
	case "reject":
		return "", aggregate.Reject("note_unwanted", "no such notes")
	case "odd":
		if e.Sequence%2 == 0 {
			return "", aggregate.Reject("note_unwanted", "no even events")
		}
	case "syntax":
		return "selectt", nil
	}
	return "insert into notes (note, id) values (@note, @id)", nil
}

// eachWay runs a test with each kind of projection.
func eachWay(t *testing.T, test func(t *testing.T, p lane.Projection)) {
	t.Helper()
	t.Parallel()
	for name, p := range map[string]lane.Projection{"queued": notesQueued, "one event at a time": notes, "a batch at once": notesAtOnce} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, p)
		})
	}
}

// noteRig returns a lane with the projection on a table with the given constraint.
func noteRig(t *testing.T, p lane.Projection, constraint string) (*rig, *pgxpool.Pool) {
	t.Helper()
	s, pool := postgres(t)
	require.NoError(t, s.Setup(t.Context(), &store.ReadModel{Name: "notes", Version: 1,
		Setup: "create table notes (note text, id text not null check (id <> 'x'), " + constraint + ")"}))
	return newRig(t, s, func(c *lane.Config) { c.Projections = []lane.Projection{p} }).run(), pool
}

func noted(id, command, note string) *lane.Command {
	return &lane.Command{Key: key(id), ID: command, Name: "add", Body: body(Add{By: 1, Note: note})}
}

// requireModel requires that the read model agrees with the log.
func (r *rig) requireModel(pool *pgxpool.Pool) {
	r.Helper()
	rows, err := pool.Query(r.Context(), "select note || ' ' || id from maestro_read.notes")
	require.NoError(r, err)
	model, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(r, err)
	var want []string
	for _, e := range r.log() {
		decoded, err := tally.Decode(e.Recorded)
		require.NoError(r, err)
		if note := decoded.(Added).Note; note != "" {
			want = append(want, note+" "+e.Aggregate.ID)
		}
	}
	require.ElementsMatch(r, want, model)
}

func TestAProjectionThatFailsRefusesItsOwnCommandAlone(t *testing.T) {
	eachWay(t, aProjectionThatFailsRefusesItsOwnCommandAlone)
}

func aProjectionThatFailsRefusesItsOwnCommandAlone(t *testing.T, p lane.Projection) {
	r, pool := noteRig(t, p, "primary key (note)")
	results := r.batch(noted("a", "1", "red"), noted("b", "2", "red"), add("b", "3", 1), noted("a", "4", "panic"),
		noted("x", "5", "blue"), noted("a", "6", "reject"), noted("a", "7", "error"), noted("a", "8", "syntax"), noted("b", "9", "blue"))
	require.Equal(t, []string{"committed", "rejected constraint_violated", "committed", "failed projection_failed",
		"rejected constraint_violated", "rejected note_unwanted", "failed projection_failed", "failed projection_failed",
		"committed"}, statuses(results))
	require.Equal(t, []int64{1, 0, 1, 1, 0, 1, 1, 1, 2}, sequencesOf(results), "a refused command moves nothing")
	require.Contains(t, results[1].Outcome.Error.Message, "notes_pkey")
	require.Contains(t, results[3].Outcome.Error.Message, "in a projection")
	var rejection *aggregate.Rejection
	require.ErrorAs(t, results[5].Err, &rejection)
	r.requireModel(pool)
	require.Equal(t, "rejected constraint_violated again", status(r.one(noted("b", "2", "red")).Outcome))
}

func TestAllCommandsOfABatchMayBeRefusedByAProjection(t *testing.T) {
	eachWay(t, allCommandsOfABatchMayBeRefusedByAProjection)
}

func allCommandsOfABatchMayBeRefusedByAProjection(t *testing.T, p lane.Projection) {
	r, pool := noteRig(t, p, "primary key (note)")
	r.one(noted("a", "0", "red"))
	var commands []*lane.Command
	for i := range 12 {
		commands = append(commands, noted(fmt.Sprint(i%2), fmt.Sprint("c", i), "red"))
	}
	for _, result := range r.batch(commands...) {
		require.Equal(t, "rejected constraint_violated", status(result.Outcome))
	}
	require.Equal(t, "committed", status(r.one(noted("0", "1", "blue")).Outcome))
	r.requireModel(pool)
}

// If one event of a command is refused, so are all of them, and the writes of its earlier events
// are undone.
func TestNothingOfARefusedCommandRemains(t *testing.T) { eachWay(t, nothingOfARefusedCommandRemains) }

func nothingOfARefusedCommandRemains(t *testing.T, p lane.Projection) {
	r, pool := noteRig(t, p, "primary key (note)")
	twice := noted("a", "1", "red")
	twice.Body = body(Add{By: 1, Note: "red", Times: 2}) // the second one takes a taken note
	half := noted("a", "3", "odd")
	half.Body = body(Add{By: 1, Note: "odd", Times: 2}) // the second one is refused
	require.Equal(t, []string{"committed", "rejected constraint_violated", "rejected note_unwanted", "committed"},
		statuses(r.batch(noted("b", "0", "green"), twice, half, noted("b", "2", "red"))))
	require.Len(t, r.log(), 2)
	r.requireModel(pool)
}

// A deferred constraint fails at the end of the transaction, and does not say for which command.
func TestADeferredConstraintRefusesItsOwnCommandAlone(t *testing.T) {
	eachWay(t, aDeferredConstraintRefusesItsOwnCommandAlone)
}

func aDeferredConstraintRefusesItsOwnCommandAlone(t *testing.T, p lane.Projection) {
	r, pool := noteRig(t, p, "unique (note) deferrable initially deferred")
	var commands []*lane.Command
	want := make([]string, 20)
	for i := range want {
		commands, want[i] = append(commands, noted(fmt.Sprint(i%3), fmt.Sprint(i), fmt.Sprint("note", i))), "committed"
	}
	for _, i := range []int{5, 6, 19} {
		commands[i], want[i] = noted(fmt.Sprint(i%3), fmt.Sprint(i), "note1"), "rejected constraint_violated"
	}
	require.Equal(t, want, statuses(r.batch(commands...)))
	r.requireModel(pool)
}

// A passing fault in a projection does not refuse the command.
func TestAProjectionThatLosesItsConnectionIsRunAgain(t *testing.T) {
	eachWay(t, aProjectionThatLosesItsConnectionIsRunAgain)
}

func aProjectionThatLosesItsConnectionIsRunAgain(t *testing.T, p lane.Projection) {
	r, pool := noteRig(t, p, "primary key (note)")
	r.one(noted("a", "0", "green"))
	// A second transaction locks the note. The lane's connection is ended while it waits for the
	// lock.
	tx, err := pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "insert into maestro_notes_1.notes values ('red', 'somebody')")
	require.NoError(t, err)
	results := r.put(noted("a", "1", "red"), noted("a", "2", "blue"))
	kill := `select pg_terminate_backend(pid) from pg_stat_activity
		where datname = current_database() and $1 = any(pg_blocking_pids(pid))`
	require.Eventually(t, func() bool {
		tag, err := pool.Exec(t.Context(), kill, tx.Conn().PgConn().PID())
		return err == nil && tag.RowsAffected() > 0
	}, time.Minute, time.Millisecond)
	require.NoError(t, tx.Rollback(t.Context()))
	require.Equal(t, []string{"committed", "committed"}, statuses(collect(results, 2)))
	r.requireModel(pool)
}

// The in-memory store has no transactions, so projections are left out there.
func TestProjectionsAreLeftOutInMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t, store.NewMemory(1), func(c *lane.Config) { c.Projections = []lane.Projection{notes} }).run()
	require.Equal(t, "committed", status(r.one(noted("a", "1", "panic")).Outcome))
}

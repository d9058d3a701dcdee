package aggregate_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
)

// thrifty defines an aggregate that stores its total as a string of digits.
func thrifty(version int) *aggregate.Definition[Counter] {
	return aggregate.Define("counter",
		aggregate.Handles[Increment]("increment"),
		aggregate.Emits[Incremented]("incremented"),
		aggregate.Snapshots(version,
			func(c Counter) string { return strconv.Itoa(c.Total) },
			func(digits string) (c Counter) {
				total, err := strconv.Atoi(digits)
				if err != nil {
					panic(err)
				}
				return Counter{Total: total}
			}))
}

func counted(t *testing.T, d *aggregate.Definition[Counter], to int) aggregate.Instance {
	t.Helper()
	i := d.New("42")
	for range to {
		_, err := i.Execute("increment", []byte(`{"by":1}`), aggregate.Metadata{})
		require.NoError(t, err)
	}
	return i
}

func TestTheDefaultSnapshotIsTheStatesJSON(t *testing.T) {
	t.Parallel()
	i := counted(t, counter, 3)
	s, err := i.Snapshot()
	require.NoError(t, err)
	require.Equal(t, aggregate.Snapshot{Sequence: 3, Version: 1, Body: json.RawMessage(`{"Total":3}`)}, s)
	require.Equal(t, 1, counter.SnapshotVersion())

	restored := counter.New("42")
	require.NoError(t, restored.Restore(s))
	require.Equal(t, i.Root(), restored.Root())
}

func TestSnapshotsTakeTheFormThatIsAskedFor(t *testing.T) {
	t.Parallel()
	d := thrifty(2)
	require.NoError(t, d.Err())
	require.Equal(t, 2, d.SnapshotVersion())
	i := counted(t, d, 5)
	s, err := i.Snapshot()
	require.NoError(t, err)
	require.Equal(t, aggregate.Snapshot{Sequence: 5, Version: 2, Body: json.RawMessage(`"5"`)}, s)

	restored := d.New("42")
	require.NoError(t, restored.Restore(s))
	require.Equal(t, i.Root(), restored.Root())
	require.NoError(t, restored.Apply(incremented(6, 1, `{"by":1}`)))
}

func TestASnapshotThatCannotBeUsedChangesNothing(t *testing.T) {
	t.Parallel()
	s, err := counted(t, thrifty(1), 5).Snapshot()
	require.NoError(t, err)
	i := counted(t, thrifty(2), 1)
	before := i.Root()

	require.ErrorContains(t, i.Restore(s), `snapshot of counter "42" has version 1, not 2`)
	require.ErrorContains(t, i.Restore(aggregate.Snapshot{Sequence: 5, Version: 2, Body: json.RawMessage(`5`)}),
		`snapshot of counter "42" at sequence 5: json: cannot unmarshal number`)
	err = i.Restore(aggregate.Snapshot{Sequence: 5, Version: 2, Body: json.RawMessage(`"five"`)})
	require.ErrorContains(t, err, "restore of counter 42 panicked")
	require.ErrorAs(t, err, new(*aggregate.PanicError))
	require.Equal(t, before, i.Root())
}

func TestSnapshotsAreDueEachTimeAnotherNEventsHaveCome(t *testing.T) {
	t.Parallel()
	everyThird := aggregate.Define("counter", aggregate.SnapshotEvery[Counter](3),
		aggregate.Handles[Increment]("increment"), aggregate.Emits[Incremented]("incremented"))
	for _, c := range []struct {
		from, to int64
		want     bool
	}{{0, 0, false}, {0, 2, false}, {2, 3, true}, {3, 3, false}, {3, 5, false}, {1, 7, true}, {5, 6, true}} {
		require.Equal(t, c.want, everyThird.SnapshotDue(c.from, c.to), "from %d to %d", c.from, c.to)
	}
	require.False(t, counter.SnapshotDue(0, 100), "the default takes none")
}

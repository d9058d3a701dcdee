package aggregate_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/maestro-es/maestro/aggregate"
)

// There are three ways to bring an aggregate to a sequence: executing commands one by one,
// applying the recorded events, or restoring a snapshot of any moment and applying the events
// after it. All of them lead to the same state.
func TestAllWaysToAStateAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		whats := rapid.SliceOf(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
			"several", "clock", "nothing", "reject", "fail", "panic", "explode", "stranger", "unreadable"}))).Draw(t, "commands")
		executed := probe.New("p")
		var log []aggregate.Recorded
		var snapshots []aggregate.Snapshot
		snapshot := func() {
			s, err := executed.Snapshot()
			require.NoError(t, err)
			snapshots = append(snapshots, s)
		}
		snapshot()
		for _, what := range whats {
			sequence := executed.Sequence()
			decided, err := execute(executed, what)
			require.False(t, err != nil && len(decided) > 0, "both events and %v", err)
			require.Equal(t, sequence+int64(len(decided)), executed.Sequence())
			for _, d := range decided {
				log = append(log, d.Recorded)
			}
			snapshot()
		}

		replayed := probe.New("p")
		require.NoError(t, replayed.Apply(log...))
		require.Equal(t, executed.Root(), replayed.Root())

		s := rapid.SampledFrom(snapshots).Draw(t, "snapshot")
		restored := probe.New("p")
		require.NoError(t, restored.Restore(s))
		require.NoError(t, restored.Apply(log[s.Sequence:]...))
		require.Equal(t, executed.Root(), restored.Root())
	})
}

// A payload is refused, or it leads to events that can be read back. It never leads to a panic.
func FuzzPayload(f *testing.F) {
	for _, body := range []string{``, `{}`, `null`, `[]`, `{"by":1}`, `{"by":1e2}`, `{"by":9223372036854775808}`, `{"by":"1"}`,
		`{"by":1}{}`, `{"by":1,"by":2}`, `{"BY":1}`, "{\"by\":1\x00}", `{"by":`, "\xff"} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := counter.New("42")
		decided, err := c.Execute("increment", body, aggregate.Metadata{})
		if err != nil {
			require.True(t, errors.As(err, new(*aggregate.PayloadError)) || errors.As(err, new(*aggregate.Rejection)), "%v", err)
			require.Equal(t, counter.New("42").Root(), c.Root())
			return
		}
		require.Len(t, decided, 1)
		replayed := counter.New("42")
		require.NoError(t, replayed.Apply(decided[0].Recorded))
		require.Equal(t, c.Root(), replayed.Root())
	})
}

// A stored event is read, or refused with an EventError, whatever the database contains.
func FuzzStoredEvent(f *testing.F) {
	for version := range 5 {
		for _, body := range []string{``, `{}`, `null`, `{"n":"1"}`, `{"n":1}`, `{"by":1}`, `{"n":13}`, `{"by":"x"}`, "\xff"} {
			f.Add("incremented", version, []byte(body))
		}
	}
	f.Add("gone", 1, []byte(`{}`))
	f.Fuzz(func(t *testing.T, name string, version int, body []byte) {
		c := grown.New("42")
		err := c.Apply(aggregate.Recorded{Sequence: 1, Type: name, Version: version, Body: body})
		if err != nil {
			require.ErrorAs(t, err, new(*aggregate.EventError))
			require.Equal(t, grown.New("42").Root(), c.Root())
			return
		}
		require.EqualValues(t, 1, c.Sequence())
		require.Equal(t, "incremented", name)
	})
}

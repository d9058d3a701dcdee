package lane_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/store"
)

// model does what a lane must do: it folds in memory, one command after the other.
type model struct {
	states   map[string]aggregate.Root[Tally]
	outcomes map[store.CommandKey]string
	log      []string // events, each as "aggregate sequence by command"
}

// apply returns the outcome as "status sequence", and whether it is the first.
func (m *model) apply(t require.TestingT, c *lane.Command) (outcome string, first bool) {
	command := store.CommandKey{Key: c.Key, CommandID: c.ID}
	if outcome, known := m.outcomes[command]; known {
		return outcome, false
	}
	root := m.states[c.Key.ID]
	defer func() { m.outcomes[command] = outcome }()
	if c.ExpectSequence != nil && *c.ExpectSequence != root.Sequence {
		return fmt.Sprint("rejected sequence_mismatch ", root.Sequence), true
	}
	if c.Name == "do" {
		return fmt.Sprint("rejected forbidden ", root.Sequence), true
	}
	var a Add
	require.NoError(t, unmarshal(c.Body, &a))
	if c.CorrelationID != "" {
		return fmt.Sprint("failed invalid_event ", root.Sequence), true
	}
	for range a.Times {
		root.Sequence++
		root.State.Total += a.By
		m.log = append(m.log, fmt.Sprint(c.Key.ID, " ", root.Sequence, " ", a.By, " ", c.ID))
	}
	m.states[c.Key.ID] = root
	return fmt.Sprint("committed ", root.Sequence), true
}

// drawCommand makes a command. It has few ids to choose from, so that there are many duplicates.
func drawCommand(t *rapid.T) *lane.Command {
	c := &lane.Command{Key: key(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "aggregate")),
		ID: fmt.Sprint(rapid.IntRange(0, 30).Draw(t, "id")), Name: "add",
		Return: lane.Return(rapid.IntRange(0, 2).Draw(t, "return"))}
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0:
		c.Name, c.Body = "do", body(Do{What: "reject", Why: "because"})
	case 1:
		bad := poison("", "")
		c.Body, c.CorrelationID = bad.Body, bad.CorrelationID
	case 2:
		c.Body = body(Add{By: 0, Times: 0})
	case 3:
		c = expecting(rapid.Int64Range(0, 5).Draw(t, "expected"), c)
		fallthrough
	default:
		c.Body = body(Add{By: rapid.IntRange(1, 9).Draw(t, "by"), Times: rapid.IntRange(1, 3).Draw(t, "times")})
	}
	return c
}

// troubles is a store with a list of faults, one for each commit. After the list, commits have no
// faults.
type troubles struct {
	store.Store
	mu   sync.Mutex
	list []string
	seen map[string]int
	n    int
}

func (s *troubles) next() (fault string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) > 0 {
		fault, s.list = s.list[0], s.list[1:]
		s.seen[fault]++
	}
	return fault
}

func (s *troubles) Commit(ctx context.Context, c *store.Commit) error {
	fault := s.next()
	switch fault {
	case "before":
		return errNetwork
	case "foreign":
		row, err := s.Partition(ctx, 0)
		if err != nil {
			return err
		}
		s.n++
		err = s.Store.Commit(ctx, &store.Commit{Epoch: row.Epoch, Position: row.Position, Time: row.Time, Events: []store.Event{{Position: row.Position + 1,
			Aggregate: key("foreign"), Recorded: aggregate.Recorded{Sequence: int64(s.n), Type: "added", Version: 1, Body: body(Added{By: 1})},
			RecordedAt: row.Time.Add(1000)}}})
		if err != nil {
			return err
		}
	case "takeover":
		if _, err := s.Acquire(ctx, 0, "another"); err != nil {
			return err
		}
	}
	err := s.Store.Commit(ctx, c)
	if err == nil && fault == "after" {
		return errNetwork
	}
	if err == nil && fault == "after and takeover" {
		_, _ = s.Acquire(ctx, 0, "another")
		return errNetwork
	}
	return err
}

// Outcomes, log and receipts are those of a fold, whatever goes wrong and however the commands are
// batched.
func TestALaneIsAFold(t *testing.T) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(rt *rapid.T) { aFold(t, rt, store.NewMemory(1)) })
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		s, pool := postgres(t)
		rapid.Check(t, func(rt *rapid.T) {
			_, err := pool.Exec(t.Context(), `truncate maestro.log, maestro.receipts, maestro.snapshots;
				update maestro.partitions set epoch = 0, position = 0, recorded_at = null`)
			require.NoError(t, err)
			aFold(t, rt, s)
		})
	})
}

func aFold(t *testing.T, rt *rapid.T, s store.Store) {
	faults := rapid.SampledFrom([]string{"", "", "", "before", "after", "foreign", "takeover", "after and takeover"})
	troubled := &troubles{Store: s, seen: map[string]int{}, list: rapid.SliceOfN(faults, 0, 12).Draw(rt, "faults")}
	batches := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(drawCommand), 1, 12), 1, 8).Draw(rt, "batches")
	m := &model{states: map[string]aggregate.Root[Tally]{}, outcomes: map[store.CommandKey]string{}}
	r := takeOver(t, troubled)
	defer func() { r.stop(); <-r.stopped }()
	for _, commands := range batches {
		results := make([]lane.Result, len(commands))
		for open := indices(len(commands)); len(open) > 0; {
			var again []int
			for n, result := range r.batch(pick(commands, open)...) {
				results[open[n]] = result
				if status(result.Outcome) == "failed unavailable" {
					again = append(again, open[n])
				}
			}
			if open = again; len(open) > 0 {
				require.ErrorIs(rt, <-r.stopped, store.ErrFenced)
				r = takeOver(t, troubled)
			}
		}
		for i, c := range commands {
			m.check(rt, c, results[i], troubled)
		}
	}
	m.checkStore(rt, s)
}

func (m *model) check(t *rapid.T, c *lane.Command, result lane.Result, s *troubles) {
	want, first := m.apply(t, c)
	o := result.Outcome
	if first && s.seen["after"]+s.seen["after and takeover"] == 0 {
		require.False(t, o.Duplicate)
	}
	if !first {
		require.True(t, o.Duplicate)
	}
	o.Duplicate = false
	require.Equal(t, want, fmt.Sprint(status(o), " ", o.Sequence), "command %s of %s", c.ID, c.Key.ID)
	if !first || o.Status != store.Committed {
		return
	}
	switch c.Return {
	case lane.ReturnNone:
	case lane.ReturnState:
		require.Equal(t, m.states[c.Key.ID].State, result.Instance.Root().(aggregate.Root[Tally]).State)
	case lane.ReturnEvents:
		var a Add
		require.NoError(t, unmarshal(c.Body, &a))
		require.Len(t, result.Events, a.Times)
	}
}

// checkStore compares what is stored: the log without the foreign events, positions without gaps,
// all receipts.
func (m *model) checkStore(t *rapid.T, s store.Store) {
	events, err := s.Log(context.Background(), 0, 0, 1_000_000)
	require.NoError(t, err)
	var log []string
	for i, e := range events {
		require.EqualValues(t, i+1, e.Position)
		if i > 0 {
			require.False(t, e.RecordedAt.Before(events[i-1].RecordedAt), "times never fall; those of one command are one")
		}
		if e.Aggregate.ID != "foreign" {
			var a Added
			require.NoError(t, unmarshal(e.Body, &a))
			log = append(log, fmt.Sprint(e.Aggregate.ID, " ", e.Sequence, " ", a.By, " ", e.Metadata.CommandID))
		}
	}
	require.Equal(t, m.log, log)
	var keys []store.CommandKey
	for key := range m.outcomes {
		keys = append(keys, key)
	}
	receipts, err := s.Receipts(context.Background(), 0, keys)
	require.NoError(t, err)
	for key, want := range m.outcomes {
		o := receipts[key].Outcome(0)
		o.Duplicate = false
		require.Equal(t, want, fmt.Sprint(status(o), " ", o.Sequence))
	}
}

// takeOver runs a lane of a new owner. Its cache is sometimes too small.
func takeOver(t *testing.T, s *troubles) *rig {
	t.Helper()
	return newRigAt(t, s, acquired(t, s), nil, func(c *lane.Config) { c.MaxBatch, c.Memory = 5, lane.NewMemory(500, 0) }).run()
}

func indices(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// pick copies the commands, because a lane marks the commands that it refuses.
func pick(commands []*lane.Command, which []int) (picked []*lane.Command) {
	for _, i := range which {
		c := *commands[i]
		picked = append(picked, &c)
	}
	return picked
}

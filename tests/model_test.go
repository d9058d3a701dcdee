package tests

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// verdict is the expected result of a command.
type verdict struct {
	Status   store.Status
	Sequence int64
	Code     string
}

// model is the expected state of a namespace. It has aggregates in memory that get each command
// once, in the order of their commands.
type model struct {
	partitions int
	instances  map[store.Key]aggregate.Instance
	names      map[string]string
	verdicts   map[store.CommandKey]verdict
}

func newModel(partitions int) *model {
	return &model{partitions: partitions, instances: map[store.Key]aggregate.Instance{}, names: map[string]string{},
		verdicts: map[store.CommandKey]verdict{}}
}

// handle returns a command's verdict. A command that the model has had before gets its first
// verdict again.
func (m *model) handle(c client.Command) verdict {
	key := store.Key{Type: c.Aggregate, ID: c.AggregateID}
	name := store.CommandKey{Key: key, CommandID: c.ID}
	if first, known := m.verdicts[name]; known {
		return first
	}
	if m.instances[key] == nil {
		m.instances[key] = definitions[key.Type].New(key.ID)
	}
	instance := m.instances[key].Clone()
	_, err := instance.Execute(c.Name, c.Data.(json.RawMessage), aggregate.Metadata{ID: c.ID})
	if err == nil {
		err = m.claim(key, instance)
	}
	var rejection *aggregate.Rejection
	v := verdict{Status: store.Committed}
	switch {
	case err == nil:
		m.instances[key] = instance
	case errors.As(err, &rejection):
		v = verdict{Status: store.Rejected, Code: rejection.Code}
	default:
		panic(fmt.Sprintf("%s %s: %s", c.Name, c.Data, err))
	}
	v.Sequence = m.instances[key].Sequence()
	m.verdicts[name] = v
	return v
}

// claim keeps the names of counters unique, like the table counter_names.
func (m *model) claim(key store.Key, next aggregate.Instance) error {
	root, is := next.Root().(aggregate.Root[counter.Counter])
	if !is || root.State.Name == "" {
		return nil
	}
	if owner, taken := m.names[root.State.Name]; taken && owner != key.ID {
		return aggregate.Reject("name_taken", "")
	}
	before := m.instances[key].Root().(aggregate.Root[counter.Counter]).State.Name
	delete(m.names, before)
	m.names[root.State.Name] = key.ID
	return nil
}

// total counts the verdicts of one status.
func (m *model) total(status store.Status) (n int) {
	for _, v := range m.verdicts {
		if v.Status == status {
			n++
		}
	}
	return n
}

// checkAgainst compares the namespace with the model, receipt by receipt and aggregate by
// aggregate. It leaves out the requests that clients sent on the side.
func (s *system) checkAgainst(m *model) {
	s.Helper()
	rows, err := s.pool.Query(s.Context(), `select aggregate_type, aggregate_id, command_id, status, sequence,
		coalesce(error->>'code', '') from `+s.table("receipts")+` where aggregate_id not like 'asking-%'`)
	require.NoError(s, err)
	got := map[store.CommandKey]verdict{}
	var key store.CommandKey
	var v verdict
	_, err = pgx.ForEachRow(rows, []any{&key.Type, &key.ID, &key.CommandID, &v.Status, &v.Sequence, &v.Code}, func() error {
		got[key] = v
		return nil
	})
	require.NoError(s, err)
	same(s, "the receipts", m.verdicts, got)

	found := fold(s, s.readLog())
	for key, want := range m.instances {
		if want.Sequence() == 0 {
			require.NotContains(s, found, key)
			continue
		}
		require.Equal(s, want.Root(), found[key].Root(), "%v", key)
	}
	s.check()
}

// workload returns a sequence of commands for counters and declarations. Some of the commands are
// refused. Counters contend for a name only within a partition, because the order of commands in
// different partitions cannot be foretold.
func (s *system) workload(r *rand.Rand, n, aggregates int) []client.Command {
	commands := make([]client.Command, n)
	for i := range commands {
		id := fmt.Sprintf("%d", r.IntN(aggregates))
		c := client.Command{ID: fmt.Sprintf("w-%d", i), AggregateID: id, Aggregate: "declaration"}
		data := fmt.Sprintf(`{"role":"employee","amount_cents":%d}`, r.IntN(100_000)-100)
		if r.IntN(2) == 0 {
			c.Aggregate = "counter"
			name := fmt.Sprintf("%d-%d", wire.Partition("counter", id, s.partitions), r.IntN(2*aggregates/s.partitions+2))
			data = fmt.Sprintf(`{"by":%d,"limit":%d,"name":%q,"tag":"t%d"}`, r.IntN(20)-1, r.IntN(50), name, r.IntN(4))
		}
		names := definitions[c.Aggregate].CommandNames()
		c.Name, c.Data = names[r.IntN(len(names))], json.RawMessage(data)
		commands[i] = c
	}
	return commands
}

// yield gives commands to an import in the form that it takes.
func yield(commands []client.Command) iter.Seq2[client.Command, error] {
	return func(yield func(client.Command, error) bool) {
		for _, c := range commands {
			if !yield(c, nil) {
				return
			}
		}
	}
}

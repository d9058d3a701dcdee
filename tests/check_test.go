package tests

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/examples/declaration"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// check compares the namespace with the guarantees that can be seen from outside, whatever has
// happened to the namespace.
func (s *system) check() {
	s.Helper()
	log := s.readLog()
	s.checkGapless(log)
	s.checkReceipts()
	s.checkReadModels(log)
	s.checkStream(log)
}

// row is a row of the log.
type row struct {
	Partition                  int
	Position                   int64
	AggregateType, AggregateID string
	Sequence                   int64
	Type                       string
	Version                    int
	Body                       []byte
	Metadata                   store.Metadata
	RecordedAt                 time.Time
}

func (s *system) readLog() []row {
	s.Helper()
	rows, err := s.pool.Query(s.Context(), `select partition, position, aggregate_type, aggregate_id, sequence, type, version,
		body, metadata, recorded_at from `+s.table("log")+` order by partition, position`)
	require.NoError(s, err)
	log, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	require.NoError(s, err)
	return log
}

// checkGapless: positions count 1, 2, 3 in each partition, and sequences in each aggregate. Times
// never go back. The partition's own row agrees.
func (s *system) checkGapless(log []row) {
	s.Helper()
	positions, times, sequences := map[int]int64{}, map[int]time.Time{}, map[store.Key]int64{}
	for _, e := range log {
		key := store.Key{Type: e.AggregateType, ID: e.AggregateID}
		positions[e.Partition]++
		sequences[key]++
		require.Equal(s, positions[e.Partition], e.Position, "position in partition %d", e.Partition)
		require.Equal(s, sequences[key], e.Sequence, "sequence of %v at position %d", key, e.Position)
		require.Equal(s, wire.Partition(key.Type, key.ID, s.partitions), e.Partition, "partition of %v", key)
		require.False(s, e.RecordedAt.Before(times[e.Partition]), "time goes back at position %d of partition %d", e.Position, e.Partition)
		times[e.Partition] = e.RecordedAt
	}
	for p := range s.partitions {
		require.Equal(s, positions[p], query[int64](s, "select position from "+s.table("partitions")+" where partition = $1", p))
	}
}

// checkReceipts: every event belongs to exactly one receipt, that of its command. Every receipt
// accounts for its events.
func (s *system) checkReceipts() {
	s.Helper()
	orphans := query[int64](s, `select count(*) from `+s.table("events")+` e where not exists (
		select from `+s.table("receipts")+` r where r.partition = e.partition and r.aggregate_type = e.aggregate_type
			and r.aggregate_id = e.aggregate_id and r.command_id = e.metadata->>'command_id' and r.status = 'committed'
			and e.sequence between r.sequence - r.events + 1 and r.sequence)`)
	require.Zero(s, orphans, "events without the receipt of their command")
	require.Equal(s, s.events(), query[int64](s, "select coalesce(sum(events), 0)::bigint from "+s.table("receipts")))
}

// checkReadModels: the projections' rows are the fold of the log.
func (s *system) checkReadModels(log []row) {
	s.Helper()
	if !query[bool](s, "select to_regclass($1) is not null", s.view("declaration_status")) {
		return // a worker other than the project's own
	}
	statuses, names := map[string]string{}, map[string]string{}
	for key, i := range fold(s, log) {
		switch root := i.Root().(type) {
		case aggregate.Root[declaration.Declaration]:
			statuses[key.ID] = fmt.Sprintf("%s %d", root.State.Status, root.State.AmountCents)
		case aggregate.Root[counter.Counter]:
			if root.State.Name != "" {
				names[root.State.Name] = key.ID
			}
		}
	}
	same(s, "declaration_status", statuses, s.pairs("select id, status || ' ' || amount_cents from "+s.view("declaration_status")))
	same(s, "counter_names", names, s.pairs("select name, counter_id from "+s.view("counter_names")))
}

func (s *system) pairs(sql string) map[string]string {
	s.Helper()
	rows, err := s.pool.Query(s.Context(), sql)
	require.NoError(s, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Key, Value string }])
	require.NoError(s, err)
	pairs := map[string]string{}
	for _, pair := range list {
		pairs[pair.Key] = pair.Value
	}
	return pairs
}

// definitions are the aggregates of the project's worker.
var definitions = map[string]aggregate.Type{"counter": counter.Definition, "declaration": declaration.Definition}

// fold replays a log.
func fold(t require.TestingT, log []row) map[store.Key]aggregate.Instance {
	instances := map[store.Key]aggregate.Instance{}
	for _, e := range log {
		key := store.Key{Type: e.AggregateType, ID: e.AggregateID}
		if instances[key] == nil {
			instances[key] = definitions[key.Type].New(key.ID)
		}
		require.NoError(t, instances[key].Apply(aggregate.Recorded{Sequence: e.Sequence, Type: e.Type, Version: e.Version, Body: e.Body}))
	}
	return instances
}

// checkStream: the event stream equals the log, event by event and in the same order. It waits for
// events that are still to be published.
func (s *system) checkStream(log []row) {
	s.Helper()
	if len(log) == 0 {
		return
	}
	want := map[int][]row{}
	for _, e := range log {
		want[e.Partition] = append(want[e.Partition], e)
	}
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	consumer, err := s.js.OrderedConsumer(ctx, s.namespace.EventStream(), jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{s.namespace.Events()}})
	require.NoError(s, err)
	messages, err := consumer.Messages()
	require.NoError(s, err)
	defer messages.Stop()
	pending := uint64(0)
	for read := range log {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		require.NoError(s, err, "the event stream ends after %d of %d events", read, len(log))
		p, err := strconv.Atoi(msg.Headers().Get("ce-partition"))
		require.NoError(s, err)
		require.NotEmpty(s, want[p], "an event too many: %s %v", msg.Subject(), msg.Headers())
		s.sameEvent(want[p][0], msg)
		want[p] = want[p][1:]
		meta, err := msg.Metadata()
		require.NoError(s, err)
		pending = meta.NumPending
	}
	require.Zero(s, pending, "the event stream has more events than the log")
}

// sameEvent compares a message with the row. It uses the protocol's own names and not the program's
// functions.
func (s *system) sameEvent(e row, msg jetstream.Msg) {
	partition, position := strconv.Itoa(e.Partition), strconv.FormatInt(e.Position, 10)
	sequence := strconv.FormatInt(e.Sequence, 10)
	want := nats.Header{
		"Nats-Msg-Id": {partition + "." + position}, "ce-specversion": {"1.0"},
		"ce-id":   {e.AggregateType + "." + e.AggregateID + "." + sequence},
		"ce-type": {e.AggregateType + "." + e.Type}, "ce-source": {"/maestro/" + string(s.namespace)}, "ce-subject": {e.AggregateID},
		"ce-time": {e.RecordedAt.UTC().Format(time.RFC3339Nano)}, "ce-sequence": {sequence}, "ce-partition": {partition},
		"ce-position": {position}, "ce-dataversion": {strconv.Itoa(e.Version)}, "ce-causationid": {e.Metadata.CommandID},
	}
	for name, value := range map[string]string{"ce-correlationid": e.Metadata.CorrelationID,
		"traceparent": e.Metadata.Traceparent, "tracestate": e.Metadata.Tracestate} {
		if value != "" {
			want[name] = []string{value}
		}
	}
	got := nats.Header{}
	for name, values := range msg.Headers() {
		if name != jetstream.ExpectedLastSubjSeqHeader && name != jetstream.ExpectedLastSubjSeqSubjHeader { // the fence
			got[name] = values
		}
	}
	if !reflect.DeepEqual(want, got) || !bytes.Equal(e.Body, msg.Data()) {
		require.Equal(s, want, got, msg.Subject())
		require.Equal(s, string(e.Body), string(msg.Data()))
	}
	subject := fmt.Sprintf("%s.evt.%d.%s.%s.%s", s.namespace, e.Partition, e.AggregateType, e.AggregateID, e.Type)
	require.Equal(s, subject, msg.Subject())
}

// same compares two maps and shows only the first differences.
func same[K comparable, V any](t require.TestingT, what string, want, got map[K]V) {
	differences := []string{}
	for key := range want {
		if found, is := got[key]; !is || !reflect.DeepEqual(want[key], found) {
			differences = append(differences, fmt.Sprintf("%v: want %v, got %v (there: %t)", key, want[key], found, is))
		}
	}
	for key, found := range got {
		if _, expected := want[key]; !expected {
			differences = append(differences, fmt.Sprintf("%v: %v is too many", key, found))
		}
	}
	slices.Sort(differences)
	require.Empty(t, differences[:min(len(differences), 10)], "%s has %d differences", what, len(differences))
}

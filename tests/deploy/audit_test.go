package deploy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// entry is a committed event, in the log or in the event stream.
type entry struct {
	Partition       int
	Position        int64
	Type, ID, Event string
	Sequence        int64
	Body, Command   string
}

// exactlyOnce checks that the log holds exactly one event for each command and no other event,
// without gaps, and that the event stream equals the log. All commands must have their outcomes
// already.
func (c *cluster) exactlyOnce(commands []string) {
	c.Helper()
	log := c.log()
	var handled []string
	positions, sequences := map[int]int64{}, map[string]int64{}
	for _, e := range log {
		handled = append(handled, e.Command)
		positions[e.Partition]++
		require.Equal(c, positions[e.Partition], e.Position, "%+v", e)
		sequences[e.ID]++
		require.Equal(c, sequences[e.ID], e.Sequence, "%+v", e)
	}
	slices.Sort(handled)
	commands = slices.Sorted(slices.Values(commands))
	same(c, commands, handled, "what was sent, and what was committed")
	stream := c.stream(len(log))
	slices.SortStableFunc(stream, func(a, b entry) int { return cmp.Compare(a.Partition, b.Partition) })
	same(c, log, stream, "the log, and the event stream")
}

// same compares two long lists, and shows only the first difference.
func same[T comparable](c *cluster, want, got []T, what string) {
	c.Helper()
	for i := range min(len(want), len(got)) {
		require.Equal(c, want[i], got[i], "%s differ at %d", what, i)
	}
	if len(want) != len(got) {
		c.Fatalf("%s: %d and %d", what, len(want), len(got))
	}
}

// log reads the log, partition by partition.
func (c *cluster) log() []entry {
	c.Helper()
	conn, err := pgx.Connect(c.Context(), c.database)
	require.NoError(c, err)
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(c.Context(), `select partition, position, aggregate_type, aggregate_id, type, sequence, body::text,
		metadata->>'command_id' from maestro.events order by partition, position`)
	require.NoError(c, err)
	log, err := pgx.CollectRows(rows, pgx.RowToStructByPos[entry])
	require.NoError(c, err)
	for i := range log {
		log[i].Body = compact(c, []byte(log[i].Body))
	}
	return log
}

// compact returns JSON without the spaces that Postgres adds.
func compact(c *cluster, body []byte) string {
	c.Helper()
	var b bytes.Buffer
	require.NoError(c, json.Compact(&b, body))
	return b.String()
}

// stream reads the event stream, which must hold that many events now or soon.
func (c *cluster) stream(events int) (all []entry) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	js, err := jetstream.New(dial(c.T, identity(c.broker, "subscriber")))
	require.NoError(c, err)
	consumer, err := js.CreateConsumer(ctx, "MAESTRO_EVENTS", jetstream.ConsumerConfig{Name: "auditor", FilterSubject: "maestro.evt.>",
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true})
	require.NoError(c, err)
	for len(all) < events {
		batch, err := consumer.Fetch(min(events-len(all), 500), jetstream.FetchMaxWait(time.Second))
		require.NoError(c, err)
		for m := range batch.Messages() {
			all = append(all, c.read(m))
		}
		require.NoError(c, ctx.Err(), "%d of %d events are in the stream", len(all), events)
	}
	info, err := consumer.Info(ctx)
	require.NoError(c, err)
	require.Zero(c, info.NumPending, "the stream holds more events than the log")
	return all
}

func (c *cluster) read(m jetstream.Msg) entry {
	c.Helper()
	h := m.Headers()
	number := func(name string) int64 {
		n, err := strconv.ParseInt(h.Get(name), 10, 64)
		require.NoError(c, err)
		return n
	}
	typ, event, _ := strings.Cut(h.Get("ce-type"), ".")
	return entry{Partition: int(number("ce-partition")), Position: number("ce-position"), Type: typ, ID: h.Get("ce-subject"), Event: event,
		Sequence: number("ce-sequence"), Body: compact(c, m.Data()), Command: h.Get("ce-causationid")}
}

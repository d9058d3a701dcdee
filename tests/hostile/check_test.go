package hostile_test

import (
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// event is a place in the log with its content.
type event struct {
	Partition int
	Position  int64
	ID        string
}

// check compares the namespace with the guarantees that can be seen from outside.
func (s *system) check() {
	s.Helper()
	log := s.log()
	s.checkGapless(log)
	s.checkReceipts()
	s.checkCounts()
	s.checkStream(log)
	require.Zero(s, query[int](s, `select count(*)::int from pg_prepared_xacts where gid ~ ('^hostile-') and prepared < now() - interval '1 minute'`))
}

func (s *system) log() []event {
	s.Helper()
	rows, err := s.pool.Query(s.Context(), `select partition, position, aggregate_type || '.' || aggregate_id || '.' || sequence
		from `+s.table("log")+` order by partition, position`)
	require.NoError(s, err)
	log, err := pgx.CollectRows(rows, pgx.RowToStructByPos[event])
	require.NoError(s, err)
	return log
}

// checkGapless: positions and sequences count 1, 2, 3, and the partitions' own rows say the same.
func (s *system) checkGapless(log []event) {
	s.Helper()
	ends := map[int]int64{}
	for _, e := range log {
		ends[e.Partition]++
		require.Equal(s, ends[e.Partition], e.Position, "position in partition %d", e.Partition)
	}
	for p := range s.partitions {
		require.Equal(s, ends[p], query[int64](s, "select position from "+s.table("partitions")+" where partition = $1", p))
	}
	require.Zero(s, query[int](s, `select count(*)::int from (select from `+s.table("log")+` group by aggregate_type, aggregate_id
		having max(sequence) <> count(*) or min(sequence) <> 1) gaps`), "aggregates with gaps")
}

// checkReceipts: every event belongs to the receipt of its command, and every receipt accounts for
// its events.
func (s *system) checkReceipts() {
	s.Helper()
	require.Zero(s, query[int](s, `select count(*)::int from (select aggregate_type, aggregate_id, metadata->>'command_id' command_id, count(*) events
			from `+s.table("log")+` group by 1, 2, 3) e
		full join (select * from `+s.table("receipts")+` where events > 0) r using (aggregate_type, aggregate_id, command_id)
		where e.events is distinct from r.events or r.status is distinct from 'committed'`), "events and receipts that do not agree")
}

// checkCounts: the good read model is the fold of the log.
func (s *system) checkCounts() {
	s.Helper()
	require.Zero(s, query[int](s, `select count(*)::int from (select aggregate_id id, count(*) events from `+s.table("log")+` group by 1) e
		full join `+s.table("ledger_counts")+` c using (id) where e.events is distinct from c.events`), "the good read model differs from the log")
}

// checkStream: the event stream equals the log, in the same order.
func (s *system) checkStream(log []event) {
	s.Helper()
	stream, err := s.js.Stream(s.Context(), s.namespace.EventStream())
	require.NoError(s, err)
	require.Eventually(s, func() bool {
		info, err := stream.Info(s.Context(), jetstream.WithSubjectFilter(s.namespace.Events()))
		published := uint64(0)
		if err == nil {
			for _, n := range info.State.Subjects {
				published += n
			}
		}
		return published >= uint64(len(log))
	}, patience, 20*time.Millisecond, "the events are not published")
	consumer, err := s.js.OrderedConsumer(s.Context(), s.namespace.EventStream(), jetstream.OrderedConsumerConfig{FilterSubjects: []string{s.namespace.Events()}})
	require.NoError(s, err)
	messages, err := consumer.Messages()
	require.NoError(s, err)
	defer messages.Stop()
	published := map[int][]event{}
	for range log {
		msg, err := messages.Next()
		require.NoError(s, err)
		e := event{ID: msg.Headers().Get("ce-id")}
		e.Partition, _ = strconv.Atoi(msg.Headers().Get("ce-partition"))
		e.Position, _ = strconv.ParseInt(msg.Headers().Get("ce-position"), 10, 64)
		published[e.Partition] = append(published[e.Partition], e)
	}
	for _, e := range log {
		require.NotEmpty(s, published[e.Partition])
		require.Equal(s, e, published[e.Partition][0])
		published[e.Partition] = published[e.Partition][1:]
	}
}

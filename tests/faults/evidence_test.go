package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// evidence is what the checker looks at, besides the clients' answers.
type evidence struct {
	log      []row
	receipts map[store.CommandKey]receipt
	ends     map[int]int64 // the position of each partition's row
	stream   []message
	statuses map[string]string // declaration_status
	names    map[string]string // counter_names
	parcels  map[string]string // the bytes of each parcel
	shared   map[string]string // the one row that all partitions count in
	seen     []place           // the rows of the subscriber's table
	stuck    error             // why the workers did not take commands at the end
	// forgotten is when Postgres last lost commits, 0 if never. Only a failover without synchronous
	// replication may lose commits. An operation that began before that time may have any end.
	forgotten time.Duration
	bounded   bool // the stream may have dropped its oldest events
	setBack   int  // how often Postgres's clock was set back
	// smallest is the smallest limit of a message that nats-servers set for anybody, 0 if they
	// always allowed a megabyte.
	smallest int
}

// row is an event in the log.
type row struct {
	Partition                  int
	Position                   int64
	AggregateType, AggregateID string
	Sequence                   int64
	Type                       string
	Version                    int
	Body                       json.RawMessage
	CommandID                  string
	RecordedAt                 time.Time
}

func (r row) key() store.Key { return store.Key{Type: r.AggregateType, ID: r.AggregateID} }

// receipt is the lasting record of an outcome.
type receipt struct {
	Status             store.Status
	Sequence, Position int64
	Events             int
	Code               string
}

// message is an event in the event stream.
type message struct {
	place
	subject string
	id      string
	body    []byte
	inLog   bool // the body did not fit, and is in the log
}

type place struct {
	Partition int
	Position  int64
}

// collect reads everything after the system has come to rest. A request that its client has given
// up may still be on its way. The evidence therefore counts only if the log is the same afterwards.
func (w *world) collect(ctx context.Context) (e evidence, err error) {
	for {
		events := 0
		if e, err = w.readAll(ctx); err == nil {
			err = w.pool.QueryRow(ctx, "select count(*) from "+w.table("events")).Scan(&events)
		}
		if err != nil || events == len(e.log) {
			return e, err
		}
	}
}

// readAll reads the log, then the event stream. Events committed in between are in the stream only.
func (w *world) readAll(ctx context.Context) (e evidence, err error) {
	rows, _ := w.pool.Query(ctx, `select partition, position, aggregate_type, aggregate_id, sequence, type, version, body,
		metadata->>'command_id', recorded_at from `+w.table("log")+` order by partition, position`)
	if e.log, err = pgx.CollectRows(rows, pgx.RowToStructByPos[row]); err != nil {
		return e, err
	}
	e.receipts, e.ends = map[store.CommandKey]receipt{}, map[int]int64{}
	var key store.CommandKey
	var r receipt
	rows, _ = w.pool.Query(ctx, `select aggregate_type, aggregate_id, command_id, status, sequence, position, events,
		coalesce(error->>'code', '') from `+w.table("receipts"))
	_, err = pgx.ForEachRow(rows, []any{&key.Type, &key.ID, &key.CommandID, &r.Status, &r.Sequence, &r.Position, &r.Events, &r.Code},
		func() error { e.receipts[key] = r; return nil })
	if err != nil {
		return e, err
	}
	var end place
	rows, _ = w.pool.Query(ctx, "select partition, position from "+w.table("partitions"))
	_, err = pgx.ForEachRow(rows, []any{&end.Partition, &end.Position}, func() error { e.ends[end.Partition] = end.Position; return nil })
	if err != nil {
		return e, err
	}
	if e.statuses, err = w.pairs(ctx, "select id, status || ' ' || amount_cents from "+w.view("declaration_status")); err != nil {
		return e, err
	}
	if e.names, err = w.pairs(ctx, "select name, counter_id from "+w.view("counter_names")); err != nil {
		return e, err
	}
	if e.parcels, err = w.pairs(ctx, "select id, bytes::text from "+w.view("parcels")); err != nil {
		return e, err
	}
	if e.shared, err = w.pairs(ctx, "select 'n', n::text from "+w.view("parcels_shared")); err != nil {
		return e, err
	}
	e.stream, err = w.readStream(ctx)
	return e, err
}

func (w *world) pairs(ctx context.Context, sql string) (map[string]string, error) {
	pairs := map[string]string{}
	var key, value string
	rows, _ := w.pool.Query(ctx, sql)
	_, err := pgx.ForEachRow(rows, []any{&key, &value}, func() error { pairs[key] = value; return nil })
	return pairs, err
}

// readStream reads the whole event stream.
func (w *world) readStream(ctx context.Context) (all []message, err error) {
	consumer, err := w.js.OrderedConsumer(ctx, w.namespace.EventStream(), jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{w.namespace.Events()}})
	if err != nil {
		return nil, err
	}
	info, err := consumer.Info(ctx)
	if err != nil || info.NumPending == 0 {
		return nil, err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, fmt.Errorf("after %d messages: %w", len(all), err)
		}
		m := message{subject: msg.Subject(), id: msg.Headers().Get(wire.HeaderEventID), body: msg.Data(),
			inLog: msg.Headers().Get(wire.HeaderEventBody) == wire.BodyInLog}
		m.Partition, _ = strconv.Atoi(msg.Headers().Get(wire.HeaderEventPartition))
		m.Position, _ = strconv.ParseInt(msg.Headers().Get(wire.HeaderEventPosition), 10, 64)
		all = append(all, m)
		if meta, err := msg.Metadata(); err != nil || meta.NumPending == 0 {
			return all, err
		}
	}
}

func withSubjects(filter string) jetstream.StreamInfoOpt { return jetstream.WithSubjectFilter(filter) }

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/wire"
)

// byHandRole makes this program the path of the floor program, for commands that come at any time
// and want an answer. The path is as lean as it can be: one loop for all partitions, and one
// transaction for all commands that have come.
const byHandRole = "byhand"

// byHandConfig is the configuration of such a process.
type byHandConfig struct {
	NATS, Database string
	Namespace      wire.Namespace
	Partitions     int
	Durable        bool // commands come over the stream, which exists; otherwise they are requests
	Silent         bool // no events are published
}

// startByHand starts such a process and returns when it takes commands.
func (l *lab) startByHand(ctx context.Context, c byHandConfig) (*process, error) {
	c.NATS, c.Database = l.nats.url, l.postgres.URL()
	config, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	p, _, err := startSelf(ctx, byHandRole, string(config), nil)
	return p, err
}

// byHandSchema are the floor program's tables.
const byHandSchema = `
	create schema byhand;
	create table byhand.partitions (partition smallint primary key, position bigint not null, command_cursor bigint not null);
	create table byhand.receipts (aggregate_id text, command_id text, primary key (aggregate_id, command_id));
	create table byhand.events (
		partition smallint not null, position bigint not null, aggregate_type text not null, aggregate_id text not null,
		sequence bigint not null, type text not null, body jsonb not null, metadata jsonb not null,
		recorded_at timestamptz not null default now(),
		primary key (partition, position), unique (aggregate_type, aggregate_id, sequence))`

// The floor program's statements, for several partitions at once.
const (
	byHandPartitions = `insert into byhand.partitions select generate_series(0, $1::smallint - 1), 0, 0`
	byHandAdvance    = `
		update byhand.partitions p set position = q.position, command_cursor = q.cursor
		from unnest($1::smallint[], $2::bigint[], $3::bigint[]) as q(partition, position, cursor) where p.partition = q.partition`
	byHandReceipts = `insert into byhand.receipts select unnest($1::text[]), unnest($2::text[])`
	byHandEvents   = `
		insert into byhand.events (partition, position, aggregate_type, aggregate_id, sequence, type, body, metadata)
		select unnest($1::smallint[]), unnest($2::bigint[]), 'tally', unnest($3::text[]), unnest($4::bigint[]), 'added',
			unnest($5::text[])::jsonb, unnest($6::text[])::jsonb`
)

// byHand is a path with no framework. It has no tracing, no duplicates, no owners and no failures,
// and nobody waits for its events.
type byHand struct {
	byHandConfig
	pool *pgxpool.Pool
	nc   *nats.Conn
	js   jetstream.JetStream
	// The present sequences of the aggregates and positions of the partitions.
	sequences map[string]int64
	at        []byHandPosition
}

type byHandPosition struct{ position, cursor int64 }

// sql replaces byhand with the namespace.
func (w *byHand) sql(text string) string {
	return strings.ReplaceAll(text, "byhand", pgx.Identifier{string(w.Namespace)}.Sanitize())
}

// byHandCommand is a command that waits for its transaction.
type byHandCommand struct {
	partition            int
	aggregate, id, reply string
	data                 []byte
	sequence             uint64 // in the stream
}

// workByHand is the process. It has Go's usual heap, without the reserve that a worker has.
func workByHand(config string) {
	w := byHand{sequences: map[string]int64{}}
	must(json.Unmarshal([]byte(config), &w.byHandConfig))
	w.at = make([]byHandPosition, w.Partitions)
	ctx := context.Background()
	var err error
	w.pool, err = pgxpool.New(ctx, w.Database)
	must(err)
	_, err = w.pool.Exec(ctx, w.sql(byHandSchema))
	must(err)
	_, err = w.pool.Exec(ctx, w.sql(byHandPartitions), w.Partitions)
	must(err)
	w.nc, err = nats.Connect(w.NATS)
	must(err)
	w.js, err = jetstream.New(w.nc, jetstream.WithPublishAsyncMaxPending(8192))
	must(err)
	_, err = w.js.CreateStream(ctx, jetstream.StreamConfig{Name: w.Namespace.EventStream(), Subjects: []string{w.Namespace.Events()},
		Duplicates: time.Second}) // as Maestro's
	must(err)
	commands := make(chan byHandCommand, 100_000)
	if w.Durable {
		for p := range w.Partitions {
			w.follow(ctx, p, commands)
		}
	} else {
		w.listen(commands)
	}
	must(w.nc.Flush())
	fmt.Println("begun")
	conn, err := w.pool.Acquire(ctx)
	must(err)
	for {
		w.settle(ctx, conn.Conn(), takeSome(commands, 1024))
	}
}

// listen takes requests.
func (w *byHand) listen(into chan<- byHandCommand) {
	_, err := w.nc.Subscribe(w.Namespace.Do("*", "*", "*"), func(m *nats.Msg) {
		id := strings.Split(m.Subject, ".")[3]
		into <- byHandCommand{partition: wire.Partition(tallyType, id, w.Partitions), aggregate: id,
			id: m.Header.Get(wire.HeaderCommandID), reply: m.Reply, data: m.Data}
	})
	must(err)
}

// follow takes the commands of a partition from the stream.
func (w *byHand) follow(ctx context.Context, p int, into chan<- byHandCommand) {
	consumer, err := w.js.OrderedConsumer(ctx, w.Namespace.CommandStream(), jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{w.Namespace.CommandsOf(p)}, DeliverPolicy: jetstream.DeliverNewPolicy})
	must(err)
	_, err = consumer.Consume(func(m jetstream.Msg) {
		at, err := m.Metadata()
		must(err)
		into <- byHandCommand{partition: p, aggregate: strings.Split(m.Subject(), ".")[4], id: m.Headers().Get(wire.HeaderCommandID),
			reply: m.Headers().Get(wire.HeaderReply), data: m.Data(), sequence: at.Sequence.Stream}
	}, jetstream.PullMaxMessages(2000))
	must(err)
}

// settle commits the commands that have come, answers them, and publishes the events.
func (w *byHand) settle(ctx context.Context, conn *pgx.Conn, batch []byHandCommand) {
	n := len(batch)
	partitions, positions, sequences := make([]int16, n), make([]int64, n), make([]int64, n)
	aggregates, ids, bodies, metas := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	touched := map[int16]bool{}
	for i, c := range batch {
		var command add
		must(json.Unmarshal(c.data, &command))
		body, err := json.Marshal(added{By: command.By})
		must(err)
		at := &w.at[c.partition]
		at.position, at.cursor = at.position+1, int64(c.sequence)
		w.sequences[c.aggregate]++
		partitions[i], positions[i], sequences[i] = int16(c.partition), at.position, w.sequences[c.aggregate]
		aggregates[i], ids[i] = c.aggregate, c.id
		bodies[i], metas[i] = string(body), `{"command_id":"`+c.id+`"}`
		touched[int16(c.partition)] = true
	}
	advanced := slices.Collect(maps.Keys(touched))
	ends, cursors := make([]int64, len(advanced)), make([]int64, len(advanced))
	for i, p := range advanced {
		ends[i], cursors[i] = w.at[p].position, w.at[p].cursor
	}
	b := &pgx.Batch{} // is one transaction
	b.Queue(w.sql(byHandAdvance), advanced, ends, cursors)
	b.Queue(w.sql(byHandReceipts), aggregates, ids)
	b.Queue(w.sql(byHandEvents), partitions, positions, aggregates, sequences, bodies, metas)
	must(conn.SendBatch(ctx, b).Close())
	for i, c := range batch {
		must(w.nc.Publish(c.reply, []byte(`{"status":"committed"}`)))
		if w.Silent {
			continue
		}
		msg := nats.NewMsg(w.Namespace.Event(c.partition, tallyType, c.aggregate, "added"))
		msg.Data = []byte(bodies[i])
		msg.Header.Set(wire.HeaderMsgID, fmt.Sprintf("e-%d-%d", c.partition, positions[i]))
		msg.Header.Set(wire.HeaderEventSequence, strconv.FormatInt(sequences[i], 10))
		_, err := w.js.PublishMsgAsync(msg)
		must(err)
	}
}

// takeSome waits for a command, and takes the others that are there, up to a limit.
func takeSome(commands <-chan byHandCommand, limit int) []byHandCommand {
	batch := []byHandCommand{<-commands}
	for len(batch) < limit {
		select {
		case c := <-commands:
			batch = append(batch, c)
		default:
			return batch
		}
	}
	return batch
}

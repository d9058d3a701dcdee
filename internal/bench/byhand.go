package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/wire"
)

// byHandRole makes this program what the floor program does, for commands that come at any time and want an answer.
const byHandRole = "byhand"

// byHandConfig is what such a process is told.
type byHandConfig struct {
	NATS, Database string
	Namespace      wire.Namespace
	Partitions     int
	Durable        bool // commands come over the stream, which exists; otherwise they are requests
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

// The floor program's statements.
const (
	byHandPartition = `insert into byhand.partitions values ($1, 0, 0)`
	byHandAdvance   = `update byhand.partitions set position = $2, command_cursor = $3 where partition = $1`
	byHandReceipts  = `insert into byhand.receipts select * from unnest($1::text[], $2::text[])`
	byHandEvents    = `
		insert into byhand.events (partition, position, aggregate_type, aggregate_id, sequence, type, body, metadata)
		select $1, p, 'tally', a, s, 'added', b, m
		from unnest($2::bigint[], $3::text[], $4::bigint[], $5::jsonb[], $6::jsonb[]) as r(p, a, s, b, m)`
)

// byHand is a path with no framework: no tracing, no duplicates, no owners, nothing that fails.
type byHand struct {
	byHandConfig
	pool *pgxpool.Pool
	nc   *nats.Conn
}

// sql puts the namespace in the place of byhand.
func (w *byHand) sql(text string) string {
	return strings.ReplaceAll(text, "byhand", pgx.Identifier{string(w.Namespace)}.Sanitize())
}

// byHandCommand is one that waits for its transaction.
type byHandCommand struct {
	aggregate, id, reply string
	data                 []byte
	sequence             uint64 // in the stream
}

// workByHand is the process. It has Go's usual heap, without a worker's reserve, and as many connections to Postgres as the floor program.
func workByHand(config string) {
	var w byHand
	must(json.Unmarshal([]byte(config), &w.byHandConfig))
	ctx := context.Background()
	var err error
	w.pool, err = pgxpool.New(ctx, w.Database)
	must(err)
	_, err = w.pool.Exec(ctx, w.sql(byHandSchema))
	must(err)
	w.nc, err = nats.Connect(w.NATS)
	must(err)
	js, err := jetstream.New(w.nc)
	must(err)
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: w.Namespace.EventStream(), Subjects: []string{w.Namespace.Events()},
		Duplicates: time.Second}) // as Maestro's: what nats-server keeps of one side is collected at the cost of both
	must(err)
	partitions := make([]chan byHandCommand, w.Partitions)
	for p := range partitions {
		partitions[p] = make(chan byHandCommand, 10_000)
		_, err := w.pool.Exec(ctx, w.sql(byHandPartition), p)
		must(err)
		if w.Durable {
			w.follow(ctx, js, p, partitions[p])
		}
		go w.workPartition(ctx, p, partitions[p])
	}
	if !w.Durable {
		w.listen(partitions)
	}
	must(w.nc.Flush())
	fmt.Println("begun")
	select {}
}

// listen takes requests.
func (w *byHand) listen(partitions []chan byHandCommand) {
	_, err := w.nc.Subscribe(w.Namespace.Do("*", "*", "*"), func(m *nats.Msg) {
		id := strings.Split(m.Subject, ".")[3]
		partitions[wire.Partition(tallyType, id, w.Partitions)] <- byHandCommand{aggregate: id, id: m.Header.Get(wire.HeaderCommandID),
			reply: m.Reply, data: m.Data}
	})
	must(err)
}

// follow takes the commands of a partition from the stream.
func (w *byHand) follow(ctx context.Context, js jetstream.JetStream, p int, into chan<- byHandCommand) {
	consumer, err := js.OrderedConsumer(ctx, w.Namespace.CommandStream(), jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{w.Namespace.CommandsOf(p)}, DeliverPolicy: jetstream.DeliverNewPolicy})
	must(err)
	_, err = consumer.Consume(func(m jetstream.Msg) {
		at, err := m.Metadata()
		must(err)
		into <- byHandCommand{aggregate: strings.Split(m.Subject(), ".")[4], id: m.Headers().Get(wire.HeaderCommandID),
			reply: m.Headers().Get(wire.HeaderReply), data: m.Data(), sequence: at.Sequence.Stream}
	}, jetstream.PullMaxMessages(2000))
	must(err)
}

// workPartition commits what has come, answers, and publishes, over and over.
func (w *byHand) workPartition(ctx context.Context, partition int, commands <-chan byHandCommand) {
	js, err := jetstream.New(w.nc, jetstream.WithPublishAsyncMaxPending(8192))
	must(err)
	sequences, position := map[string]int64{}, int64(0)
	for {
		batch := takeSome(commands, 256)
		n := len(batch)
		positions, seqs := make([]int64, n), make([]int64, n)
		aggregates, ids, bodies, metas := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		for i, c := range batch {
			var command add
			must(json.Unmarshal(c.data, &command))
			body, err := json.Marshal(added{By: command.By})
			must(err)
			sequences[c.aggregate]++
			position++
			positions[i], seqs[i], aggregates[i], ids[i] = position, sequences[c.aggregate], c.aggregate, c.id
			bodies[i], metas[i] = string(body), `{"command_id":"`+c.id+`"}`
		}
		must(pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
			b := &pgx.Batch{}
			b.Queue(w.sql(byHandAdvance), partition, position, int64(batch[n-1].sequence))
			b.Queue(w.sql(byHandReceipts), aggregates, ids)
			b.Queue(w.sql(byHandEvents), partition, positions, aggregates, seqs, bodies, metas)
			return tx.SendBatch(ctx, b).Close()
		}))
		for i, c := range batch {
			must(w.nc.Publish(c.reply, []byte(`{"status":"committed"}`)))
			msg := nats.NewMsg(w.Namespace.Event(partition, tallyType, c.aggregate, "added"))
			msg.Data = []byte(bodies[i])
			msg.Header.Set(wire.HeaderMsgID, fmt.Sprintf("e-%d-%d", partition, positions[i]))
			msg.Header.Set(wire.HeaderEventSequence, strconv.FormatInt(seqs[i], 10))
			_, err := js.PublishMsgAsync(msg)
			must(err)
		}
		<-js.PublishAsyncComplete()
	}
}

// takeSome waits for a command, and takes what else is there, up to a limit.
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

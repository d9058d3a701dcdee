package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/projections"
)

// tally is the measured aggregate. It is small, and has the events that an experiment asks for.
type tally struct {
	Total int `json:"total"`
}

// add counts up. It leads to as many events as it says, each with its text.
type add struct {
	By     int    `json:"by"`
	Events int    `json:"events,omitempty"`
	Text   string `json:"text,omitempty"`
}

func (c add) Decide(aggregate.Root[tally]) ([]aggregate.Event[tally], error) {
	if c.By < 1 {
		return nil, aggregate.Reject("invalid_amount", "by must be positive, got %d", c.By)
	}
	events := make([]aggregate.Event[tally], max(c.Events, 1))
	for i := range events {
		events[i] = added{By: c.By, Text: c.Text}
	}
	return events, nil
}

type added struct {
	By   int    `json:"by"`
	Text string `json:"text,omitempty"`
}

func (e added) Evolve(t tally) tally { return tally{t.Total + e.By} }

// The names of the aggregate and its command.
const (
	tallyType  = "tally"
	addCommand = "add"
)

var tallies = aggregate.Define(tallyType, aggregate.Handles[add](addCommand), aggregate.Emits[added]("added"))

// payload returns the JSON of a command whose events have a size in bytes. A size of 0 gives the
// smallest possible.
func payload(events, size int) []byte {
	c := add{By: 1}
	if events > 1 {
		c.Events = events
	}
	if envelope := len(`{"by":1,"text":""}`); size > envelope {
		c.Text = strings.Repeat("x", size-envelope)
	}
	body, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return body
}

// writing is how a read model is written.
type writing string

const (
	queued    writing = "queued with the commit"
	eventwise writing = "event by event"
	batchwise writing = "a batch at a time"
)

var writings = []writing{queued, eventwise, batchwise}

// readModels returns n projections. Each of them writes a row for each event into its own table.
func readModels(n int, written writing) (all []*projections.Projection) {
	for i := range n {
		name := fmt.Sprintf("added_%d", i)
		setup := projections.Setup(`create table if not exists ` + name +
			` (partition smallint, position bigint, id text not null, amount bigint not null, primary key (partition, position))`)
		switch written {
		case queued:
			all = append(all, projections.Define(name, projections.Queue(tallies, queueRow(name)), setup))
		case eventwise:
			all = append(all, projections.Define(name, projections.Each(tallies, insertRow(name)), setup))
		case batchwise:
			all = append(all, projections.Define(name, projections.Batch(tallies, insertRows(name)), setup))
		}
	}
	return all
}

type addedEvent = projections.Event[added]

// insertOne is the statement for one event.
func insertOne(table string) string { return `insert into ` + table + ` values ($1, $2, $3, $4)` }

func queueRow(table string) func(*pgx.Batch, addedEvent) error {
	sql := insertOne(table)
	return func(into *pgx.Batch, e addedEvent) error {
		into.Queue(sql, e.Partition, e.Position, e.Aggregate.ID, e.Data.By)
		return nil
	}
}

func insertRow(table string) func(context.Context, pgx.Tx, addedEvent) error {
	sql := insertOne(table)
	return func(ctx context.Context, tx pgx.Tx, e addedEvent) error {
		_, err := tx.Exec(ctx, sql, e.Partition, e.Position, e.Aggregate.ID, e.Data.By)
		return err
	}
}

func insertRows(table string) func(context.Context, pgx.Tx, []addedEvent) error {
	sql := `insert into ` + table + ` select unnest($1::smallint[]), unnest($2::bigint[]), unnest($3::text[]), unnest($4::bigint[])`
	return func(ctx context.Context, tx pgx.Tx, events []addedEvent) error {
		n := len(events)
		partitions, positions, ids, amounts := make([]int16, n), make([]int64, n), make([]string, n), make([]int64, n)
		for i, e := range events {
			partitions[i], positions[i], ids[i], amounts[i] = int16(e.Partition), e.Position, e.Aggregate.ID, int64(e.Data.By)
		}
		_, err := tx.Exec(ctx, sql, partitions, positions, ids, amounts)
		return err
	}
}

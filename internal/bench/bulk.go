package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// bulk is a log that was filled by SQL, as if many commands had been handled long ago. It has one
// event and one receipt for each aggregate.
type bulk struct {
	ns              wire.Namespace
	events          int
	eventPartitions int
	sets            int // the number of sets of aggregates that will get commands
}

const (
	bulkPartitions = 16
	// bulkAggregates is the number of aggregates in a set.
	bulkAggregates = 10_000
	// bulkGap is the difference between the ids of two neighbouring other aggregates.
	bulkGap = 1000
)

// fillLog makes the log. Its last event counts as published.
func (l *lab) fillLog(ctx context.Context, b bulk) error {
	log, err := store.Open(ctx, l.pool, store.Options{Namespace: string(b.ns), Partitions: bulkPartitions, EventPartitions: b.eventPartitions})
	if err != nil {
		return err
	}
	log.Close()
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	restore, err := b.dropIndexes(ctx, conn.Conn())
	if err != nil {
		return fmt.Errorf("drop the indexes: %w", err)
	}
	if err := b.copyKnown(ctx, conn.Conn()); err != nil {
		return fmt.Errorf("write the events of known aggregates: %w", err)
	}
	steps := append([]string{fillEvents, fillReceipts}, restore...)
	steps = append(steps, `update bench.partitions p set position = e.position, published_position = e.position, recorded_at = now()
		from (select partition, max(position) as position from bench.log group by 1) e where e.partition = p.partition`,
		`vacuum (freeze, analyze) bench.log, bench.receipts, bench.partitions`, `checkpoint`)
	for _, sql := range steps {
		sql = strings.ReplaceAll(b.qualify(sql), "$more", strconv.Itoa(b.events-b.sets*bulkAggregates))
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%.60s: %w", strings.TrimSpace(sql), err)
		}
	}
	return l.countAsPublished(ctx, b.ns)
}

// These statements write the rows after those of the known aggregates, in each partition in the
// order of its positions. Their ids lie among the known ids.
const (
	fillEvents = `
		with known as materialized (select p, (select count(*) from bench.log e where e.partition = p) as n from generate_series(0, 15) p)
		insert into bench.log (partition, position, aggregate_type, aggregate_id, sequence, type, version, codec, body, metadata, recorded_at)
		select i % 16, 1 + i / 16 + known.n, 'tally', lpad((i::bigint * 1000)::text, 12, '0'), 1, 'added', 1, 1, '{"by":1}',
			jsonb_build_object('command_id', 'bulk-' || i), now() - interval '1 hour'
		from generate_series(0, $more - 1) i
		join known on known.p = i % 16`
	fillReceipts = `
		insert into bench.receipts (partition, aggregate_type, aggregate_id, command_id, status, sequence, position, events, error, at)
		select partition, aggregate_type, aggregate_id, metadata ->> 'command_id', 'committed', 1, position, 1, null, recorded_at
		from bench.log`
)

func (b bulk) qualify(sql string) string {
	return strings.ReplaceAll(sql, "bench.", pgx.Identifier{string(b.ns)}.Sanitize()+".")
}

// known names the aggregates of a set, which are spread over the whole log. Aggregates with the
// same number are in the same partition in all sets, and are neighbours in the indexes. A later set
// therefore finds the pages that an earlier set has changed.
func (b bulk) known(set int) func(n int) string {
	ids := make([]string, bulkAggregates)
	for n := range ids {
		first := n * max(b.events/bulkAggregates, 1) * bulkGap
		partition := -1
		for i, found := first+1, 0; found <= set; i++ {
			ids[n] = fmt.Sprintf("%012d", i)
			p := wire.Partition(tallyType, ids[n], bulkPartitions)
			if partition < 0 {
				partition = p
			}
			if p == partition {
				found++
			}
		}
	}
	return func(n int) string { return ids[n] }
}

// copyKnown writes the events of the aggregates that will get commands into their partitions. SQL
// alone cannot compute these partitions.
func (b bulk) copyKnown(ctx context.Context, conn *pgx.Conn) error {
	positions := [bulkPartitions]int64{}
	at := time.Now().Add(-time.Hour)
	var sets []func(int) string
	for set := range b.sets {
		sets = append(sets, b.known(set))
	}
	_, err := conn.CopyFrom(ctx, pgx.Identifier{string(b.ns), "log"},
		[]string{"partition", "position", "aggregate_type", "aggregate_id", "sequence", "type", "version", "codec",
			"body", "metadata", "recorded_at"},
		pgx.CopyFromSlice(b.sets*bulkAggregates, func(n int) ([]any, error) {
			id := sets[n/bulkAggregates](n % bulkAggregates)
			p := wire.Partition(tallyType, id, bulkPartitions)
			positions[p]++
			return []any{int16(p), positions[p], tallyType, id, int64(1), "added", int32(1), int16(1), []byte(`{"by":1}`),
				fmt.Sprintf(`{"command_id":"known-%d"}`, n), at}, nil
		}))
	return err
}

// dropIndexes drops the indexes of the large tables and returns the SQL that makes them again.
// Building the indexes at the end takes a fraction of the time.
func (b bulk) dropIndexes(ctx context.Context, conn *pgx.Conn) (restore []string, err error) {
	restore = []string{`set maintenance_work_mem = '1GB'`}
	rows, _ := conn.Query(ctx, b.qualify(`
		select format('alter table %s drop constraint %I', conrelid::regclass, conname),
			format('alter table %s add constraint %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
		from pg_constraint where contype in ('p', 'u') and conparentid = 0
			and conrelid in ('bench.log'::regclass, 'bench.receipts'::regclass)
		union all
		select format('drop index %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
		from pg_index i where indrelid in ('bench.log'::regclass, 'bench.receipts'::regclass)
			and not exists (select from pg_constraint c where c.conindid = i.indexrelid)`))
	var drop, build string
	var drops []string
	_, err = pgx.ForEachRow(rows, []any{&drop, &build}, func() error {
		drops, restore = append(drops, drop), append(restore, build)
		return nil
	})
	for _, sql := range drops {
		_, failed := conn.Exec(ctx, sql)
		err = errors.Join(err, failed)
	}
	return restore, err
}

// bounded is an event stream that may have dropped its oldest events.
var bounded = eventstream.StreamConfig{MaxBytes: 1 << 30}

// countAsPublished makes the event stream and records that the stream once had all events of the
// log.
func (l *lab) countAsPublished(ctx context.Context, ns wire.Namespace) error {
	stream, err := eventstream.Ensure(ctx, l.js, ns, bounded)
	if err != nil {
		return err
	}
	_, err = l.pool.Exec(ctx, `update `+pgx.Identifier{string(ns), "partitions"}.Sanitize()+` set event_stream = $1`,
		stream.CachedInfo().Created)
	return err
}

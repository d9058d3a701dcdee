package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Events reads the events of one aggregate.
func (s *Postgres) Events(ctx context.Context, partition int, key Key, above int64, limit int) ([]Event, error) {
	events, err := s.events(ctx, partition, s.sql.history, partition, key.Type, key.ID, above, limit)
	if err != nil {
		return nil, fmt.Errorf("read the events of %s %s above sequence %d: %w", key.Type, key.ID, above, own(err))
	}
	return events, nil
}

// Log reads the events of a partition.
func (s *Postgres) Log(ctx context.Context, partition int, above int64, limit int) ([]Event, error) {
	events, err := s.events(ctx, partition, s.sql.log, partition, above, limit)
	if err != nil {
		return nil, fmt.Errorf("read the log of partition %d above position %d: %w", partition, above, own(err))
	}
	return events, nil
}

func (s *Postgres) events(ctx context.Context, partition int, sql string, args ...any) ([]Event, error) {
	if err := checkPartition(partition, s.partitions); err != nil {
		return nil, err
	}
	rows, _ := s.pool.Query(ctx, sql, args...) // its error is that of the rows
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Event, error) {
		e := Event{Partition: partition}
		err := row.Scan(&e.Position, &e.Aggregate.Type, &e.Aggregate.ID, &e.Sequence, &e.Type, &e.Version,
			(*[]byte)(&e.Body), &e.Metadata, &e.RecordedAt)
		e.RecordedAt = e.RecordedAt.UTC()
		return e, err
	})
}

// Receipts finds the receipts of commands.
func (s *Postgres) Receipts(ctx context.Context, partition int, commands []CommandKey) (map[CommandKey]Receipt, error) {
	if err := checkPartition(partition, s.partitions); err != nil {
		return nil, err
	}
	n := len(commands)
	types, ids, commandIDs := make([]string, n), make([]string, n), make([]string, n)
	for i, c := range commands {
		types[i], ids[i], commandIDs[i] = c.Type, c.ID, c.CommandID
	}
	rows, _ := s.pool.Query(ctx, s.sql.find, partition, types, ids, commandIDs)
	found := make(map[CommandKey]Receipt, n)
	var r Receipt
	_, err := pgx.ForEachRow(rows, []any{&r.Aggregate.Type, &r.Aggregate.ID, &r.CommandID, &r.Status, &r.Sequence,
		&r.Position, &r.Events, &r.Error, &r.At}, func() error {
		r.At = r.At.UTC()
		found[r.Key()] = r
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find %d receipts of partition %d: %w", n, partition, own(err))
	}
	return found, nil
}

// scanPartition reads a row of partitionColumns.
func scanPartition(row pgx.Row) (p Partition, err error) {
	var eventStream, commandStream, cursorTime, recordedAt *time.Time
	var cursor int64
	err = row.Scan(&p.Number, &p.Owner, &p.Epoch, &p.Layout, &p.Position, &p.Published, &eventStream, &commandStream,
		&cursor, &cursorTime, &recordedAt, &p.Clock)
	p.EventStreamCreated, p.Time, p.Clock = timeOf(eventStream), timeOf(recordedAt), p.Clock.UTC()
	p.Cursor = Cursor{StreamCreated: timeOf(commandStream), Sequence: uint64(cursor), Time: timeOf(cursorTime)}
	return p, err
}

// timeOf is the opposite of nullTime.
func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

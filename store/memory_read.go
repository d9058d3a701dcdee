package store

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/maestro-es/maestro/aggregate"
)

// Load reads the histories of aggregates as of one moment.
func (m *Memory) Load(ctx context.Context, partition int, queries []Query) ([]History, error) {
	histories := make([]History, len(queries))
	err := m.read(ctx, partition, func(p *memoryPartition) {
		for i, q := range queries {
			histories[i] = p.history(q)
		}
	})
	if err == nil {
		err = checkSize(queries, histories)
	}
	if err != nil {
		return nil, err
	}
	return restore(queries, histories, func(whole []Query) ([]History, error) { return m.Load(ctx, partition, whole) })
}

// checkSize returns an error if a load is too large.
func checkSize(queries []Query, histories []History) error {
	var read size
	for _, h := range histories {
		if h.Snapshot != nil {
			if err := read.add(queries, true, len(h.Snapshot.Body)); err != nil {
				return err
			}
		}
		for _, e := range h.Events {
			if err := read.add(queries, false, len(e.Body)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *memoryPartition) history(q Query) (h History) {
	upTo := q.UpTo
	if upTo == 0 {
		upTo = math.MaxInt64
	}
	above := q.Above
	s, exists := p.snapshots[q.Key]
	if exists && above == 0 && s.Version == q.SnapshotVersion && s.Sequence <= upTo {
		s.Body = slices.Clone(s.Body)
		h.Snapshot, above = &s.Snapshot, s.Sequence
	}
	for _, e := range p.events(q.Key, above) {
		if e.Sequence > upTo || q.Most > 0 && len(h.Events) == q.Most {
			break
		}
		h.add(q, aggregate.Recorded{Sequence: e.Sequence, Type: e.Type, Version: e.Version, Body: slices.Clone(e.Body)})
	}
	return h
}

// events returns the events of an aggregate above a sequence, without copying them.
func (p *memoryPartition) events(key Key, above int64) (events []Event) {
	for _, position := range from(p.positions[key], above) { // index i: the event with sequence i+1
		events = append(events, p.log[position-1])
	}
	return events
}

// Events reads the events of one aggregate.
func (m *Memory) Events(ctx context.Context, partition int, key Key, above int64, limit int) (events []Event, err error) {
	err = m.read(ctx, partition, func(p *memoryPartition) { events = copies(p.events(key, above), limit) })
	return events, err
}

// Log reads the events of a partition.
func (m *Memory) Log(ctx context.Context, partition int, above int64, limit int) (events []Event, err error) {
	err = m.read(ctx, partition, func(p *memoryPartition) {
		events = copies(from(p.log, above), limit)
	})
	return events, err
}

// Receipts finds the receipts of commands.
func (m *Memory) Receipts(ctx context.Context, partition int, commands []CommandKey) (map[CommandKey]Receipt, error) {
	found := map[CommandKey]Receipt{}
	err := m.read(ctx, partition, func(p *memoryPartition) {
		for _, key := range commands {
			if r, ok := p.receipts[key]; ok {
				found[key] = r.copy()
			}
		}
	})
	return found, err
}

// from returns all but the first n elements.
func from[T any](all []T, n int64) []T { return all[min(max(n, 0), int64(len(all))):] }

func copies(events []Event, limit int) []Event {
	events = slices.Clone(events[:min(max(limit, 0), len(events))])
	bytes := 0
	for i := range events {
		if bytes >= PageBytes {
			return events[:i]
		}
		events[i].Body = slices.Clone(events[i].Body)
		bytes += len(events[i].Body)
	}
	return events
}

// stored returns the event as the store keeps it and returns it to readers.
func (e Event) stored(partition int) Event {
	e.Partition, e.Value = partition, nil
	e.Body, e.RecordedAt = slices.Clone(e.Body), stamp(e.RecordedAt)
	return e
}

func (r Receipt) copy() Receipt {
	r.At = stamp(r.At)
	if r.Error != nil {
		e := *r.Error
		e.Details = slices.Clone(e.Details)
		r.Error = &e
	}
	return r
}

// stamp returns the time as Postgres keeps it: in UTC, with microseconds.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// storable returns an error if Postgres could not hold the commit.
func (c *Commit) storable() error {
	for _, r := range c.Receipts {
		if err := checkText(r.Aggregate.Type, r.Aggregate.ID, r.CommandID); err != nil {
			return err
		}
	}
	for _, e := range c.Events {
		m := e.Metadata
		err := errors.Join(checkText(e.Aggregate.Type, e.Aggregate.ID, e.Type),
			checkText(m.CommandID, m.CorrelationID, m.CausationID, m.Traceparent, m.Tracestate))
		if err != nil {
			return err
		}
	}
	return nil
}

func checkText(texts ...string) error {
	for _, text := range texts {
		if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
			return &DataError{Code: codeBadEncoding, Message: "a string must be valid UTF-8 without the NUL character"}
		}
	}
	return nil
}

package repository

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// Event is a committed event with the user's type.
type Event[S any] struct {
	// ID is the id of the event's aggregate.
	ID string
	// Sequence is the event's place among the events of its aggregate, from 1.
	Sequence int64
	// Value is the event, brought to its current version.
	Value aggregate.Event[S]
	// Partition and Position are the event's place in the log.
	Partition int
	Position  int64
	// Metadata describes the command that caused the event.
	Metadata store.Metadata
	// RecordedAt is when the event was decided, in UTC. Events of one command have the same time.
	RecordedAt time.Time
}

// page is how many events are read at a time.
const page = 1000

// History ranges over the events of an aggregate with sequences above the given one, in order. It
// reads page by page, and ends at the end of the log. It ends early after an error, which comes
// from the store or is an *aggregate.EventError.
func (r *Repository[S]) History(ctx context.Context, id string, above int64) iter.Seq2[Event[S], error] {
	return func(yield func(Event[S], error) bool) {
		if err := aggregate.CheckID(id); err != nil {
			yield(Event[S]{}, err)
			return
		}
		partition, sequence := r.partition(id), above
		r.pages(yield, func() ([]store.Event, error) {
			events, err := r.store.Events(ctx, partition, r.key(id), sequence, page)
			if len(events) > 0 {
				sequence = events[len(events)-1].Sequence
			}
			return events, err
		})
	}
}

// Log ranges over the events of all aggregates of the repository's type that are in the log when
// Log begins. The events of an aggregate come in order; events of different aggregates come in any
// order. Log ends early after an error, like History.
//
// after says where to begin: only events of partition p with a position above after[p] are
// returned. Nil begins at the beginning. A caller that sets after[e.Partition] = e.Position for
// each event can go on later with the newer events.
func (r *Repository[S]) Log(ctx context.Context, after map[int]int64) iter.Seq2[Event[S], error] {
	return func(yield func(Event[S], error) bool) {
		rows, err := r.store.Rows(ctx)
		if err != nil {
			yield(Event[S]{}, err)
			return
		}
		for _, row := range rows {
			position := after[row.Number]
			more := r.pages(yield, func() ([]store.Event, error) {
				if position >= row.Position {
					return nil, nil
				}
				events, err := r.store.Log(ctx, row.Number, position, int(min(page, row.Position-position)))
				if len(events) > 0 {
					position = events[len(events)-1].Position
				}
				return events, err
			})
			if !more {
				return
			}
		}
	}
}

// pages yields the events of page after page, up to an empty page. It leaves out events of other
// aggregate types. It returns false if the caller wants no more, or after an error.
func (r *Repository[S]) pages(yield func(Event[S], error) bool, next func() ([]store.Event, error)) bool {
	for {
		events, err := next()
		if err != nil {
			yield(Event[S]{}, err)
			return false
		}
		if len(events) == 0 {
			return true
		}
		for _, e := range events {
			if e.Aggregate.Type != r.definition.Name() {
				continue
			}
			event, err := r.eventOf(e)
			if !yield(event, err) || err != nil {
				return false
			}
		}
	}
}

// eventOf gives an event the user's type.
func (r *Repository[S]) eventOf(e store.Event) (Event[S], error) {
	value, err := r.definition.Decode(e.Recorded)
	if err != nil {
		return Event[S]{}, fmt.Errorf("%s %s: %w", e.Aggregate.Type, e.Aggregate.ID, err)
	}
	return Event[S]{ID: e.Aggregate.ID, Sequence: e.Sequence, Value: value.(aggregate.Event[S]), Partition: e.Partition,
		Position: e.Position, Metadata: e.Metadata, RecordedAt: e.RecordedAt}, nil
}

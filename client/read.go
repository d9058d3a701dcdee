package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/protocol"
)

// State is the state of an aggregate, now or at an earlier sequence.
type State struct {
	Aggregate string `json:"aggregate"`
	ID        string `json:"id"`
	// Sequence is the sequence of the last event in the state, or 0 before the first event.
	Sequence  int64 `json:"sequence"`
	Partition int   `json:"partition"`
	// State is the JSON of the state.
	State json.RawMessage `json:"state"`
}

// GetOptions say which state [Client.Get] returns. The zero value asks for the current state.
type GetOptions struct {
	// Sequence, if not 0, asks for the state right after the event with this sequence.
	Sequence int64
	// Cached accepts a state that may lag behind.
	Cached bool
}

// Get returns the state of an aggregate. It asks again until the context ends. The error is
// [ErrInvalid], a *[NoWorkerError], a *[RefusedError] or the context's error.
func (c *Client) Get(ctx context.Context, typ, id string, o GetOptions) (state State, err error) {
	header := nats.Header{}
	if o.Sequence != 0 {
		header.Set(wire.HeaderSequence, strconv.FormatInt(o.Sequence, 10))
	}
	if o.Cached {
		header.Set(wire.HeaderConsistency, "cached")
	}
	err = c.read(ctx, c.namespace.Get, typ, id, header, &state)
	return state, err
}

// History returns the events of an aggregate with sequences above after, in order. It reads page
// by page as the caller ranges over it. It ends with the first error, which is one of those of
// [Client.Get].
func (c *Client) History(ctx context.Context, typ, id string, after int64) iter.Seq2[protocol.OutcomeEvent, error] {
	return func(yield func(protocol.OutcomeEvent, error) bool) {
		sequence := after
		for more := true; more; {
			var page struct {
				Events []protocol.OutcomeEvent
				More   bool
			}
			header := nats.Header{wire.HeaderAfter: {strconv.FormatInt(sequence, 10)}}
			if err := c.read(ctx, c.namespace.History, typ, id, header, &page); err != nil {
				yield(protocol.OutcomeEvent{}, err)
				return
			}
			for _, event := range page.Events {
				sequence = event.Sequence
				if !yield(event, nil) {
					return
				}
			}
			more = page.More && len(page.Events) > 0
		}
	}
}

// Snapshotted says which snapshot of an aggregate was stored.
type Snapshotted struct {
	Aggregate string `json:"aggregate"`
	ID        string `json:"id"`
	// Sequence is the sequence of the last event in the snapshot. It is 0 if the aggregate has no
	// events, and then no snapshot was stored.
	Sequence int64 `json:"sequence"`
}

// Snapshot makes a worker store a snapshot of an aggregate, so that later loads begin there. It
// changes nothing else. The errors are those of [Client.Get].
func (c *Client) Snapshot(ctx context.Context, typ, id string) (done Snapshotted, err error) {
	err = c.read(ctx, c.namespace.Snapshot, typ, id, nats.Header{}, &done)
	return done, err
}

// read asks a worker about an aggregate.
func (c *Client) read(ctx context.Context, subject func(typ, id string) string, typ, id string,
	header nats.Header, into any,
) (err error) {
	ctx, span := c.traceRead(ctx, subject, typ, id)
	defer endSpan(span, &err)
	if err := aggregate.CheckName("aggregate", typ); err != nil {
		return invalid("%w", err)
	}
	if err := aggregate.CheckID(id); err != nil {
		return invalid("%w", err)
	}
	inject(ctx, header)
	_, err = c.ask(ctx, &nats.Msg{Subject: subject(typ, id), Header: header}, func(answer *nats.Msg) error {
		if err := refusal(answer); err != nil {
			return err
		}
		return json.Unmarshal(answer.Data, into)
	})
	if err != nil {
		return fmt.Errorf("read %s %s: %w", typ, id, c.noWorker(err))
	}
	return nil
}

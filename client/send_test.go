package client_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

func TestSendStoresTheCommandWithItsHeaders(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	expected, deadline := int64(7), time.Date(2030, 1, 31, 13, 0, 0, 123456789, time.FixedZone("", 3600))
	ack, err := c.Send(t.Context(), client.Command{ID: "first", Aggregate: "counter", AggregateID: "42", Name: "increment",
		Data: map[string]int{"by": 3}, ExpectSequence: &expected, Deadline: deadline, Return: client.ReturnEvents,
		CorrelationID: "order 1", CausationID: "click"})
	require.NoError(t, err)
	require.Equal(t, client.Ack{CommandID: "first", Stream: "MAESTRO_COMMANDS", Sequence: 1}, ack)

	stored := w.stored(t)
	require.Len(t, stored, 1)
	require.Equal(t, "maestro.cmd.5.counter.42.increment", stored[0].subject)
	require.JSONEq(t, `{"by":3}`, stored[0].body)
	require.Equal(t, nats.Header{
		wire.HeaderCommandID:      {"first"},
		wire.HeaderMsgID:          {"counter/42/first"},
		wire.HeaderExpectSequence: {"7"},
		wire.HeaderDeadline:       {"2030-01-31T12:00:00.123456789Z"},
		wire.HeaderReturn:         {"events"},
		wire.HeaderCorrelationID:  {"order 1"},
		wire.HeaderCausationID:    {"click"},
	}, stored[0].header)
}

func TestSendMakesAnIDAndLeavesOutWhatIsNotSet(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	ack, err := c.Send(t.Context(), client.Command{Aggregate: "counter", AggregateID: "42", Name: "reset"})
	require.NoError(t, err)
	id, err := uuid.Parse(ack.CommandID)
	require.NoError(t, err)
	require.Equal(t, uuid.Version(7), id.Version())
	stored := w.stored(t)
	require.Len(t, stored, 1)
	require.Empty(t, stored[0].body)
	require.Len(t, stored[0].header, 2, "the command's and the message's id: %v", stored[0].header)
}

func TestSendTwiceIsADuplicateOfTheSameAggregateOnly(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	other := increment("same")
	other.AggregateID = "43"
	for _, want := range []struct {
		cmd       client.Command
		duplicate bool
	}{{increment("same"), false}, {increment("same"), true}, {other, false}} {
		ack, err := c.Send(t.Context(), want.cmd)
		require.NoError(t, err)
		require.Equal(t, want.duplicate, ack.Duplicate, "%+v", want.cmd)
	}
	require.Len(t, w.stored(t), 2)
}

func TestSendSaysThatAWorkerMakesTheStream(t *testing.T) {
	t.Parallel()
	c, err := client.New(localnats.ForTest(t).Connect(t), client.Options{Namespace: "orders"})
	require.NoError(t, err)
	var missing *client.NoStreamError
	_, err = c.Send(t.Context(), increment("a"))
	require.ErrorAs(t, err, &missing)
	require.ErrorContains(t, err, `no stream ORDERS_COMMANDS`)
	require.ErrorContains(t, err, `start a worker of namespace "orders"`)
	_, err = c.SendAndWait(t.Context(), increment("a"))
	require.ErrorAs(t, err, &missing)
	_, err = c.Import(t.Context(), increments(3), client.ImportOptions{})
	require.ErrorAs(t, err, &missing)
}

func TestSendPassesOnTheStreamsRefusal(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	stream, err := w.js.Stream(t.Context(), ns.CommandStream())
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	config.MaxBytes = 1
	_, err = w.js.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	_, err = c.Send(t.Context(), increment("a"))
	var refused *jetstream.APIError
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "a full stream empties as workers handle its commands")
}

func TestSendGoesOnThroughARestart(t *testing.T) {
	t.Parallel()
	s := localnats.ForTest(t)
	w, c := newWorker(t, s, client.Options{Resend: 50 * time.Millisecond})
	s.Stop()
	sent := make(chan error, 1)
	go func() {
		_, err := c.Send(context.WithoutCancel(t.Context()), increment("a"))
		sent <- err
	}()
	require.NoError(t, s.Restart())
	require.NoError(t, <-sent)
	require.Len(t, w.stored(t), 1, "attempts are stored once")
}

func TestSendThatGetsNoAnswerIsUnknown(t *testing.T) {
	t.Parallel()
	s := localnats.ForTest(t)
	_, c := newWorker(t, s, client.Options{Resend: 10 * time.Millisecond})
	s.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Send(ctx, increment("a"))
	var unknown *client.UnknownOutcomeError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, "a", unknown.CommandID)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestSendAndWaitReturnsTheOutcome(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	w.decide = func(h handled) store.Outcome {
		if h.id() == "bad" {
			return store.Outcome{Status: store.Rejected, Error: &store.Error{Code: "invalid_amount", Message: "by must be positive"}}
		}
		return store.Outcome{Status: store.Committed, Sequence: 3, State: json.RawMessage(`{"Total":3}`)}
	}
	w.run(t)
	o, err := c.SendAndWait(t.Context(), increment("good"))
	require.NoError(t, err)
	require.Equal(t, store.Outcome{Status: store.Committed, Aggregate: "counter", ID: "42", CommandID: "good", Sequence: 3,
		State: json.RawMessage(`{"Total":3}`)}, o)
	require.NoError(t, client.Err(o))

	o, err = c.SendAndWait(t.Context(), increment("bad"))
	require.NoError(t, err, "a rejection is an outcome")
	var reason *store.Error
	require.ErrorAs(t, client.Err(o), &reason)
	require.Equal(t, "invalid_amount", reason.Code)

	o, err = c.SendAndWait(t.Context(), increment("good"))
	require.NoError(t, err)
	require.True(t, o.Duplicate, "the stream must not swallow what is to be answered again")
}

func TestSendAndWaitSendsAgainWhenTheAnswerIsLost(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{Resend: 20 * time.Millisecond})
	w.answers = func(_ handled, o store.Outcome) bool { return o.Duplicate }
	w.run(t)
	o, err := c.SendAndWait(t.Context(), increment("a"))
	require.NoError(t, err)
	require.Equal(t, store.Committed, o.Status)
	require.True(t, o.Duplicate)
	require.Equal(t, []string{"a"}, w.handledIDs())
}

func TestSendAndWaitWithoutAnswerIsUnknown(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{Resend: 10 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.answers = func(_ handled, o store.Outcome) bool {
		if o.Duplicate {
			cancel()
		}
		return false
	}
	w.run(t)
	_, err := c.SendAndWait(ctx, increment("a"))
	var unknown *client.UnknownOutcomeError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, "a", unknown.CommandID)
	require.ErrorContains(t, err, "send it again with the same id")
}

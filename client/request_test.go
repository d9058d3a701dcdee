package client_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

const doIncrement = "maestro.do.counter.42.increment"

func TestRequestReturnsTheOutcome(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	committed := store.Outcome{Status: store.Committed, Aggregate: "counter", ID: "42", CommandID: "a", Sequence: 1}
	w.serve(t, doIncrement, func(m *nats.Msg) *nats.Msg {
		if m.Header.Get(wire.HeaderCommandID) != "a" || m.Header.Get(wire.HeaderMsgID) != "" || string(m.Data) != `{"by":1}` {
			return answerWith(t, store.Outcome{Status: store.Failed})
		}
		return answerWith(t, committed)
	})
	o, err := c.Request(t.Context(), increment("a"))
	require.NoError(t, err)
	require.Equal(t, committed, o)
}

func TestRequestPrefersTheOutcomeToTheErrorHeaders(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	w.serve(t, doIncrement, func(*nats.Msg) *nats.Msg {
		return answerWith(t, store.Outcome{Status: store.Rejected, Error: &store.Error{Code: "no", Message: "never"}},
			micro.ErrorCodeHeader, "409", micro.ErrorHeader, "no: never")
	})
	o, err := c.Request(t.Context(), increment("a"))
	require.NoError(t, err)
	require.Equal(t, store.Rejected, o.Status)
	require.EqualError(t, client.Err(o), "no: never")
}

func TestRequestReturnsAServiceErrorWithoutOutcome(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	w.serve(t, doIncrement, func(*nats.Msg) *nats.Msg {
		return &nats.Msg{Header: nats.Header{micro.ErrorCodeHeader: {"400"}, micro.ErrorHeader: {"bad subject"}}}
	})
	_, err := c.Request(t.Context(), increment("a"))
	var refused *client.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "400", refused.Status)
	require.EqualError(t, err, "400: bad subject")
}

func TestRequestRepeatsUntilAWorkerAnswers(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{Resend: 20 * time.Millisecond})
	ids := make(chan string, 10)
	var calls atomic.Int32
	answer := func(m *nats.Msg) *nats.Msg {
		ids <- m.Header.Get(wire.HeaderCommandID)
		switch calls.Add(1) {
		case 1: // no owner yet
			return answerWith(t, store.Outcome{Status: store.Failed, Error: &store.Error{Code: "unavailable"}}, micro.ErrorCodeHeader, "503")
		case 2: // the worker dies
			return nil
		default:
			return answerWith(t, store.Outcome{Status: store.Committed, Duplicate: true})
		}
	}
	asked := make(chan error, 1)
	go func() {
		o, err := c.Request(t.Context(), client.Command{Aggregate: "counter", AggregateID: "42", Name: "increment"})
		if err == nil {
			err = client.Err(o)
		}
		asked <- err
	}()
	w.serve(t, doIncrement, answer) // probably only after the first attempts
	require.NoError(t, <-asked)
	first := <-ids
	require.NotEmpty(t, first)
	require.Equal(t, []string{first, first}, []string{<-ids, <-ids}, "every attempt has the same id")
}

func TestRequestTellsNoWorkerFromAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	s := localnats.ForTest(t)
	w, c := newWorker(t, s, client.Options{})
	err := requestFor(t, c, 100*time.Millisecond)
	var unknown *client.UnknownOutcomeError
	for attempts := 1; attempts < 20 && errors.As(err, &unknown); attempts++ {
		err = requestFor(t, c, 100*time.Millisecond) // the time was up during an attempt
	}
	var none *client.NoWorkerError
	require.ErrorAs(t, err, &none)
	require.ErrorContains(t, err, `no worker of namespace "maestro" answers`)

	c, err = client.New(s.Connect(t), client.Options{Resend: 10 * time.Millisecond})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var calls atomic.Int32
	w.serve(t, doIncrement, func(*nats.Msg) *nats.Msg {
		if calls.Add(1) == 2 {
			cancel()
		}
		return nil
	})
	_, err = c.Request(ctx, increment("a"))
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, "a", unknown.CommandID)
	require.ErrorIs(t, err, context.Canceled)
}

// A stream that captures the subjects of requests answers instead of a worker. A worker may have
// handled the command as well.
func TestARequestThatAStreamCapturesHasAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	s := localnats.ForTest(t)
	_, c := newWorker(t, s, client.Options{})
	js, err := jetstream.New(s.Connect(t))
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVERYTHING", Subjects: []string{"maestro.do.>"}, Storage: jetstream.MemoryStorage})
	require.NoError(t, err)
	err = requestFor(t, c, 20*time.Second)
	var unknown *client.UnknownOutcomeError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, "a", unknown.CommandID)
	require.ErrorContains(t, err, "the stream EVERYTHING has stored the request")
}

// requestFor makes a request that must end within the given time.
func requestFor(t *testing.T, c *client.Client, time time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), time)
	defer cancel()
	_, err := c.Request(ctx, increment("a"))
	return err
}

package client_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

func TestGetAsksForTheStateItIsToldTo(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	asked := make(chan nats.Header, 1)
	w.serve(t, "maestro.get.counter.42", func(m *nats.Msg) *nats.Msg {
		asked <- m.Header
		return &nats.Msg{Data: []byte(`{"aggregate":"counter","id":"42","sequence":7,"partition":5,"state":{"Total":9}}`)}
	})
	for _, want := range []struct {
		options client.GetOptions
		header  nats.Header
	}{
		{client.GetOptions{}, nil},
		{client.GetOptions{Sequence: 7}, nats.Header{wire.HeaderSequence: {"7"}}},
		{client.GetOptions{Cached: true}, nats.Header{wire.HeaderConsistency: {"cached"}}},
	} {
		state, err := c.Get(t.Context(), "counter", "42", want.options)
		require.NoError(t, err)
		require.Equal(t, client.State{Aggregate: "counter", ID: "42", Sequence: 7, Partition: 5, State: json.RawMessage(`{"Total":9}`)}, state)
		require.Equal(t, want.header, <-asked)
	}
}

func TestGetPassesOnTheWorkersError(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	w.serve(t, "maestro.get.ghost.42", func(*nats.Msg) *nats.Msg {
		return answerWith(t, map[string]any{"error": store.Error{Code: "unknown_aggregate", Message: "no such type"}},
			micro.ErrorCodeHeader, "404", micro.ErrorHeader, "unknown_aggregate: no such type")
	})
	_, err := c.Get(t.Context(), "ghost", "42", client.GetOptions{})
	var reason *store.Error
	require.ErrorAs(t, err, &reason)
	require.Equal(t, "unknown_aggregate", reason.Code)
	require.EqualError(t, err, "read ghost 42: unknown_aggregate: no such type")

	_, err = c.Get(t.Context(), "Ghost", "42", client.GetOptions{})
	require.ErrorIs(t, err, client.ErrInvalid)
	_, err = c.Get(t.Context(), "ghost", "4 2", client.GetOptions{})
	require.ErrorIs(t, err, client.ErrInvalid)
}

// serveHistory serves a history of n events in pages of 3. The channel tells which pages were
// asked for.
func serveHistory(t *testing.T, w *worker, n int64) <-chan string {
	asked := make(chan string, 100)
	w.serve(t, "maestro.history.counter.42", func(m *nats.Msg) *nats.Msg {
		asked <- m.Header.Get(wire.HeaderAfter)
		after, _ := strconv.ParseInt(m.Header.Get(wire.HeaderAfter), 10, 64)
		page := []store.OutcomeEvent{}
		for s := after + 1; s <= min(n, after+3); s++ {
			page = append(page, store.OutcomeEvent{Sequence: s, Type: "incremented"})
		}
		return answerWith(t, map[string]any{"aggregate": "counter", "id": "42", "events": page, "more": after+3 < n})
	})
	return asked
}

func TestHistoryReadsPageAfterPage(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	asked := serveHistory(t, w, 8)
	history := c.History(t.Context(), "counter", "42", 1)
	for range 2 { // it begins anew each time
		var sequences []int64
		for event, err := range history {
			require.NoError(t, err)
			sequences = append(sequences, event.Sequence)
		}
		require.Equal(t, []int64{2, 3, 4, 5, 6, 7, 8}, sequences)
		require.Equal(t, []string{"1", "4", "7"}, []string{<-asked, <-asked, <-asked})
	}

	for range c.History(t.Context(), "counter", "42", 0) {
		break
	}
	require.Equal(t, "0", <-asked)
	require.Empty(t, asked, "a reader that stops asks for no further page")
}

func TestHistoryEndsWithTheError(t *testing.T) {
	t.Parallel()
	_, c := newWorker(t, localnats.ForTest(t), client.Options{})
	var errs []error
	for _, err := range c.History(t.Context(), "counter", "4.2", 0) {
		errs = append(errs, err)
	}
	require.Len(t, errs, 1)
	require.ErrorIs(t, errs[0], client.ErrInvalid)
}

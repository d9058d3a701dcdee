package atomicbatch

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localnats"
)

func stream(t *testing.T, nc *nats.Conn) jetstream.Stream {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}, AllowAtomicPublish: true})
	require.NoError(t, err)
	return s
}

func messages(n int) []*nats.Msg {
	all := make([]*nats.Msg, n)
	for i := range all {
		all[i] = &nats.Msg{Subject: fmt.Sprintf("s.%d", i+1), Data: []byte("x"), Header: nats.Header{"A": {"b"}}}
	}
	return all
}

func count(t *testing.T, s jetstream.Stream) int {
	t.Helper()
	info, err := s.Info(t.Context())
	require.NoError(t, err)
	return int(info.State.Msgs)
}

func TestAllAreStoredInOrder(t *testing.T) {
	t.Parallel()
	nc := localnats.ForTest(t).Connect(t)
	s, sender := stream(t, nc), NewSender(nc)
	for _, n := range []int{1, 2, 3, 1000} {
		before, batch := count(t, s), messages(n)
		require.NoError(t, sender.Publish(t.Context(), batch))
		require.Equal(t, before+n, count(t, s))
		for i := range min(n, 10) {
			msg, err := s.GetMsg(t.Context(), uint64(before+i+1))
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("s.%d", i+1), msg.Subject)
		}
		require.Equal(t, messages(n), batch, "the messages are as they came")
	}
}

func TestOneRefusedMessageRefusesAll(t *testing.T) {
	t.Parallel()
	nc := localnats.ForTest(t).Connect(t)
	s, sender := stream(t, nc), NewSender(nc)
	refused := func(batch []*nats.Msg, want jetstream.ErrorCode) {
		t.Helper()
		var err *jetstream.APIError
		require.ErrorAs(t, sender.Publish(t.Context(), batch), &err)
		require.Equal(t, want, err.ErrorCode)
		require.Zero(t, count(t, s))
	}
	for _, n := range []int{1, 7, 10} {
		batch := messages(10)
		batch[n-1].Header.Set(jetstream.ExpectedLastSubjSeqHeader, "99")
		refused(batch, jetstream.JSErrCodeStreamWrongLastSequence)
	}
	refused(messages(1001), ErrCodeTooLarge)
	for n := range 50 {
		answer, err := nc.RequestMsg(&nats.Msg{Subject: "s.1", Header: nats.Header{headerID: {fmt.Sprint(n)}, headerSequence: {"1"}}}, time.Minute)
		require.NoError(t, err)
		require.Empty(t, string(answer.Data))
	}
	refused(messages(2), ErrCodeTooMany)
}

// The stream may have 50 unfinished batches. A connection has one at a time.
func TestManyPublishersShareAConnection(t *testing.T) {
	t.Parallel()
	nc := localnats.ForTest(t).Connect(t)
	s, sender := stream(t, nc), NewSender(nc)
	var publishers sync.WaitGroup
	errs := make(chan error, 200)
	for range cap(errs) {
		publishers.Go(func() { errs <- sender.Publish(t.Context(), messages(20)) })
	}
	publishers.Wait()
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
	require.Equal(t, 20*cap(errs), count(t, s))
}

func TestNobodyThereAndNobodyWaiting(t *testing.T) {
	t.Parallel()
	nc := localnats.ForTest(t).Connect(t)
	sender := NewSender(nc)
	require.ErrorIs(t, sender.Publish(t.Context(), messages(2)), nats.ErrNoResponders, "there is no stream")

	silent, err := nc.SubscribeSync("s.*")
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Unsubscribe() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, sender.Publish(ctx, messages(2)), context.DeadlineExceeded)

	nc.Close()
	require.ErrorIs(t, sender.Publish(t.Context(), messages(2)), nats.ErrConnectionClosed)
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(``), 2)
	f.Add([]byte(`{"stream":"S","seq":7,"batch":"b","count":7}`), 7)
	f.Add([]byte(`{"stream":"S","seq":7}`), 1)
	f.Add([]byte(`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence"}}`), 2)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		ends, err := read(&nats.Msg{Data: data}, n)
		if ends != (len(data) > 0) || err != nil && !ends {
			t.Errorf("%q of %d: ends %v, %v", data, n, ends, err)
		}
	})
}

package fastbatch

import (
	"context"
	"fmt"
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
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}, AllowBatchPublish: true})
	require.NoError(t, err)
	return s
}

func messages(n int) []*nats.Msg {
	all := make([]*nats.Msg, n)
	for i := range all {
		all[i] = &nats.Msg{Subject: fmt.Sprintf("s.%d", i+1), Data: []byte("x"), Header: nats.Header{}}
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
	nc := localnats.ForTest(t).Connect(t)
	s := stream(t, nc)
	for _, n := range []int{1, 2, 3, 1000} {
		before := count(t, s)
		stored, err := Publish(t.Context(), nc, messages(n))
		require.NoError(t, err)
		require.Equal(t, n, stored)
		require.Equal(t, before+n, count(t, s))
		for i := range min(n, 10) {
			msg, err := s.GetMsg(t.Context(), uint64(before+i+1))
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf("s.%d", i+1), msg.Subject)
		}
	}
}

// Senders share a connection and a stream. Each receives the answers to its own batches only, even
// after a batch was refused.
func TestSendersSendBatchAfterBatch(t *testing.T) {
	nc := localnats.ForTest(t).Connect(t)
	s := stream(t, nc)
	const senders, batches, most = 8, 25, 20
	ended := make(chan error, senders)
	for i := range senders {
		go func() { ended <- sendBatches(t, nc, i, batches, most) }()
	}
	for range senders {
		require.NoError(t, <-ended)
	}
	want := 0
	for i := range senders {
		for n := range batches {
			if size := 1 + (i+n)%most; n%5 == 4 {
				want += size / 2
			} else {
				want += size
			}
		}
	}
	require.Equal(t, want, count(t, s))
}

// sendBatches sends batches of different sizes. Every fifth batch is refused in its middle.
func sendBatches(t *testing.T, nc *nats.Conn, first, batches, most int) error {
	sender, err := NewSender(nc, most)
	if err != nil {
		return err
	}
	defer sender.Close()
	for n := range batches {
		batch := messages(1 + (first+n)%most)
		want := len(batch)
		if n%5 == 4 {
			want /= 2
			batch[want].Header.Set(jetstream.ExpectedLastSubjSeqHeader, "999999")
		}
		stored, err := sender.Publish(t.Context(), batch)
		if refused := want == 0; refused != (err != nil) || stored != want {
			return fmt.Errorf("stored %d of %d, expected %d: %w", stored, len(batch), want, err)
		}
	}
	return nil
}

func TestASenderEndsWithItsConnection(t *testing.T) {
	server := localnats.ForTest(t)
	nc := server.Connect(t)
	stream(t, nc)
	sender, err := NewSender(nc, 10)
	require.NoError(t, err)
	defer sender.Close()
	_, err = sender.Publish(t.Context(), messages(3))
	require.NoError(t, err)
	server.Stop()
	require.Eventually(t, func() bool { return !nc.IsConnected() }, 30*time.Second, time.Millisecond)
	_, err = sender.Publish(t.Context(), messages(3))
	require.ErrorIs(t, err, nats.ErrDisconnected)
}

func TestARefusedMessageLeavesThePrefixBeforeIt(t *testing.T) {
	nc := localnats.ForTest(t).Connect(t)
	s := stream(t, nc)
	batch := messages(10)
	batch[6].Header.Set(jetstream.ExpectedLastSubjSeqHeader, "99")
	stored, err := Publish(t.Context(), nc, batch)
	require.NoError(t, err)
	require.Equal(t, 6, stored)
	require.Equal(t, 6, count(t, s))

	batch = messages(10)
	batch[0].Header.Set(jetstream.ExpectedLastSubjSeqHeader, "99")
	_, err = Publish(t.Context(), nc, batch)
	var refused *jetstream.APIError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, jetstream.JSErrCodeStreamWrongLastSequence, refused.ErrorCode)
	require.Equal(t, 6, count(t, s), "nothing of a batch whose first message is refused")
}

func TestNobodyThereAndNobodyWaiting(t *testing.T) {
	server := localnats.ForTest(t)
	nc := server.Connect(t)
	_, err := Publish(t.Context(), nc, messages(2))
	require.ErrorIs(t, err, nats.ErrNoResponders, "there is no stream")

	silent, err := nc.SubscribeSync("s.*")
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Unsubscribe() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = Publish(ctx, nc, messages(2))
	require.ErrorIs(t, err, context.DeadlineExceeded)

	go server.Stop()
	_, err = Publish(t.Context(), nc, messages(2))
	require.ErrorIs(t, err, nats.ErrDisconnected, "a connection that breaks ends the wait")
	nc.Close()
	_, err = Publish(t.Context(), nc, messages(2))
	require.ErrorIs(t, err, nats.ErrConnectionClosed)
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"type":"ack","seq":1,"msgs":10}`))
	f.Add([]byte(`{"stream":"S","seq":7,"batch":"b","count":7}`))
	f.Add([]byte(`{"error":{"code":400,"err_code":10071,"description":"wrong last sequence"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		stored, ends, err := read(&nats.Msg{Data: data})
		if stored < 0 || err != nil && (stored != 0 || !ends) || ends && err == nil && stored == 0 {
			t.Errorf("%q: stored %d, ends %v, %v", data, stored, ends, err)
		}
	})
}

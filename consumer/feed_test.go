package consumer

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// fill stores n commands and returns the stream with the cursor of the last.
func (b *broker) fill(n int) (jetstream.Stream, store.Cursor) {
	b.Helper()
	for range n {
		_, err := b.js.Publish(b.Context(), ns.Send("box", "1", "put"), []byte(put("a")))
		require.NoError(b, err)
	}
	stream, err := b.js.Stream(b.Context(), ns.CommandStream())
	require.NoError(b, err)
	info := stream.CachedInfo()
	last, err := stream.GetMsg(b.Context(), info.State.LastSeq)
	require.NoError(b, err)
	return stream, store.Cursor{StreamCreated: created(info), Sequence: last.Sequence, Time: last.Time.UTC().Truncate(time.Microsecond)}
}

func TestTheCursorIsHeldAgainstTheStream(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	require.NoError(t, EnsureStream(t.Context(), b.js, ns, 4, StreamConfig{}))
	stream, cursor := b.fill(5)
	start := store.Cursor{StreamCreated: cursor.StreamCreated}
	check := func(cursor store.Cursor) store.Cursor {
		var err error
		stream, err = b.js.Stream(t.Context(), ns.CommandStream())
		require.NoError(t, err)
		f := &feed{Consumer: &Consumer{Config: Config{Logger: slog.New(slog.DiscardHandler)}}, cursor: cursor}
		require.NoError(t, f.check(t.Context(), stream))
		return f.cursor
	}
	require.Equal(t, start, check(store.Cursor{}), "a new partition")
	require.Equal(t, cursor, check(cursor), "unchanged")

	another := cursor
	another.StreamCreated = cursor.StreamCreated.Add(-time.Second)
	require.Equal(t, start, check(another), "the cursor speaks of another stream")

	lost := cursor
	lost.Sequence++
	require.Equal(t, start, check(lost), "the stream has lost its tail")

	reused := cursor
	reused.Time = cursor.Time.Add(-time.Microsecond)
	require.Equal(t, start, check(reused), "the number is another message's now")

	require.NoError(t, stream.Purge(t.Context(), jetstream.WithPurgeSequence(cursor.Sequence)))
	require.Equal(t, cursor, check(cursor), "what was handled is trimmed")
	require.NoError(t, stream.Purge(t.Context()))
	require.Equal(t, cursor, check(cursor), "and the last too")
}

func TestDurableCommandsAreHandledInOrderAcrossConsumers(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := store.NewMemory(4)
	stop := b.start(b.newConsumer(s, s))
	for _, command := range []string{"1", "2"} {
		require.Equal(t, "committed", b.outcome(b.send("a", "put", put(command), wire.HeaderCommandID, command)).status())
	}
	stop()
	third, again := b.send("a", "put", put("3")), b.send("a", "put", put("2"), wire.HeaderCommandID, "2")
	b.start(b.newConsumer(s, s))
	require.EqualValues(t, 3, b.outcome(third).Sequence)
	o := b.outcome(again)
	require.True(t, o.Duplicate)
	require.EqualValues(t, 2, o.Sequence)
	require.JSONEq(t, `{"count":3,"holds":"123"}`, b.stateOf("a"))
}

func (b *broker) stateOf(id string) string {
	b.Helper()
	return string(b.ask(ns.Get("box", id), "").State)
}

// A durable command without an id also takes effect once, however often the stream is read.
func TestACommandWithoutAnIDIsKnownByItsPlace(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := store.NewMemory(4)
	stop := b.start(b.newConsumer(s, s))
	require.Equal(t, "committed", b.outcome(b.send("a", "put", put("1"))).status())
	stop()
	// The next owner has lost the cursor and reads the stream from its beginning.
	p := wire.Partition("box", "a", 4)
	row, err := s.Acquire(t.Context(), p, "operator")
	require.NoError(t, err)
	require.NoError(t, s.Commit(t.Context(), &store.Commit{Partition: p, Epoch: row.Epoch, Position: row.Position, Time: row.Time}))
	b.start(b.newConsumer(s, s))
	require.Equal(t, "committed", b.outcome(b.send("a", "put", put("2"))).status())
	require.JSONEq(t, `{"count":2,"holds":"12"}`, b.stateOf("a"))
}

func TestTheStreamIsReadOnAfterARestartOfTheServer(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.run()
	require.Equal(t, "committed", b.outcome(b.send("a", "put", put("1"))).status())
	require.NoError(t, b.server.Restart())
	require.Eventually(t, b.nc.IsConnected, 20*time.Second, time.Millisecond)
	require.Eventually(t, func() bool {
		_, err := b.js.Publish(t.Context(), ns.Send("box", "a", "put"), []byte(put("2")), jetstream.WithMsgID("2"))
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
	require.EqualValues(t, 3, b.outcome(b.send("a", "put", put("3"))).Sequence)
}

// A deleted stream is created again, and read from its beginning.
func TestADeletedStreamIsMadeAnew(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.run()
	for i := range 3 {
		require.Equal(t, "committed", b.outcome(b.send("a", "put", put(i))).status())
	}
	require.NoError(t, b.js.DeleteStream(t.Context(), ns.CommandStream()))
	require.Eventually(t, func() bool {
		_, err := b.js.Publish(t.Context(), ns.Send("box", "a", "put"), []byte(put("4")), jetstream.WithMsgID("4"))
		return err == nil
	}, 60*time.Second, 10*time.Millisecond)
	require.EqualValues(t, 5, b.outcome(b.send("a", "put", put("5"))).Sequence)
}

// A message under the subject of the wrong partition is refused there, and its aggregate does not
// change.
func TestACommandInTheWrongPartitionIsRefused(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	_, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: ns.CommandStream(), Subjects: []string{"maestro.cmd.*.*.*.*"}})
	require.NoError(t, err)
	right := wire.Partition("box", "a", 4)
	inbox := b.nc.NewInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	require.NoError(t, err)
	for p := range 4 {
		_, err := b.js.PublishMsg(t.Context(), &nats.Msg{Subject: "maestro.cmd." + string(rune('0'+p)) + ".box.a.put", Data: []byte(put(p)),
			Header: localnats.Header(wire.HeaderReply, inbox, wire.HeaderCommandID, "c")})
		require.NoError(t, err)
	}
	b.run()
	var statuses []string
	for range 4 {
		o := b.outcome(sub)
		statuses = append(statuses, o.status())
		if o.Error != nil {
			require.Contains(t, o.Error.Message, "wrong partition: publish to maestro.cmd.box.a.put")
		} else {
			require.Equal(t, right, o.Partition)
		}
	}
	require.ElementsMatch(t, []string{"committed", "failed malformed", "failed malformed", "failed malformed"}, statuses)
	require.JSONEq(t, `{"count":1,"holds":"`+string(rune('0'+right))+`"}`, b.stateOf("a"))
}

// Every message that the server takes reaches the lane. A large one would wait for ever if the feed
// asked for fewer bytes than a whole message.
func TestACommandIsAsLargeAsTheServerAllows(t *testing.T) {
	t.Parallel()
	b := brokerAllowing(t, 12<<20)
	s := b.run()
	require.Equal(t, store.Committed, b.outcome(b.send("1", "put", put(strings.Repeat("x", 10<<20)))).Status)
	require.Equal(t, store.Committed, b.outcome(b.send("1", "put", put("a small one"))).Status)
	for above := range int64(2) { // the first is a page of its own
		events, err := s.Events(t.Context(), wire.Partition("box", "1", 4), store.Key{Type: "box", ID: "1"}, above, 10)
		require.NoError(t, err)
		require.Len(t, events, 1)
		require.Equal(t, above+1, events[0].Sequence)
	}
	for after, more := range []bool{true, false} {
		answer, err := b.nc.RequestMsg(&nats.Msg{Subject: "maestro.history.box.1", Header: localnats.Header(wire.HeaderAfter, strconv.Itoa(after))}, time.Minute)
		require.NoError(t, err)
		require.Contains(t, string(answer.Data[len(answer.Data)-20:]), fmt.Sprintf(`"more":%t}`, more))
	}
}

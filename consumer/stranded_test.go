package consumer

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// withoutTransform writes the command stream's configuration back, like a tool that does not know
// subject transforms.
func (b *broker) withoutTransform() jetstream.Stream {
	b.Helper()
	stream, err := b.js.Stream(b.Context(), ns.CommandStream())
	require.NoError(b, err)
	config := stream.CachedInfo().Config
	config.SubjectTransform = nil
	stream, err = b.js.UpdateStream(b.Context(), config)
	require.NoError(b, err)
	return stream
}

// Commands that a stream stores while it lacks its transform are acknowledged, so they must be
// handled: with their own id, or with an id made from their place.
func TestCommandsThatNoPartitionSeesAreHandled(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.run()
	require.Equal(t, "committed", b.outcome(b.send("a", "put", put(0))).status())
	b.withoutTransform()
	first := b.send("a", "put", put(1), wire.HeaderCommandID, "c-1")
	second := b.send("a", "put", put(2), wire.HeaderMsgID, "m-2")
	third := b.send("a", "put", put(3))
	require.Equal(t, "c-1", b.outcome(first).CommandID)
	require.Equal(t, "m-2", b.outcome(second).CommandID)
	require.Contains(t, b.outcome(third).CommandID, "stream-4-")
	require.JSONEq(t, `{"count":4,"holds":"0123"}`, b.stateOf("a"))
	require.Equal(t, "committed", b.outcome(b.send("a", "put", put(4))).status(), "the transform is back")
	stream, err := b.js.Stream(t.Context(), ns.CommandStream())
	require.NoError(t, err)
	require.Equal(t, ns.CommandTransform(4), stream.CachedInfo().Config.SubjectTransform.Destination)
}

// Restoring may be interrupted between storing and deleting. The second time gives the same ids.
func TestACommandThatIsStoredAgainTwiceTakesEffectOnce(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	log := store.NewMemory(4)
	c := b.newConsumer(log, log)
	require.NoError(t, EnsureStream(t.Context(), b.js, ns, 4, StreamConfig{}))
	stream := b.withoutTransform()
	inbox := b.send("a", "put", put(1))
	require.NoError(t, EnsureStream(t.Context(), b.js, ns, 4, StreamConfig{}))
	m, err := stream.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, c.restore(t.Context(), stream, m))
	again, err := stream.GetLastMsgForSubject(t.Context(), ns.CommandsOf(wire.Partition("box", "a", 4)))
	require.NoError(t, err)
	again.Header.Del(wire.HeaderMsgID) // the stream has forgotten message ids when it is done again
	_, err = b.js.PublishMsg(t.Context(), &nats.Msg{Subject: ns.Send("box", "a", "put"), Header: again.Header, Data: again.Data})
	require.NoError(t, err)
	b.start(c)
	require.False(t, b.outcome(inbox).Duplicate)
	require.True(t, b.outcome(inbox).Duplicate)
	require.JSONEq(t, `{"count":1,"holds":"1"}`, b.stateOf("a"))
}

// nats.go takes an empty message with a header Status for a status message of the server, and
// delivers it to nobody.
func TestACommandThatLooksLikeANoteHoldsUpNobody(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"100", "400", "404", "408", "409", "503", "new"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t)
			b.run()
			require.Equal(t, "committed", b.outcome(b.send("a", "put", put(1))).status())
			note := b.send("a", "put", "", "Status", status, wire.HeaderCommandID, "note")
			after := b.send("a", "put", put(2))
			require.Equal(t, "note", b.outcome(note).CommandID)
			require.Equal(t, "committed", b.outcome(after).status())
		})
	}
}

// A partition that stands still does not make the stream grow with the commands of the others.
func TestAPartitionThatStandsStillHoldsUpNoTrimming(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	log := store.NewMemory(4)
	c := b.newConsumer(log, log)
	require.NoError(t, EnsureStream(t.Context(), b.js, ns, 4, StreamConfig{}))
	const each = 6_000
	for n := range 2 * each {
		require.NoError(t, b.nc.Publish(ns.Send("box", inPartition(n%2), "put"), []byte(`{}`)))
	}
	require.Eventually(t, func() bool {
		stream, err := b.js.Stream(t.Context(), ns.CommandStream())
		return err == nil && stream.CachedInfo().State.Msgs == 2*each
	}, 30*time.Second, 10*time.Millisecond)
	stream, err := b.js.Stream(t.Context(), ns.CommandStream())
	require.NoError(t, err)
	last, err := stream.GetLastMsgForSubject(t.Context(), ns.CommandsOf(1))
	require.NoError(t, err)
	handledUpTo(t, log, stream, 1, store.Cursor{Sequence: last.Sequence})

	require.EqualValues(t, 1, firstOf(t, c, stream), "partition 0 has handled nothing")
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("maestro.cmd.>"))
	require.NoError(t, err)
	require.EqualValues(t, each, info.State.Subjects["maestro.cmd.0.box."+inPartition(0)+".put"])
	require.EqualValues(t, 1, info.State.Subjects["maestro.cmd.1.box."+inPartition(1)+".put"], "the mark stays")
}

// A change of the number of partitions must not lose commands that no partition sees.
func TestAStreamWithStrandedCommandsIsNotEmptied(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	log := store.NewMemory(4)
	require.NoError(t, EnsureStream(t.Context(), b.js, ns, 4, StreamConfig{}))
	b.withoutTransform()
	for n := range 3 {
		_, err := b.js.PublishMsg(t.Context(), &nats.Msg{Subject: ns.Send("box", fmt.Sprint("b", n), "put")})
		require.NoError(t, err)
	}
	waiting, err := CloseStream(t.Context(), b.js, ns, log, nil)
	require.NoError(t, err)
	require.EqualValues(t, 3, waiting)
}

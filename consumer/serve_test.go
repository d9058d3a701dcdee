package consumer

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

func TestRequestsGetTheirOutcomes(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.run()
	for _, c := range []struct {
		subject, body string
		headers       []string
		status, code  string
	}{
		{ns.Do("box", "a", "put"), put(1), nil, "committed", ""},
		{ns.Do("box", "a", "put"), put(1), []string{wire.HeaderCommandID, "c-1"}, "committed", ""},
		{ns.Do("box", "a", "put"), put(1), []string{wire.HeaderCommandID, "c-1"}, "committed", ""},
		{ns.Do("box", "a", "put"), put(1), []string{wire.HeaderExpectSequence, "7"}, "rejected sequence_mismatch", "409"},
		{ns.Do("box", "a", "put"), put(1), []string{wire.HeaderExpectSequence, "2"}, "committed", ""},
		{ns.Do("box", "a", "put"), put(1), []string{wire.HeaderDeadline, "2001-01-31T12:00:00Z"}, "failed deadline_exceeded", "408"},
		{ns.Do("box", "a", "put"), put(1), []string{wire.HeaderReturn, "all"}, "failed malformed", "400"},
		{ns.Do("box", "a", "refuse"), `{"Size":1}`, nil, "rejected unwanted", "409"},
		{ns.Do("box", "a", "burn"), ``, nil, "failed unknown_command", "404"},
		{ns.Do("ghost", "a", "put"), ``, nil, "failed unknown_aggregate", "404"},
		{ns.Do("box", "a", "put"), `{"thing":1}`, nil, "failed invalid_payload", "400"},
		{ns.Do("box", "a", "put"), "{\"thing\":\"\\ud800\"}", nil, "failed invalid_payload", "400"},
		{"maestro.do.box.a.b.put", ``, nil, "failed malformed", "400"},
		{"maestro.do.box", ``, nil, "failed malformed", "400"},
	} {
		a := b.ask(c.subject, c.body, c.headers...)
		require.Equal(t, c.status, a.status(), "%v", c)
		require.Equal(t, c.code, a.headers.Get(micro.ErrorCodeHeader), "%v", c)
		if c.code != "" {
			require.Equal(t, a.Error.Error(), a.headers.Get(micro.ErrorHeader))
		}
	}
	require.JSONEq(t, `{"count":3,"holds":"111"}`, b.stateOf("a"))
}

func TestStatesAndHistoriesAreRead(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.run()
	for i := range 3 {
		b.ask(ns.Do("box", "a", "put"), put(i))
	}
	get := func(headers ...string) string { return string(b.ask(ns.Get("box", "a"), "", headers...).State) }
	require.JSONEq(t, `{"count":3,"holds":"012"}`, get())
	require.JSONEq(t, `{"count":3,"holds":"012"}`, get(wire.HeaderConsistency, "cached"))
	require.JSONEq(t, `{"count":2,"holds":"01"}`, get(wire.HeaderSequence, "2"))
	require.JSONEq(t, `{"count":0}`, get(wire.HeaderSequence, "0"))
	for _, c := range []struct{ subject, header, value, code string }{
		{ns.Get("box", "a"), wire.HeaderSequence, "4", "sequence_mismatch"},
		{ns.Get("box", "a"), wire.HeaderSequence, "x", "malformed"},
		{ns.Get("box", "a"), wire.HeaderConsistency, "none", "malformed"},
		{ns.Get("ghost", "a"), "X", "", "unknown_aggregate"},
		{"maestro.get.box", "X", "", "malformed"},
		{"maestro.get.box.a.b", "X", "", "malformed"},
		{ns.History("box", "a"), wire.HeaderAfter, "-1", "malformed"},
		{ns.History("ghost", "a"), "X", "", "unknown_aggregate"},
	} {
		a := b.ask(c.subject, "", c.header, c.value)
		require.Equal(t, c.code, a.Error.Code, "%v", c)
		require.NotEmpty(t, a.headers.Get(micro.ErrorCodeHeader))
	}
	a := b.ask(ns.History("box", "a"), "", wire.HeaderAfter, "1")
	require.Len(t, a.Events, 2)
	require.EqualValues(t, 2, a.Events[0].Sequence)
	require.JSONEq(t, `{"Thing":"1"}`, string(a.Events[0].Body))
}

// The events or the state of a command may not fit into a message. The answer still says that the
// command took effect.
func TestAnAnswerThatIsTooLargeIsCutDown(t *testing.T) {
	t.Parallel()
	b := brokerAllowing(t, 32<<10)
	b.run()
	for _, want := range []string{"state", "none", "events"} {
		a := b.ask(ns.Do("box", "a", "put"), `{"size":20000}`, wire.HeaderReturn, want)
		require.Equal(t, "committed", a.status(), want)
	}
	a := b.ask(ns.Do("box", "a", "put"), `{"size":20000}`, wire.HeaderReturn, "state", wire.HeaderCommandID, "c")
	require.Equal(t, "committed outcome_too_large", a.status())
	require.Empty(t, a.headers, "it is no error")
	require.EqualValues(t, 4, a.Sequence)
	again := b.ask(ns.Do("box", "a", "put"), `{"size":20000}`, wire.HeaderReturn, "state", wire.HeaderCommandID, "c")
	require.True(t, again.Duplicate)
	require.Equal(t, "failed too_large", b.ask(ns.Do("box", "a", "put"), `{"size":30000}`).status())
	require.Equal(t, "too_large", b.ask(ns.Get("box", "a"), "").Error.Code)
	require.Equal(t, "rejected unwanted", b.ask(ns.Do("box", "a", "refuse"), `{"Size":100000}`).status())

	page := b.ask(ns.History("box", "a"), "")
	require.Len(t, page.Events, 1, "a page has one event at least, and fits")
}

// A durable command whose subject the stream does not take would be lost, so its publisher gets an
// error.
func TestMisaddressedCommandsAreRefusedAsJetStreamDoes(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.run()
	for _, subject := range []string{"maestro.cmd", "maestro.cmd.box", "maestro.cmd.box.a", "maestro.cmd.box.a.b.put",
		"maestro.cmd.box.a.b.c.put", "maestro.cmd.box.a.b.c.d.put", "maestro.cmd.box.a.b.c.d.e.f.g.h.put"} {
		_, err := b.js.Publish(t.Context(), subject, []byte(put(1)))
		var refused *jetstream.APIError
		require.ErrorAs(t, err, &refused, subject)
		require.Equal(t, 400, refused.Code)
		require.Contains(t, refused.Description, `subject "`+subject+`": expected maestro.cmd.<aggregate type>.<aggregate id>.<command>`)

		future, err := b.js.PublishAsync(subject, nil)
		require.NoError(t, err)
		require.ErrorAs(t, <-future.Err(), &refused, subject)
	}
	_, err := b.js.Publish(t.Context(), ns.Send("box", "a", "put"), []byte(put(1)))
	require.NoError(t, err)
}

// slow is a store whose commits wait.
type slow struct {
	store.Store
	committing chan struct{} // gets a value for each waiting commit
	release    chan struct{}
}

func (s *slow) Commit(ctx context.Context, c *store.Commit) error {
	if len(c.Events) > 0 {
		select {
		case s.committing <- struct{}{}:
		default:
		}
		<-s.release
	}
	return s.Store.Commit(ctx, c)
}

func TestAFullQueueIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := &slow{Store: store.NewMemory(1), committing: make(chan struct{}, 1), release: make(chan struct{})}
	b.start(b.newConsumer(s, s))
	inbox := b.nc.NewInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	require.NoError(t, err)
	const all = 8 + 4*8 + 20 // a batch, a queue, and more
	for i := range all {
		require.NoError(t, b.nc.PublishMsg(&nats.Msg{Subject: ns.Do("box", "a", "put"), Reply: inbox, Data: []byte(put(i))}))
		if i == 0 {
			<-s.committing
		}
	}
	busy := b.outcome(sub) // while the others wait
	require.Equal(t, "failed unavailable", busy.status())
	require.Equal(t, "503", busy.headers.Get(micro.ErrorCodeHeader))
	require.Contains(t, busy.Error.Message, "queue is full: retry with the same command id")
	close(s.release)
	for range all - 1 {
		require.Contains(t, []string{"committed", "failed unavailable"}, b.outcome(sub).status())
	}
}

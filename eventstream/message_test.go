package eventstream_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

func TestAnEventIsACloudEvent(t *testing.T) {
	t.Parallel()
	e := store.Event{Partition: 5, Position: 19, Aggregate: store.Key{Type: "counter", ID: "42"},
		Recorded:   aggregate.Recorded{Sequence: 7, Type: "incremented", Version: 2, Body: []byte(`{"by":1}`)},
		Metadata:   store.Metadata{CommandID: "c-1", CorrelationID: "ü", Traceparent: "00-a-b-01", Tracestate: "x=1"},
		RecordedAt: time.Date(2026, 2, 3, 4, 5, 6, 789012000, time.UTC)}
	m := eventstream.Message(ns, &e)
	require.Equal(t, "maestro.evt.5.counter.42.incremented", m.Subject)
	require.Equal(t, `{"by":1}`, string(m.Data))
	require.Equal(t, nats.Header{"Nats-Msg-Id": {"5.19"}, "ce-specversion": {"1.0"}, "ce-id": {"counter.42.7"},
		"ce-type": {"counter.incremented"}, "ce-source": {"/maestro/maestro"}, "ce-subject": {"42"},
		"ce-time": {"2026-02-03T04:05:06.789012Z"}, "ce-sequence": {"7"}, "ce-partition": {"5"}, "ce-position": {"19"},
		"ce-dataversion": {"2"}, "ce-causationid": {"c-1"}, "ce-correlationid": {"ü"}, "traceparent": {"00-a-b-01"},
		"tracestate": {"x=1"}}, m.Header)

	read, err := eventstream.Parse(ns, m.Subject, m.Header, m.Data)
	require.NoError(t, err)
	require.Equal(t, e, read)
}

func TestWhatIsNoEventIsNotRead(t *testing.T) {
	t.Parallel()
	good := eventstream.Message(ns, &store.Event{Position: 1, Aggregate: store.Key{Type: "counter", ID: "42"},
		Recorded: aggregate.Recorded{Sequence: 1, Type: "incremented", Version: 1}, RecordedAt: time.Unix(1, 0).UTC()})
	for name, c := range map[string]struct{ subject, header, value, want string }{
		"another subject":  {"maestro.fence.0", "x", "", "is not the subject of an event"},
		"too short":        {"maestro.evt.0.counter.42", "x", "", "is not the subject of an event"},
		"too long":         {"maestro.evt.0.counter.4.2.incremented", "x", "", "is not the subject of an event"},
		"no partition":     {good.Subject, wire.HeaderEventPartition, "", `header ce-partition "" on maestro.evt.0.counter.42.incremented`},
		"a broken number":  {good.Subject, wire.HeaderEventPosition, "1.5", "expected a whole number"},
		"too large":        {good.Subject, wire.HeaderEventSequence, "9223372036854775808", "expected a whole number"},
		"no version":       {good.Subject, wire.HeaderEventVersion, "", "header ce-dataversion"},
		"no time":          {good.Subject, wire.HeaderEventTime, "now", "expected an RFC 3339 time"},
		"another place":    {good.Subject, wire.HeaderEventPartition, "1", "header ce-partition \"1\""},
		"a place before 1": {good.Subject, wire.HeaderEventPosition, "0", "header ce-position \"0\""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := maps.Clone(good.Header)
			h[c.header] = []string{c.value}
			_, err := eventstream.Parse(ns, c.subject, h, nil)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// Any message is either read or refused. An event that was read is written again as the same
// event.
func FuzzParse(f *testing.F) {
	f.Add("maestro.evt.5.counter.42.incremented", "5", "19", "7", "2", "2026-02-03T04:05:06.789012Z", "c-1", []byte(`{"by":1}`))
	f.Add("maestro.evt.5.counter.42", "", "x", "-1", "1e3", "now", "\xff", []byte(nil))
	f.Add("evt.0.a.b.c", "0", "1", "1", "1", "2026-02-03T04:05:06+01:00", "", []byte("\xff"))
	f.Fuzz(func(t *testing.T, subject, partition, position, sequence, version, at, command string, body []byte) {
		h := nats.Header{wire.HeaderEventPartition: {partition}, wire.HeaderEventPosition: {position}, wire.HeaderEventSequence: {sequence},
			wire.HeaderEventVersion: {version}, wire.HeaderEventTime: {at}, wire.HeaderEventCausationID: {command}}
		e, err := eventstream.Parse(ns, subject, h, body)
		if err != nil {
			return
		}
		if year := e.RecordedAt.UTC().Year(); year < 1 || year > 9999 {
			return // RFC 3339 has no such year in UTC
		}
		require.Positive(t, e.Position)
		require.Positive(t, e.Sequence)
		require.True(t, strings.HasPrefix(subject, string(ns)+".evt."))
		m := eventstream.Message(ns, &e)
		require.Equal(t, subject, m.Subject)
		again, err := eventstream.Parse(ns, m.Subject, m.Header, m.Data)
		require.NoError(t, err)
		require.True(t, e.RecordedAt.Equal(again.RecordedAt))
		e.RecordedAt = again.RecordedAt
		require.Equal(t, e, again)
	})
}

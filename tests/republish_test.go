package tests

import (
	"os"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// The event stream is made anew from the log, whatever is left of the stream and however often the
// work is interrupted.
func TestTheEventStreamIsRebuilt(t *testing.T) {
	t.Parallel()
	s, r := newSystem(t), random(t)
	w := s.start()
	n := 10_000
	if raceDetector { // slower, so fewer take long enough to be interrupted
		n /= 2
	}
	commands := s.workload(r, n+1000, 300)
	s.importing(commands[:n]).finish()
	status, out := s.worker("republish")
	require.Equal(t, 1, status)
	require.Contains(t, out, "workers of namespace \""+string(s.namespace)+"\" are running: stop them first")
	s.check()
	s.stop(w)

	republish := func() {
		t.Helper()
		status, out := s.worker("republish")
		require.Zero(t, status, out)
		require.Contains(t, out, strconv.FormatInt(s.events(), 10)+" events are in the stream")
		s.check()
	}
	t.Log("a stream that has just got everything")
	republish()
	t.Log("no stream, killed in the middle, and again")
	require.NoError(t, s.js.DeleteStream(s.Context(), s.namespace.EventStream()))
	s.interruptedRepublish(os.Kill)
	republish()
	t.Log("a purged stream, interrupted in the middle, no worker starts until it is done")
	require.NoError(t, s.stream().Purge(s.Context()))
	require.Equal(t, 1, s.interruptedRepublish(os.Interrupt), "it is not complete")
	status, out = s.worker()
	require.Equal(t, 1, status)
	require.Contains(t, out, "finish with `worker republish`")
	republish()
	s.start()
	s.check()
	s.importing(commands).finish()
}

// stream returns the event stream. A busy server may take longer to answer than one request waits.
func (s *system) stream() (stream jetstream.Stream) {
	s.Helper()
	s.until("the event stream", func() bool {
		var err error
		stream, err = s.js.Stream(s.Context(), s.namespace.EventStream())
		return err == nil
	})
	return stream
}

// interruptedRepublish interrupts republish while it works, and returns its status.
func (s *system) interruptedRepublish(signal os.Signal) int {
	s.Helper()
	p := s.launch("republish")
	s.until("some events", func() bool {
		stream, err := s.js.Stream(s.Context(), s.namespace.EventStream())
		if err != nil {
			return false
		}
		msgs := stream.CachedInfo().State.Msgs
		return msgs > 200 && int64(msgs) < s.events()
	})
	p.signal(signal)
	status := p.status()
	require.NotContains(s, p.out.String(), "events are in the stream", "it was too quick to be interrupted")
	return status
}

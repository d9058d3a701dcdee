package tests

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/localpg"
)

// servers are a test's own servers, which it may break.
type servers struct {
	*localnats.Server
	postgres *localpg.Server
}

func ownServers(t *testing.T) (servers, *system) {
	t.Helper()
	broker := localnats.ForTest(t)
	postgres, err := localpg.Start(t.Context(), localpg.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, postgres.Stop()) })
	return servers{broker, postgres}, newSystemOn(t, broker, postgres.URL())
}

// The servers fail in the middle of an import in every way. Nothing is lost, nothing comes twice,
// and the order stays.
func TestServersFailInTheMiddle(t *testing.T) {
	t.Parallel()
	for what, strike := range map[string]func(servers, *system) error{
		"nats restarts":             func(v servers, _ *system) error { return v.Restart() },
		"nats closes connections":   func(v servers, _ *system) error { return v.Disconnect() },
		"postgres restarts":         func(v servers, _ *system) error { return v.postgres.Restart(localpg.Fast) },
		"postgres crashes":          func(v servers, _ *system) error { return v.postgres.Restart(localpg.Immediate) },
		"postgres closes sessions":  func(_ servers, s *system) error { return s.endSessions() },
		"both are away for a while": servers.goAway,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			v, s := ownServers(t)
			r := random(t)
			w := s.start()
			a := s.asking(2)
			i := s.importing(s.workload(r, many(4000), 200))
			for _, moment := range i.moments(3, r.IntN) {
				i.reaches(moment)
				require.NoError(t, strike(v, s))
			}
			i.ends()
			a.finish()
			i.finish()
			s.stop(w)
			s.check()
		})
	}
}

// Stored commands are handled although nobody sends them again, however often the connection to the
// stream breaks.
func TestStoredCommandsOutliveBrokenConnections(t *testing.T) {
	t.Parallel()
	broker := localnats.ForTest(t)
	s := newSystemOn(t, broker, localpg.Shared(t))
	r := random(t)
	s.stop(s.start()) // creates the stream
	commands := s.workload(r, many(4000), 200)
	sum, err := s.Import(s.Context(), yield(commands), client.ImportOptions{})
	require.NoError(t, err)
	require.Equal(t, len(commands), sum.Commands)

	s.start("--max-batch", "8")
	for handled := int64(many(500)); handled < int64(many(4000)); handled += int64(many(500)) {
		s.until("the next strike", func() bool { return s.handled() >= handled })
		require.NoError(t, broker.Disconnect())
	}
	s.settled()
	m := newModel(s.partitions)
	for _, c := range commands {
		m.handle(c)
	}
	s.checkAgainst(m)
}

// handled is the number of commands that have an outcome.
func (s *system) handled() int64 { return query[int64](s, "select count(*) from "+s.table("receipts")) }

func (s *system) endSessions() error {
	_, err := s.pool.Exec(s.Context(), "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'")
	return err
}

// goAway takes both servers down until a request has waited for them in vain.
func (v servers) goAway(s *system) error {
	if err := v.postgres.Halt(localpg.Fast); err != nil {
		return err
	}
	v.Stop()
	ctx, cancel := context.WithTimeout(s.Context(), 2*time.Second)
	defer cancel()
	_, err := s.Request(ctx, client.Command{Aggregate: "counter", AggregateID: "asking-away", Name: "increment"})
	require.Error(s, err)
	if err := v.Restart(); err != nil {
		return err
	}
	return v.postgres.Resume()
}

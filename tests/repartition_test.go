package tests

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
)

// The number of partitions changes. Everything else stays: states, outcomes, and the order of each
// aggregate's events.
func TestTheNumberOfPartitionsChanges(t *testing.T) {
	t.Parallel()
	s, r := newSystem(t), random(t)
	s.partitions = 64
	w := s.start()
	commands := s.workload(r, 1000, 150)
	s.importing(commands).finish()
	status, out := s.worker("repartition", "--partitions", "16")
	require.Equal(t, 1, status)
	require.Contains(t, out, "are running: stop them first")
	s.stop(w)

	for _, partitions := range []int{16, 100} {
		s.repartitions(partitions)
		s.check()
		w := s.start()
		sum := s.importing(commands).finish()
		require.Equal(t, len(commands), sum.Duplicate, "receipts are found in the new partitions")
		commands = append(commands, s.fresh(s.workload(r, 200, 150), partitions)...)
		sum = s.importing(commands).finish()
		require.Equal(t, 200, sum.Committed+sum.Rejected)
		s.stop(w)
	}
}

// repartitions changes the number of partitions, without disturbance.
func (s *system) repartitions(partitions int) {
	s.Helper()
	status, out := s.worker("repartition", "--partitions", strconv.Itoa(partitions))
	require.Zero(s, status, out)
	require.Contains(s, out, fmt.Sprintf("has %d partitions; %d events were published anew", partitions, s.events()))
	s.partitions = partitions
}

// fresh gives the commands other ids and replaces those that name counters, because the order of
// names across partitions could not be foretold.
func (s *system) fresh(commands []client.Command, round int) []client.Command {
	for i := range commands {
		commands[i].ID = fmt.Sprintf("%s-%d", commands[i].ID, round)
		if commands[i].Name == "name" {
			commands[i].Name = "increment"
		}
	}
	return commands
}

// If repartition is killed before the log has moved, nothing has happened. If it is killed after
// that, no worker starts until repartition is done.
func TestRepartitionIsKilled(t *testing.T) {
	t.Parallel()
	s, r := newSystem(t), random(t)
	w := s.start()
	commands := s.workload(r, 4000, 150)
	s.importing(commands).finish()
	s.stop(w)
	sixteen := []string{"repartition", "--partitions", "16"}

	t.Log("while the log moves")
	p := s.launch(sixteen...)
	s.until("the log moves", func() bool {
		return query[bool](s, `select exists (select from pg_stat_activity where pid <> pg_backend_pid() and state = 'active'
			and query like '%relocated%' and query like $1)`, `%"`+string(s.namespace)+`"%`)
	})
	p.kill()
	require.Equal(t, 8, query[int](s, "select partitions::int from "+s.table("settings")), "it was too quick to be killed")
	s.check()
	w = s.start()
	require.Equal(t, len(commands), s.importing(commands).finish().Duplicate)
	s.stop(w)

	t.Log("after the log has moved")
	p = s.launch(sixteen...)
	s.until("the log has moved", func() bool { return query[bool](s, "select maintenance = 'repartition' from "+s.table("settings")) })
	p.kill()
	s.unfinished()

	t.Log("while the events are published")
	p = s.launch(sixteen...)
	s.until("some events", func() bool {
		msgs := s.stream().CachedInfo().State.Msgs
		return msgs > 200 && int64(msgs) < s.events()
	})
	p.signal(os.Interrupt)
	status, out := p.finish()
	require.Equal(t, 1, status)
	require.Contains(t, out, "interrupted: run worker repartition again to go on")
	s.unfinished()

	s.repartitions(16)
	s.check()
	s.start()
	require.Equal(t, len(commands), s.importing(commands).finish().Duplicate)
}

// unfinished checks that the change to 16 partitions is half done, and that everybody says so.
func (s *system) unfinished() {
	s.Helper()
	for _, args := range [][]string{{"--partitions", "16"}, {"republish", "--partitions", "16"}, {"repartition", "--partitions", "5"}} {
		status, out := s.worker(args...)
		require.Equal(s, 1, status, args)
		require.Contains(s, out, "finish with `worker repartition --partitions 16`", args)
	}
}

func TestRepartitionRefusesWhileCommandsWait(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.stop(s.start())
	for i := range 3 {
		s.store("counter."+strconv.Itoa(i)+".increment", `{}`)
	}
	status, out := s.worker("repartition", "--partitions", "5")
	require.Equal(t, 1, status)
	require.Contains(t, out, fmt.Sprintf("3 commands wait in %s: stop the publishers, start a worker", s.namespace.CommandStream()))
	s.store("counter.0.increment", `{}`) // the stream takes commands as before
	w := s.start()
	s.settled()
	s.stop(w)
	require.EqualValues(t, 4, s.events())
	s.repartitions(5)
	s.check()
}

// A publisher that was not stopped waits until the command stream takes commands again. Its command
// is not lost.
func TestPublishersWaitForRepartition(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	w := s.start()
	s.committed(s.ask("do.counter.1.increment", `{}`))
	s.stop(w)
	holdUp, err := s.pool.Begin(s.Context())
	require.NoError(t, err)
	_, err = holdUp.Exec(s.Context(), "lock table "+s.table("log")+" in share mode")
	require.NoError(t, err)
	p := s.launch("repartition", "--partitions", "3")
	s.until("the command stream is closed", func() bool {
		stream, err := s.js.Stream(s.Context(), s.namespace.CommandStream())
		return err == nil && !slices.Contains(stream.CachedInfo().Config.Subjects, s.namespace.Commands())
	})
	sent := make(chan error, 1)
	go func() {
		_, err := s.Send(s.Context(), client.Command{Aggregate: "counter", AggregateID: "1", Name: "increment"})
		sent <- err
	}()
	s.until("the log waits to be moved", func() bool { return s.waits(holdUp) })
	require.Empty(t, sent)
	require.NoError(t, holdUp.Rollback(s.Context()))
	status, out := p.finish()
	require.Zero(t, status, out)
	require.NoError(t, <-sent)
	s.partitions = 3
	s.start()
	s.settled()
	require.EqualValues(t, 2, s.events())
	s.check()
}

// waits tells whether a session waits for a transaction's locks.
func (s *system) waits(behind pgx.Tx) bool {
	return query[bool](s, "select exists (select from pg_stat_activity where $1 = any (pg_blocking_pids(pid)))", behind.Conn().PgConn().PID())
}

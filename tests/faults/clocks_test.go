package faults

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// usualOffset is the offset of the clock at a worker's place when no fault moves it.
func usualOffset(i int) time.Duration {
	return []time.Duration{0, 20 * time.Second, -45 * time.Second, 300 * ms, -2 * time.Second}[i%5]
}

// Faults move clocks to these offsets. Deadlines of commands are further away than any worker's
// clock gets, and nearer than Postgres's clock gets.
var (
	workerJumps   = []time.Duration{2 * time.Second, -2 * time.Second, 50 * time.Second, -2 * time.Hour, 2 * time.Hour, 10 * year, -10 * year}
	postgresJumps = []time.Duration{2 * time.Second, -2 * time.Second, 2 * time.Minute, -3 * time.Hour, 30 * day, -30 * day, 30 * year, -20 * year}
)

// farAway is a deadline that no worker's clock reaches.
func farAway() time.Time { return time.Now().Add(20 * year) }

// setClock sets the worker's clock off by the given time, from now on.
func (w *worker) setClock(by time.Duration) {
	file := w.clock + ".new"
	if err := os.WriteFile(file, []byte(by.String()), 0o600); err != nil {
		w.t.Errorf("set the clock of %s: %v", w.name, err)
	}
	if err := os.Rename(file, w.clock); err != nil {
		w.t.Errorf("set the clock of %s: %v", w.name, err)
	}
}

// setClock sets Postgres's clock off by the given time, from now on.
func (d *database) setClock(by time.Duration) {
	if by < d.ahead {
		d.setBack++
	}
	d.ahead = by
	if err := d.primary.SetClock(by); err != nil {
		d.Errorf("set Postgres's clock: %v", err)
	}
}

// strikeClock makes a clock jump, and jump back after a time.
func (s *storm) strikeClock(ctx context.Context, f fault, place int) {
	if f.kind == movePostgresClock {
		s.database.setClock(postgresJumps[f.target>>8%len(postgresJumps)])
		pause(ctx, f.length)
		s.database.setClock(0)
		return
	}
	w := s.world.workers[place]
	w.setClock(workerJumps[f.target>>8%len(workerJumps)])
	pause(ctx, f.length)
	w.setClock(usualOffset(place))
}

// checkDeadlines: no command fails because of a deadline that has not passed. All deadlines are
// further away than any worker's clock gets.
func (c *checker) checkDeadlines() {
	for _, o := range c.operations {
		for _, a := range o.outcomes {
			if a.Error != nil && a.Error.Code == "deadline_exceeded" {
				c.violatedf(inTime, "command %s failed with %s, its deadline was %s", o.command.ID, a.Error, o.command.Deadline)
			}
		}
	}
}

// jumpAhead sets Postgres's clock years ahead while something is committed. It then sends a command
// whose deadline has not passed.
func (s *stage) jumpAhead() {
	s.do(s.op("increment", `{}`))
	s.database.setClock(30 * year)
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	require.NoError(s, poll(ctx, func() bool {
		s.do(s.op("increment", `{}`))
		var last time.Time
		err := s.pool.QueryRow(ctx, "select recorded_at from "+s.table("partitions")+" where partition = $1", s.partition()).Scan(&last)
		return err == nil && last.After(farAway())
	}))
	s.database.setClock(0)
	o := s.op("increment", `{}`)
	o.command.Deadline = farAway()
	s.do(o)
}

// everywhere makes an operation in each partition, and returns them.
func (s *stage) everywhere(deadline time.Duration) (all []*operation) {
	s.Helper()
	for p := range s.partitions {
		o := s.op("increment", `{}`)
		o.command.AggregateID = idIn(p, s.partitions)
		o.key.ID = o.command.AggregateID
		if deadline != 0 {
			o.command.Deadline = time.Now().Add(deadline)
		}
		s.do(o)
		all = append(all, o)
	}
	return all
}

// A clock that is years ahead for a moment has no lasting effect in any partition.
func TestAClockAheadForAMomentIsOver(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1, "", variation{clocks: true})
	for _, w := range s.workers {
		w.setClock(10 * year)
	}
	s.everywhere(0)
	var last time.Time
	require.NoError(t, s.pool.QueryRow(t.Context(), "select max(recorded_at) from "+s.table("partitions")).Scan(&last))
	require.Less(t, time.Until(last), time.Minute)
	for _, w := range s.workers {
		w.setClock(0)
	}
	s.waitForClocks()
	for _, o := range s.everywhere(time.Hour) {
		require.Len(t, o.outcomes, 1)
		require.Nil(t, o.outcomes[0].Error)
	}
	require.Empty(t, s.check())
	require.True(t, s.told("clocks of this machine and of Postgres differ"))
}

// waitForClocks waits until all workers have looked at their clocks again.
func (s *stage) waitForClocks() { pause(s.Context(), 500*ms) }

// Ids are not forgotten because of a wrong clock, neither the clock that made their receipts nor
// the clock that looks at the receipts.
func TestNoIDIsForgottenByAWrongClock(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]func(s *stage, by time.Duration){
		"of the workers": func(s *stage, by time.Duration) {
			for _, w := range s.workers {
				w.setClock(by)
			}
		},
		"of Postgres": func(s *stage, by time.Duration) { s.database.setClock(by) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1, "", variation{clocks: true})
			for _, w := range s.workers {
				w.setClock(0)
			}
			wrong(s, -30*day)
			s.waitForClocks()
			sent := s.everywhere(0)
			wrong(s, 30*day)
			pause(s.Context(), 7*time.Second) // receipts are looked through every five seconds
			wrong(s, 0)
			s.pruned()
			for _, o := range sent {
				s.do(o)
				require.True(t, o.outcomes[len(o.outcomes)-1].Duplicate)
			}
			require.Empty(t, s.check())
		})
	}
}

// pruned waits until old receipts have been searched for and forgotten.
func (s *stage) pruned() {
	s.Helper()
	old := client.NewID()
	_, err := s.pool.Exec(s.Context(), "insert into "+s.table("receipts")+` select 0, 'counter', $1, $1, 'rejected', 0, 0, 0, null,
		now() - interval '8 days'`, old)
	require.NoError(s, err)
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	require.NoError(s, poll(ctx, func() bool {
		var left int
		err := s.pool.QueryRow(ctx, "select count(*) from "+s.table("receipts")+" where command_id = $1", old).Scan(&left)
		return err == nil && left == 0
	}))
}

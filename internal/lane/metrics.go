package lane

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/maestro-es/maestro/internal/monotonic"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/store"
)

// measures holds the counts of a lane.
type measures struct {
	on bool // somebody reads the metrics
	// counts are the batch's commands by kind; a batch has few kinds. count holds the metric
	// counter of each kind.
	counts []kindCount
	count  map[telemetry.Kind]func(int64)
	gauges gauges
}

type kindCount struct {
	telemetry.Kind
	commands int64
}

// gauges are read by other goroutines while the lane runs.
type gauges struct {
	behind, inHand, position, cached, cachedBytes atomic.Int64
	oldest                                        atomic.Int64 // Unix nanoseconds, 0 for none
	stalled                                       atomic.Int64 // as [monotonic.Now], 0 for none
}

// Stats describes a lane at a moment.
type Stats struct {
	// Position is the position of the last committed event that the lane knows.
	Position int64
	// Backlog is how many tasks wait in the lane, plus the durable commands known to wait in the
	// stream.
	Backlog int64
	// Oldest is when the stream stored the oldest durable command without an outcome; zero if there
	// is none.
	Oldest time.Time
	// Unpublished is how many committed events are not known to be in the event stream.
	Unpublished int64
	// Cached is how many aggregates are in memory, CachedBytes an estimate of their size.
	Cached, CachedBytes int64
	// Doing is what the lane is doing.
	Doing Doing
	// Stalled is since when tasks wait and none was finished; zero while no task waits.
	Stalled time.Time
}

// Stats returns the lane's current state.
func (l *Lane) Stats() Stats {
	g := &l.measures.gauges
	s := Stats{Doing: l.doing.get(), Position: g.position.Load(), Backlog: int64(l.intake.len()) + g.inHand.Load() + g.behind.Load(),
		Cached: g.cached.Load(), CachedBytes: g.cachedBytes.Load()}
	if oldest := g.oldest.Load(); oldest != 0 {
		s.Oldest = time.Unix(0, oldest)
	}
	if stalled := g.stalled.Load(); stalled != 0 {
		s.Stalled = time.Now().Add(-monotonic.Since(time.Duration(stalled)))
	}
	if l.publisher != nil {
		published, _ := l.publisher.Published()
		s.Unpublished = max(0, g.position.Load()-published)
	}
	return s
}

// SetBehind says how many durable commands wait in the stream behind the last that was submitted.
func (l *Lane) SetBehind(commands int64) { l.measures.gauges.behind.Store(commands) }

// take notes that the batch's turn has come.
func (l *Lane) take(tasks []task) {
	now := time.Now()
	l.measureWaiting(tasks)
	l.measures.on = l.Metrics.Enabled()
	for _, t := range tasks {
		if t.command == nil || t.command.taken {
			continue
		}
		t.command.taken = true
		if l.measures.on {
			l.Metrics.Queued(t.command.traced(context.Background()), now.Sub(t.command.arrived))
		}
		t.command.traceQueued(now)
	}
}

// measureWaiting notes the tasks that the lane has taken from its queues and not finished.
func (l *Lane) measureWaiting(batch []task) {
	g, p := &l.measures.gauges, &l.pending
	waiting := len(batch) + len(p.requests) + len(p.backlog)
	g.inHand.Store(int64(waiting))
	oldest := int64(0)
	for _, some := range [2][]task{batch, p.backlog} {
		if i := slices.IndexFunc(some, task.durable); i >= 0 && oldest == 0 {
			oldest = some[i].command.Cursor.Time.UnixNano()
		}
	}
	g.oldest.Store(oldest)
	switch {
	case waiting == 0:
		g.stalled.Store(0)
		l.doing.begin(Idle)
	case g.stalled.Load() == 0:
		g.stalled.Store(int64(monotonic.Now()))
	}
}

// measure counts the commands of a batch with their outcomes.
func (l *Lane) measure(a *attempt) {
	m := &l.measures
	m.gauges.position.Store(l.at.Position)
	m.gauges.stalled.Store(int64(monotonic.Now()))
	l.measureCache()
	if !m.on {
		return
	}
	now := time.Now()
	m.counts = m.counts[:0]
	for i, t := range a.tasks {
		if t.command != nil {
			m.add(l.kindOf(t.command, &a.results[i].Outcome))
			l.Metrics.Done(t.command.traced(context.Background()), now.Sub(t.command.since()), t.command.durable())
		}
	}
	for _, c := range m.counts {
		l.counter(c.Kind)(c.commands)
	}
	for _, d := range a.commit.DeadLetters {
		l.Metrics.DeadLetter(d.Code)
	}
}

func (l *Lane) measureCache() {
	l.measures.gauges.cached.Store(int64(l.cache.lru.Len()))
	l.measures.gauges.cachedBytes.Store(l.cache.bytes)
}

func (m *measures) add(k telemetry.Kind) {
	for i := range m.counts {
		if m.counts[i].Kind == k {
			m.counts[i].commands++
			return
		}
	}
	m.counts = append(m.counts, kindCount{k, 1})
}

func (l *Lane) counter(k telemetry.Kind) func(int64) {
	count, known := l.measures.count[k]
	if !known {
		count = l.Metrics.CountOf(k)
		l.measures.count[k] = count
	}
	return count
}

// kindOf returns the kind that a command is counted as. All unknown names share one kind.
func (l *Lane) kindOf(c *Command, o *store.Outcome) telemetry.Kind {
	k := telemetry.Kind{Aggregate: c.Key.Type, Command: c.Name, Outcome: string(o.Status)}
	if o.Duplicate {
		k.Outcome = "duplicate"
	}
	if o.Error != nil { // a command without an error has known names
		typ, known := l.Types[k.Aggregate]
		if !known {
			k.Aggregate = telemetry.Other
		}
		if !known || !slices.Contains(typ.CommandNames(), k.Command) {
			k.Command = telemetry.Other
		}
	}
	return k
}

// since is when the command arrived. A durable command arrived when the stream stored it.
func (c *Command) since() time.Time {
	if c.durable() {
		return c.Cursor.Time
	}
	return c.arrived
}

// reasonOf returns in a word why a commit was not made.
func reasonOf(err error) string {
	switch verdict := verdictOf(err); {
	case verdict == store.Stop:
		return "fenced"
	case errors.Is(err, store.ErrConflict):
		return "conflict"
	case errors.Is(err, store.ErrDuplicate):
		return "duplicate"
	case verdict == store.Repair:
		return "repair"
	case verdict == store.Refuse, verdict == store.Slow:
		return "projection"
	case verdict == store.Halve:
		return "data"
	}
	return "unavailable"
}

func partitionID(p int) string { return strconv.Itoa(p) }

package store

import (
	"context"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// When several partitions write the same rows of a read model, their transactions wait for each
// other. If they lock the rows in different orders, they deadlock, and Postgres takes a second to
// notice each deadlock. Under load nothing else happens any more. The store therefore remembers
// the first such conflict of a read model. For a while, commits with the SQL of that read model go
// one at a time in the whole namespace: each takes, right after the fence, a lock that ends with
// its transaction. A worker has one such transaction under way, and the commits that wait
// meanwhile share the next one. Other commits go on beside them.

// contendedFor is how long a read model counts as contended after a conflict.
const contendedFor = 10 * time.Minute

// contention knows the contended read models.
type contention struct {
	namespace string
	logger    *slog.Logger
	turn      chan struct{} // full while somebody in this process has its turn

	some   atomic.Bool // false until the first conflict, so that the common case costs nothing
	mu     sync.Mutex
	models map[string]time.Time // by name: until when it counts as contended
}

func newContention(namespace string, logger *slog.Logger) *contention {
	return &contention{namespace: namespace, logger: logger, turn: make(chan struct{}, 1), models: map[string]time.Time{}}
}

// noticed remembers a conflict in the SQL of a read model. It returns whether err is a conflict.
func (c *contention) noticed(m *ReadModel, err error) bool {
	if !isConflict(err) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.After(c.models[m.Name]) {
		c.logger.Warn("several partitions write the same rows of a read model: for 10 minutes its commits go one at a time. "+
			"Let each row belong to one aggregate, or to one partition and sum in a view, or write rows in one order with "+
			"projections.SortedBy", "projection", m.Name, "error", err)
	}
	c.models[m.Name] = now.Add(contendedFor)
	c.some.Store(true)
	return true
}

// isConflict tells whether transactions were in each other's way: a deadlock, or a lock that was
// not free in time.
func isConflict(err error) bool {
	return (stateOf(err) == codeDeadlock || isLocked(err)) && !isRaised(err)
}

// names returns the contended read models.
func (c *contention) names() (names []string) {
	if !c.some.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, until := range c.models {
		if time.Now().Before(until) {
			names = append(names, name)
		}
	}
	return names
}

// locks returns the keys of the locks that commits must take because of contended read models. The
// keys are in the order in which everybody takes them.
func (c *contention) locks(group ...*Commit) (keys []int64) {
	for _, name := range c.names() {
		writes := func(commit *Commit) bool {
			return slices.ContainsFunc(commit.Statements, func(s Statement) bool { return s.Model.Name == name }) ||
				slices.ContainsFunc(commit.Handlers, func(h Handler) bool { return h.Model.Name == name })
		}
		if slices.ContainsFunc(group, writes) {
			hash := fnv.New64a()
			_, _ = hash.Write([]byte("maestro contended " + c.namespace + "." + name))
			keys = append(keys, int64(hash.Sum64()))
		}
	}
	slices.Sort(keys)
	return keys
}

// take waits for a turn among the commits of this process. Only one connection of the process then
// waits for the lock in Postgres.
func (c *contention) take(ctx context.Context) (release func(), err error) {
	select {
	case c.turn <- struct{}{}:
		return func() { <-c.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Contended returns the names of the projections whose commits go one at a time at the moment,
// because several partitions write the same rows.
func (s *Postgres) Contended() []string { return s.contention.names() }

// commitInTurn is commitTogether for commits with contended read models.
func (s *Postgres) commitInTurn(ctx context.Context, group []*Commit) (time.Time, error) {
	release, err := s.contention.take(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer release()
	return s.commitLocked(ctx, group, s.contention.locks(group...))
}

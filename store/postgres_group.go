package store

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A transaction and its flush to disk cost as much for one command as for a hundred. Commits of
// several partitions therefore share one transaction. A commit that comes while a transaction is
// under way waits for the next one. A second transaction begins beside it only when enough rows
// wait to be worth one, because smaller transactions at the same time take more processor time and
// do not finish sooner.

// maxGroupRows and maxGroupBytes limit a group, so that no commit waits long for the others in its
// group.
const (
	maxGroupRows  = 2048
	maxGroupBytes = 4 << 20
)

// enoughRows is how many waiting rows are worth a second transaction beside one that is under way.
const enoughRows = maxGroupRows / 4

// defaultPatience is how long a transaction may hold up the commits that wait. The transaction may
// itself wait for a lock, or for a dead connection, which must not hold up other partitions.
const defaultPatience = 100 * time.Millisecond

// groupTimeout bounds the transaction of a group. A commit whose own context ends earlier does not
// wait for the end of the transaction.
const groupTimeout = 30 * time.Second

// errAlone says that one of the commits of a group caused an error, but not which.
var errAlone = errors.New("commit alone")

// groups brings commits together. It runs at most limit transactions at a time, not counting
// transactions that take longer than patience. While no transaction is under way, a commit waits
// for no other.
type groups struct {
	limit    int
	patience time.Duration
	commit   func(ctx context.Context, group []*Commit) (clock time.Time, err error)

	mu      sync.Mutex
	waiting []*member
	rows    int // rows of the commits that wait
	running int
}

// member is a commit that waits for its transaction.
type member struct {
	ctx     context.Context //nolint:containedctx // its caller waits, and may give up
	commit  *Commit
	outcome chan outcome
}

// outcome is the result of a transaction, and the clock of its server.
type outcome struct {
	clock time.Time
	err   error
}

// do commits c in a shared transaction. If the shared transaction is refused, do commits c alone.
// If ctx ends first, the commit may or may not have happened.
func (g *groups) do(ctx context.Context, c *Commit) error {
	m := &member{ctx: ctx, commit: c, outcome: make(chan outcome, 1)}
	var made outcome
	if !g.join(m) {
		made = g.alone(ctx, c)
	} else {
		select {
		case made = <-m.outcome:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if errors.Is(made.err, errAlone) {
		made.clock, made.err = g.commit(ctx, []*Commit{c})
	}
	if made.err == nil {
		c.Clock = made.clock.UTC()
	}
	return made.err
}

// join makes a commit wait for the next transaction, and returns true. If no transaction is under
// way, it counts one and returns false: the caller has to make the transaction.
func (g *groups) join(m *member) (waits bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running == 0 { // then no commit waits either
		g.running++
		return false
	}
	g.waiting = append(g.waiting, m)
	g.rows += m.commit.rows()
	if g.running < g.limit && g.rows >= enoughRows {
		g.running++
		go g.run()
	}
	return true
}

// alone makes the transaction of a commit that does not wait, in the caller's goroutine. Switching
// to another goroutine and back would take a noticeable part of the time of a single command.
func (g *groups) alone(ctx context.Context, c *Commit) outcome {
	replace := time.AfterFunc(g.patience, g.run)
	made := g.together(ctx, []*Commit{c})
	if replace.Stop() {
		g.proceed()
	}
	return made
}

// proceed starts the next transaction if any commit waits for one.
func (g *groups) proceed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.running--
		return
	}
	go g.run()
}

// run commits group after group until no commit waits. When a group takes too long, another run
// takes over.
func (g *groups) run() {
	for members := g.next(); len(members) > 0; members = g.next() {
		if !g.serve(members) {
			return
		}
	}
}

// serve commits a group. It returns false if another run has taken over meanwhile.
func (g *groups) serve(members []*member) (goesOn bool) {
	replace := time.AfterFunc(g.patience, g.run)
	made := outcome{err: errAlone} // stays if an argument of a projection calls runtime.Goexit
	defer func() {
		for _, m := range members {
			m.outcome <- made
		}
	}()
	group := make([]*Commit, len(members))
	for i, m := range members {
		group[i] = m.commit
	}
	made = g.together(context.WithoutCancel(members[0].ctx), group)
	return replace.Stop()
}

func (g *groups) together(ctx context.Context, group []*Commit) outcome {
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	clock, err := g.commit(ctx, group)
	if len(group) > 1 && separates(err) && !isConflict(err) {
		return outcome{err: errAlone}
	}
	return outcome{clock, err} // if the session or server ended, the commit may have happened
}

// next takes the commits of the next group, in the order in which they came. It leaves out commits
// whose caller has given up.
func (g *groups) next() (members []*member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	rows, bytes, taken := 0, 0, 0
	for _, m := range g.waiting {
		if m.ctx.Err() == nil {
			if rows, bytes = rows+m.commit.rows(), bytes+m.commit.bytes(); len(members) > 0 && (rows > maxGroupRows || bytes > maxGroupBytes) {
				break
			}
			members = append(members, m)
		}
		taken++
		g.rows -= m.commit.rows()
	}
	g.waiting = append([]*member(nil), g.waiting[taken:]...)
	if len(members) == 0 {
		g.running--
	}
	return members
}

func (c *Commit) rows() int {
	return len(c.Events) + len(c.Receipts) + len(c.DeadLetters) + len(c.Statements)
}

func (c *Commit) bytes() (n int) {
	for i := range c.Events {
		n += len(c.Events[i].Body)
	}
	for i := range c.DeadLetters {
		n += len(c.DeadLetters[i].Body)
	}
	return n
}

package store

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A transaction and its flush to disk cost as much for one command as for a hundred. Where several
// partitions have something to commit, it is therefore one transaction for all of them: what comes
// while a transaction is under way waits for the next. Another beside it begins only when so much
// waits that it is worth one: smaller transactions at the same time take more of the processors and
// are not sooner done.

// maxGroupRows and maxGroupBytes end a group, so that no commit waits long for those that it
// happens to be with.
const (
	maxGroupRows  = 2048
	maxGroupBytes = 4 << 20
)

// enoughRows is what is worth a transaction beside one that is under way.
const enoughRows = maxGroupRows / 4

// defaultPatience is how long a transaction may hold up those that wait: it may be waiting for a
// lock, or for a connection that is none any more, which is no concern of the other partitions.
const defaultPatience = 100 * time.Millisecond

// groupTimeout bounds the transaction of a group. Its commits may have less time, and then do not
// wait for its end.
const groupTimeout = 30 * time.Second

// errAlone says that something is wrong with one of a group, and not with which.
var errAlone = errors.New("commit alone")

// groups brings commits together, in at most limit transactions at a time, not counting those that
// take longer than patience. A commit waits for no other while no transaction is under way.
type groups struct {
	limit    int
	patience time.Duration
	commit   func(ctx context.Context, group []*Commit) (clock time.Time, err error)

	mu      sync.Mutex
	waiting []*member
	rows    int // of those that wait
	running int
}

// member is a commit that waits for its transaction.
type member struct {
	ctx     context.Context //nolint:containedctx // its caller waits, and may give up
	commit  *Commit
	outcome chan outcome
}

// outcome is what became of a transaction, and the clock of its server.
type outcome struct {
	clock time.Time
	err   error
}

// do commits together with others, or alone if that is refused. When ctx ends before, the commit is
// not made, or not known to be made.
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

// join has a commit wait for the next transaction. Where none is under way it does not, and counts
// one: the caller has to make it.
func (g *groups) join(m *member) (waits bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running == 0 { // and so nobody waits
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

// alone makes a transaction for the commit of a caller that does not wait. It spares the way to
// another goroutine and back, which is a part of the time that a single command takes.
func (g *groups) alone(ctx context.Context, c *Commit) outcome {
	replace := time.AfterFunc(g.patience, g.run)
	made := g.together(ctx, []*Commit{c})
	if replace.Stop() {
		g.proceed()
	}
	return made
}

// proceed has somebody make the next transaction, if anything waits for it.
func (g *groups) proceed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.running--
		return
	}
	go g.run()
}

// run commits group after group, until nothing waits. When a group takes too long, another run
// takes its place.
func (g *groups) run() {
	for members := g.next(); len(members) > 0; members = g.next() {
		if !g.serve(members) {
			return
		}
	}
}

// serve commits a group, and tells whether the caller is still the one that goes on.
func (g *groups) serve(members []*member) (goesOn bool) {
	replace := time.AfterFunc(g.patience, g.run)
	made := outcome{err: errAlone} // which remains if an argument of a projection ends the goroutine (runtime.Goexit)
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
	return outcome{clock, err} // of which, if the session or the server has ended, nobody knows whether it was committed before
}

// next takes the commits of a group, in the order in which they came. None of them is of a caller
// that has given up.
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

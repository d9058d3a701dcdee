package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// pulseEvery is how often the server is looked at, pulseTimeout how long it may take to answer.
	pulseEvery   = 500 * time.Millisecond
	pulseTimeout = time.Second
	// proveEvery is the time without a commit after which one is tried, proveTimeout how long that
	// may take.
	proveEvery   = time.Second
	proveTimeout = 3 * time.Second
)

// proof is the smallest commit that has to reach the disk, and a synchronous standby, like any
// other. It changes no table.
const proof = `select pg_catalog.pg_logical_emit_message(true, 'maestro', '')`

// health is what is known of the server's.
type health struct {
	mu        sync.Mutex
	writable  error
	commits   error
	committed time.Time // last
	back      chan struct{}
}

func (h *health) pulse(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writable != nil && err == nil && h.back != nil {
		close(h.back)
		h.back = nil
	}
	h.writable = err
}

// again is closed when the server next takes writes after a time without.
func (h *health) again() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.back == nil {
		h.back = make(chan struct{})
	}
	return h.back
}

// commit notes the end of a commit. Where it was refused, the server did its part.
func (h *health) commit(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commits = err
	if err == nil {
		h.committed = time.Now()
	}
}

// idle tells whether nothing was committed for a while.
func (h *health) idle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.committed) >= proveEvery
}

// Writable is nil as long as Postgres answers and takes writes, as it was seen half a second ago.
// While it is not, another worker may do better.
func (s *Postgres) Writable() error {
	h := &s.pools.health
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.writable
}

// WritableAgain returns a channel that is closed when Postgres next takes writes after a time in
// which it did not, as seen by the look that [Postgres.Writable] tells of. Whoever waits to try
// again need not wait longer.
func (s *Postgres) WritableAgain() <-chan struct{} { return s.pools.health.again() }

// Health is nil if this store could commit a moment ago. Where nothing is committed it tries, once
// a second. The error tells what is in the way: Postgres is away or takes no writes, a commit does
// not come to its end, or all connections are busy.
func (s *Postgres) Health() error {
	h := &s.pools.health
	h.mu.Lock()
	defer h.mu.Unlock()
	return errors.Join(h.writable, h.commits)
}

// watch looks at the server until ctx ends.
func (p *pools) watch(ctx context.Context) {
	for {
		err := p.look(ctx)
		if ctx.Err() != nil {
			return
		}
		p.health.pulse(err)
		if errors.Is(err, errReadOnly) {
			p.leave(server{})
		}
		if !pause(ctx, pulseEvery) {
			return
		}
	}
}

// look asks the server who it is.
func (p *pools) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pulseTimeout)
	defer cancel()
	conn, err := p.pulse.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("reach Postgres: %w", err)
	}
	defer conn.Release()
	found, err := identify(ctx, conn.Conn().PgConn())
	if err == nil {
		p.saw(found)
	}
	return err
}

// prove commits something where nobody else does, until ctx ends.
func (p *pools) prove(ctx context.Context) {
	for pause(ctx, proveEvery) {
		if !p.health.idle() {
			continue
		}
		err := p.proveOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		p.health.commit(err)
	}
}

func (p *pools) proveOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, proveTimeout)
	defer cancel()
	conn, err := p.work.Acquire(ctx)
	if stat := p.work.Stat(); err != nil && stat.AcquiredConns() == stat.MaxConns() {
		return fmt.Errorf("nothing could be committed: all %d connections were busy for %s", stat.MaxConns(), proveTimeout)
	}
	if err == nil {
		defer conn.Release()
		_, err = conn.Conn().PgConn().Exec(ctx, proof).ReadAll()
	}
	if err != nil {
		return fmt.Errorf("nothing could be committed: %w", err)
	}
	return nil
}

// Prove commits the smallest thing there is, and returns when that was acknowledged. What was
// visible before it then is as lasting as any commit, also what somebody committed whose wait for a
// standby was cut short.
func (s *Postgres) Prove(ctx context.Context) error { return s.pools.proveOnce(ctx) }

// pause waits, and tells whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

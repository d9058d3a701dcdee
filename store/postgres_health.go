package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// pulseEvery is how often the store looks at the server. pulseTimeout is how long the server may
	// take to answer.
	pulseEvery   = 500 * time.Millisecond
	pulseTimeout = time.Second
	// proveEvery is the time without a commit after which the store tries one. proveTimeout is how
	// long that commit may take.
	proveEvery   = time.Second
	proveTimeout = 3 * time.Second
)

// proof is the smallest commit that must reach the disk, and a synchronous standby, like any other
// commit. It changes no table.
const proof = `select pg_catalog.pg_logical_emit_message(true, 'maestro', '')`

// health is what the store knows about the state of the server.
type health struct {
	mu        sync.Mutex
	writable  error
	commits   error
	committed time.Time // of the last commit
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

// again returns a channel that is closed when the server next takes writes after a time in which
// it did not.
func (h *health) again() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.back == nil {
		h.back = make(chan struct{})
	}
	return h.back
}

// commit notes the result of a commit. Callers do not note a commit that the server refused,
// because the server did its part.
func (h *health) commit(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commits = err
	if err == nil {
		h.committed = time.Now()
	}
}

// idle tells whether nothing was committed for proveEvery.
func (h *health) idle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.committed) >= proveEvery
}

// Writable returns nil if Postgres answered and took writes at the last look, which is about half
// a second old. Otherwise another worker may reach a server that does.
func (s *Postgres) Writable() error {
	h := &s.pools.health
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.writable
}

// WritableAgain returns a channel that is closed when Postgres next takes writes after a time in
// which it did not. The looks are those of [Postgres.Writable]. A caller that waits before another
// try can stop waiting then.
func (s *Postgres) WritableAgain() <-chan struct{} { return s.pools.health.again() }

// Health returns nil if this store could commit a moment ago. If nobody commits, the store tries
// once a second. The error says what is in the way: Postgres is away or takes no writes, a commit
// does not end, or all connections are busy.
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

// look asks the server for its identity.
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

// prove makes a small commit whenever nobody else commits, until ctx ends.
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

// Prove makes the smallest commit there is, and returns when Postgres has acknowledged it.
// Everything that was visible before is then as durable as any commit. This includes a commit
// whose wait for a standby was cut short.
func (s *Postgres) Prove(ctx context.Context) error { return s.pools.proveOnce(ctx) }

// pause waits for d. It returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

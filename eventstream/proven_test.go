package eventstream_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

// doubtful is a log that may show more than a standby has.
type doubtful struct {
	*store.Memory
	proofs chan error // the result of each proof
	// needless says that a proof was asked for after the last one that may be.
	needless atomic.Bool
}

func (l *doubtful) Prove(ctx context.Context) error {
	select {
	case err, awaited := <-l.proofs:
		if !awaited {
			l.needless.Store(true)
		}
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answer waits until a proof is asked for, and returns err as its result.
func (l *doubtful) answer(t *testing.T, err error) {
	t.Helper()
	select {
	case l.proofs <- err:
	case <-time.After(20 * time.Second):
		require.Fail(t, "nobody asks for a proof")
	}
}

// Events that were found in the log, without word that their commit was acknowledged, are
// published only after a later commit was acknowledged.
func TestNothingIsPublishedThatAStandbyMayNotHave(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	log := &doubtful{Memory: r.log, proofs: make(chan error)}
	p := r.run(r.publisherOf(log, r.acquire(), silence))
	position, events := r.commit(2)
	p.Committed(position, events) // acknowledged to the lane
	r.flush(p)
	position, _ = r.commit(3)
	p.Noticed(position)
	p.Noticed(position)
	for range 3 {
		log.answer(t, errors.New("the standby is away"))
		require.Len(t, r.stream(), 2)
	}
	log.answer(t, nil)
	r.flush(p)
	r.requireEqual()
	close(log.proofs) // every later proof is answered at once, and counts as needless
	position, events = r.commit(1)
	p.Committed(position, events) // needs no proof
	r.flush(p)
	r.requireEqual()
	require.False(t, log.needless.Load(), "a proof of what was acknowledged")
}

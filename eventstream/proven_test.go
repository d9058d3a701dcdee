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

// doubtful is a log in which more may be seen than a standby has.
type doubtful struct {
	*store.Memory
	proofs chan error // what comes of each
	// needless tells that one was asked for after the last that may be.
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

// answer waits until a proof is asked for, and says what comes of it.
func (l *doubtful) answer(t *testing.T, err error) {
	t.Helper()
	select {
	case l.proofs <- err:
	case <-time.After(20 * time.Second):
		require.Fail(t, "nobody asks for a proof")
	}
}

// What was found in the log, and of which nobody has said that it was acknowledged, is published
// when a commit after it was.
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
	close(log.proofs) // which answers whoever asks, and says so
	position, events = r.commit(1)
	p.Committed(position, events) // needs no proof
	r.flush(p)
	r.requireEqual()
	require.False(t, log.needless.Load(), "a proof of what was acknowledged")
}

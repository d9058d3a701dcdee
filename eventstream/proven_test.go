package eventstream_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

// doubtful is a log in which more may be seen than a standby has.
type doubtful struct {
	*store.Memory
	proofs chan error // what comes of each
}

func (l *doubtful) Prove(ctx context.Context) error {
	select {
	case err := <-l.proofs:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// What was found in the log, and of which nobody has said that it was acknowledged, is published
// when a commit after it was.
func TestNothingIsPublishedThatAStandbyMayNotHave(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	log := &doubtful{r.log, make(chan error)}
	p := r.run(r.publisherOf(log, r.acquire(), silence))
	position, events := r.commit(2)
	p.Committed(position, events) // acknowledged to the lane
	r.flush(p)
	position, _ = r.commit(3)
	p.Noticed(position)
	p.Noticed(position)
	for range 3 {
		log.proofs <- errors.New("the standby is away")
		require.Len(t, r.stream(), 2)
	}
	log.proofs <- nil
	r.flush(p)
	r.requireEqual()
	position, events = r.commit(1)
	p.Committed(position, events) // needs no proof
	r.flush(p)
	r.requireEqual()
}

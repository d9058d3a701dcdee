package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What cannot even be sent, for a reason that Postgres never hears of, does not hold up those that are in a group with it.
func TestWhatCannotBeSentIsFoundOutAlone(t *testing.T) {
	t.Parallel()
	odd := errors.New("odd")
	begun, proceed := make(chan struct{}), make(chan struct{})
	g := &groups{limit: 1, commit: func(_ context.Context, group []*Commit) error {
		if group[0].Partition == 0 {
			close(begun)
			<-proceed
		}
		for _, c := range group {
			if c.Partition == 2 {
				return odd
			}
		}
		return nil
	}}
	outcomes := make([]chan error, 4)
	for partition := range outcomes {
		outcomes[partition] = make(chan error, 1)
		go func() { outcomes[partition] <- g.do(t.Context(), &Commit{Partition: partition}) }()
		if partition == 0 {
			<-begun
		}
	}
	require.Eventually(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.waiting) == 3
	}, 30*time.Second, time.Millisecond)
	close(proceed)
	for partition, outcome := range outcomes {
		if partition == 2 {
			require.ErrorIs(t, <-outcome, odd)
		} else {
			require.NoError(t, <-outcome)
		}
	}
}

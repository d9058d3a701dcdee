package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A commit that cannot even be sent does not hold up the others in its group, although Postgres
// never hears of it.
func TestWhatCannotBeSentIsFoundOutAlone(t *testing.T) {
	t.Parallel()
	odd := errors.New("odd")
	begun, proceed := make(chan struct{}), make(chan struct{})
	g := &groups{limit: 1, patience: time.Hour, commit: func(_ context.Context, group []*Commit) (now time.Time, err error) {
		if group[0].Partition == 0 {
			close(begun)
			<-proceed
		}
		for _, c := range group {
			if c.Partition == 2 {
				return now, odd
			}
		}
		return now, nil
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

// held returns groups whose transactions report on begun how many commits they have, and wait for
// end.
func held(limit int, patience time.Duration) (g *groups, begun <-chan int, end chan<- struct{}) {
	begins, ends := make(chan int, 100), make(chan struct{})
	return &groups{limit: limit, patience: patience, commit: func(_ context.Context, group []*Commit) (now time.Time, err error) {
		begins <- len(group)
		<-ends
		return now, nil
	}}, begins, ends
}

func (g *groups) begin(t *testing.T, rows int) <-chan outcome {
	m := &member{ctx: t.Context(), commit: &Commit{Receipts: make([]Receipt, rows)}, outcome: make(chan outcome, 1)}
	if !g.join(m) {
		go func() { m.outcome <- g.alone(m.ctx, m.commit) }()
	}
	return m.outcome
}

// Two transactions run at the same time only if enough commits wait for both.
func TestAnotherTransactionBeginsWhenEnoughWaits(t *testing.T) {
	t.Parallel()
	g, begun, end := held(2, time.Hour)
	outcomes := []<-chan outcome{g.begin(t, 1)}
	require.Equal(t, 1, <-begun)
	outcomes = append(outcomes, g.begin(t, 1), g.begin(t, enoughRows-2))
	require.Equal(t, 1, g.underWay(), "one row is missing")
	outcomes = append(outcomes, g.begin(t, 1))
	require.Equal(t, 3, <-begun)
	outcomes = append(outcomes, g.begin(t, enoughRows))
	require.Equal(t, 2, g.underWay(), "and no more than the limit")
	close(end)
	for _, outcome := range outcomes {
		require.NoError(t, (<-outcome).err)
	}
	require.Equal(t, 1, <-begun)
	require.Eventually(t, func() bool { return g.underWay() == 0 }, 30*time.Second, time.Millisecond)
	require.Zero(t, g.rows)
}

// A transaction that stands still does not hold up other commits.
func TestATransactionThatStandsStillHoldsUpNobody(t *testing.T) {
	t.Parallel()
	g, begun, end := held(1, 10*time.Millisecond)
	var outcomes []<-chan outcome
	for range 3 {
		outcomes = append(outcomes, g.begin(t, 1))
		require.Equal(t, 1, <-begun, "while those before it stand still")
	}
	close(end)
	for _, outcome := range outcomes {
		require.NoError(t, (<-outcome).err)
	}
	require.Eventually(t, func() bool { return g.underWay() == 0 }, 30*time.Second, time.Millisecond)
	require.NoError(t, (<-g.begin(t, 1)).err, "it goes on as before")
}

func (g *groups) underWay() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running
}

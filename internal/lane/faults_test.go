package lane_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

// faulty is a real store with a faulty connection. The errors that its functions return stand for
// lost requests and lost answers.
type faulty struct {
	store.Store

	mu sync.Mutex
	// before may keep a commit from the store, after may keep its success from the lane. A nil
	// function does nothing.
	before, after func(*store.Commit) error
	// reading may fail all other calls.
	reading func() error
	made    []int // the number of receipts of each commit that was made
}

func acquired(t *testing.T, s store.Store) store.Partition {
	t.Helper()
	at, err := s.Acquire(t.Context(), 0, t.Name())
	require.NoError(t, err)
	return at
}

// trouble sets what goes wrong from now on.
func (f *faulty) trouble(before, after func(*store.Commit) error, reading func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after, f.reading = before, after, reading
}

func (f *faulty) hooks() (before, after func(*store.Commit) error, reading func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.before, f.after, f.reading
}

func (f *faulty) Commit(ctx context.Context, c *store.Commit) error {
	before, after, _ := f.hooks()
	if before != nil {
		if err := before(c); err != nil {
			return err
		}
	}
	if err := f.Store.Commit(ctx, c); err != nil {
		return err
	}
	f.mu.Lock()
	f.made = append(f.made, len(c.Receipts))
	f.mu.Unlock()
	if after != nil {
		return after(c)
	}
	return nil
}

func (f *faulty) read() error {
	if _, _, reading := f.hooks(); reading != nil {
		return reading()
	}
	return nil
}

func (f *faulty) Partition(ctx context.Context, partition int) (store.Partition, error) {
	if err := f.read(); err != nil {
		return store.Partition{}, err
	}
	return f.Store.Partition(ctx, partition)
}

func (f *faulty) Load(ctx context.Context, partition int, queries []store.Query) ([]store.History, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	return f.Store.Load(ctx, partition, queries)
}

func (f *faulty) Receipts(ctx context.Context, partition int, commands []store.CommandKey) (map[store.CommandKey]store.Receipt, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	return f.Store.Receipts(ctx, partition, commands)
}

func (f *faulty) Events(ctx context.Context, partition int, key store.Key, above int64, limit int) ([]store.Event, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	return f.Store.Events(ctx, partition, key, above, limit)
}

// batches returns the number of receipts of each commit that was made.
func (f *faulty) batches() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.made)
}

func (f *faulty) log(t *testing.T) []store.Event {
	t.Helper()
	events, err := f.Store.Log(t.Context(), 0, 0, 1_000_000)
	require.NoError(t, err)
	return events
}

// times returns a function that fails n times. The channel gets a signal for each failure.
func times(n int, err error) (fail func() error, failed <-chan struct{}) {
	signals := make(chan struct{}, n)
	return func() error {
		if n == 0 {
			return nil
		}
		n--
		signals <- struct{}{}
		return err
	}, signals
}

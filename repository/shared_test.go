package repository_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/repository"
	"github.com/maestro-es/maestro/store"
)

// Several programs work on the same accounts at once, each with its own connections and its own
// memory. Each gives every command twice, and owners come and go. Every command takes effect once,
// and no event is missing.
func TestProgramsShareAggregates(t *testing.T) {
	t.Parallel()
	const programs, workers, commands, all = 3, 3, 20, 4
	url := localpg.Database(t)
	stores := make([]store.Store, programs)
	var group sync.WaitGroup
	for n := range programs {
		stores[n] = postgres(t, url)
		r := accounts(t, stores[n])
		for w := range workers {
			group.Go(func() {
				for c := range commands {
					id, command := fmt.Sprint("a", c%all), fmt.Sprint("c", (w+n)%workers, "-", c) // another program gives it too
					result, err := r.Evaluate(t.Context(), id, Deposit{Amount: c}, repository.Evaluation{CommandID: command, Return: repository.ReturnEvents})
					if assert.NoError(t, err) && c > 0 {
						assert.Len(t, result.Events, 1)
					}
					if c%5 == 0 {
						_, err := r.Fetch(t.Context(), id)
						assert.NoError(t, err)
					}
				}
			})
		}
	}
	group.Go(func() {
		for range 10 {
			_, err := stores[0].Acquire(t.Context(), rand.IntN(4), "a worker")
			assert.NoError(t, err)
		}
	})
	group.Wait()

	fresh := accounts(t, postgres(t, url))
	for a := range all {
		id := fmt.Sprint("a", a)
		want, events := 0, int64(0)
		for c := a; c < commands; c += all {
			if c > 0 { // a deposit of nothing has no event
				want, events = want+c*workers, events+workers
			}
		}
		root, err := fresh.Fetch(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, root.State.Balance)
		require.Equal(t, events, root.Sequence)
		log, err := stores[0].Events(t.Context(), wire.Partition("account", id, 4), store.Key{Type: "account", ID: id}, 0, 1000)
		require.NoError(t, err)
		seen := map[string]bool{}
		for i, e := range log {
			require.EqualValues(t, i+1, e.Sequence)
			require.False(t, seen[e.Metadata.CommandID], "command %s took effect twice", e.Metadata.CommandID)
			seen[e.Metadata.CommandID] = true
		}
	}
}

package storetest

import (
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

// write commits n events, each alone, while others do the same. It returns the positions at which
// its commits succeeded. It ends when it is fenced.
func (s *suite) write(writer string, epoch int64, n int) (won map[int64]string, err error) {
	won = map[int64]string{}
	for len(won) < n {
		p, err := s.store.Partition(s.ctx(), partition)
		if err != nil {
			return won, err
		}
		e := event(counter(writer), int64(len(won))+1, p.Position+1)
		e.Metadata.CommandID = fmt.Sprint(writer, "-", len(won))
		err = s.store.Commit(s.ctx(), &store.Commit{Partition: partition, Epoch: epoch, Position: p.Position, Time: p.Time,
			Events: []store.Event{e}})
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return won, err
		}
		if err == nil {
			won[e.Position] = e.Metadata.CommandID
		}
	}
	return won, nil
}

// agrees checks that the log has no gap and consists of the events that the writers committed.
func (s *suite) agrees(won map[int64]string) {
	s.Helper()
	log := s.log()
	require.Len(s, log, len(won))
	for i, e := range log {
		require.Equal(s, int64(i)+1, e.Position)
		require.Equal(s, won[e.Position], e.Metadata.CommandID)
	}
	require.Equal(s, int64(len(log)), s.at(partition).Position)
}

func oneWinner(s *suite) {
	const writers, each = 4, 15
	p, err := s.store.Acquire(s.ctx(), partition, "a")
	require.NoError(s, err)
	var mutex sync.Mutex
	all := map[int64]string{}
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			won, err := s.write(fmt.Sprint("writer-", w), p.Epoch, each)
			mutex.Lock()
			defer mutex.Unlock()
			if err != nil {
				s.Error(err)
			}
			for position, command := range won {
				if other, taken := all[position]; taken {
					s.Errorf("position %d was won by %s and %s", position, other, command)
				}
				all[position] = command
			}
		})
	}
	group.Wait()
	require.Len(s, all, writers*each)
	s.agrees(all)
}

func takeover(s *suite) {
	const owners, each = 4, 10
	var group sync.WaitGroup
	var mutex sync.Mutex
	all := map[int64]string{}
	fenced := 0
	for o := range owners {
		name := fmt.Sprint("owner-", o)
		p, err := s.store.Acquire(s.ctx(), partition, name)
		require.NoError(s, err)
		last := o == owners-1
		started := make(chan struct{})
		group.Go(func() {
			close(started)
			limit := 1 << 30
			if last {
				limit = each
			}
			won, err := s.write(name, p.Epoch, limit)
			mutex.Lock()
			defer mutex.Unlock()
			if errors.Is(err, store.ErrFenced) {
				fenced++
			} else if err != nil {
				s.Error(err)
			}
			maps.Copy(all, won)
		})
		<-started
	}
	group.Wait()
	require.Equal(s, owners-1, fenced, "all owners but the last are fenced")
	s.agrees(all)
}

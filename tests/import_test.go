package tests

import (
	"slices"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
)

// importing is an import under way. It tells how far the import has come.
type importing struct {
	*system
	commands []client.Command
	done     chan struct{}
	summary  client.Summary
	err      error

	mu       sync.Mutex
	progress client.Progress
	changed  chan struct{}
}

// importing begins an import that waits for outcomes.
func (s *system) importing(commands []client.Command) *importing {
	i := &importing{system: s, commands: commands, done: make(chan struct{}), changed: make(chan struct{})}
	go func() {
		defer close(i.done)
		i.summary, i.err = s.Import(s.Context(), yield(commands), client.ImportOptions{Wait: true, Progress: i.note})
	}()
	return i
}

func (i *importing) note(p client.Progress) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.progress = p
	close(i.changed)
	i.changed = make(chan struct{})
}

// reaches waits until that many commands are answered. It waits for as long as the import makes
// progress.
func (i *importing) reaches(answered int) {
	i.Helper()
	last, timeout := -1, time.After(patience)
	for {
		i.mu.Lock()
		p, changed := i.progress, i.changed
		i.mu.Unlock()
		if p.Answered >= answered {
			return
		}
		if p.Answered > last {
			last, timeout = p.Answered, time.After(patience)
		}
		select {
		case <-changed:
		case <-i.done:
			require.NoError(i, i.err)
			return
		case <-timeout:
			i.Fatalf("the import stands still at %+v of %d", p, len(i.commands))
		}
	}
}

// ends waits for the end of the import.
func (i *importing) ends() {
	i.Helper()
	i.reaches(len(i.commands))
	<-i.done
	require.NoError(i, i.err)
}

// finish waits for the end of the import and compares the namespace with the model. Nothing else
// must have happened in the namespace.
func (i *importing) finish() client.Summary {
	i.Helper()
	i.ends()
	sum := i.summary
	require.Equal(i, len(i.commands), sum.Commands)
	require.Equal(i, len(i.commands), sum.Committed+sum.Rejected+sum.Duplicate, "%+v", sum)
	m := newModel(i.partitions)
	for _, c := range i.commands {
		m.handle(c)
	}
	i.checkAgainst(m)
	return sum
}

// moments returns n moments at which to strike, as numbers of answers in rising order.
func (i *importing) moments(n int, intn func(int) int) []int {
	moments := make([]int, n)
	for k := range moments {
		moments[k] = 1 + intn(len(i.commands)-1)
	}
	slices.Sort(moments)
	i.Logf("strikes after %v of %d answers", moments, len(i.commands))
	return moments
}

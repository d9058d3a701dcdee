package lane

import "github.com/maestro-es/maestro/store"

// EndTimeout is how long a stopping worker stores waiting snapshots.
const EndTimeout = endTimeout

// Fill fills the queue with snapshots, each of another partition, and returns how many.
func (s *Snapshots) Fill() (n int) {
	for n = range cap(s.queue) {
		s.queue <- placed{n, store.Snapshot{Aggregate: store.Key{Type: "tally", ID: "a"}}}
	}
	return n + 1
}

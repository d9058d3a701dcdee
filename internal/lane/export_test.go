package lane

import "github.com/maestro-es/maestro/store"

// EndTimeout is what a worker that ends gives to all snapshots that wait.
const EndTimeout = endTimeout

// Fill has as many snapshots wait as can, each of another partition.
func (s *Snapshots) Fill() (n int) {
	for n = range cap(s.queue) {
		s.queue <- placed{n, store.Snapshot{Aggregate: store.Key{Type: "tally", ID: "a"}}}
	}
	return n + 1
}

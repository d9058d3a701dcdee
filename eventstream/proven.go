package eventstream

import (
	"context"
	"fmt"

	"github.com/maestro-es/maestro/store"
)

// prover is a log that can tell whether what it shows outlives its server.
type prover interface {
	Prove(ctx context.Context) error
}

// prove makes sure that events are lasting which were found in the log and of which the lane has
// not heard that their commit was acknowledged. With synchronous replication, a commit whose wait
// for the standby was cut short is in the log of this server, and would be lost with it. A commit
// that is acknowledged afterwards shows that the standby has all before it as well; if the server
// has changed meanwhile, the event is looked for once more.
func (p *Publisher) prove(ctx context.Context, events []store.Event) error {
	last := &events[len(events)-1]
	log, can := p.log.(prover)
	if !can || p.queue.lasting(last.Position) {
		return nil
	}
	if err := log.Prove(ctx); err != nil {
		return fmt.Errorf("make sure that what was found in the log is lasting: %w", err)
	}
	again, err := p.log.Log(ctx, p.partition, last.Position-1, 1)
	switch {
	case err != nil:
		return fmt.Errorf("read the log: %w", err)
	case len(again) == 0 || !same(&again[0], last):
		return fmt.Errorf("the log of partition %d has another event at position %d than a moment ago", p.partition, last.Position)
	}
	p.queue.prove(last.Position)
	return nil
}

package eventstream

import (
	"context"
	"fmt"

	"github.com/maestro-es/maestro/store"
)

// prover is a log that can tell whether its events would survive the loss of its server.
type prover interface {
	Prove(ctx context.Context) error
}

// prove makes sure that events read from the log are lasting, unless the lane has reported that
// their commit was acknowledged. With synchronous replication, the log of this server may show a
// commit whose wait for the standby was cut short. Such a commit would be lost with the server. A
// later commit that is acknowledged proves that the standby has everything before it as well. The
// server may have changed in the meantime, so prove then reads the last event once more.
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

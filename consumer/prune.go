package consumer

import (
	"context"
	"time"
)

// pruner is a store that can forget old receipts: about limit of those that are older than an age
// by its own clock, if that does not differ much from wall. Fewer than limit were all.
type pruner interface {
	Prune(ctx context.Context, age time.Duration, wall time.Time, limit int) (int, error)
}

const (
	// pruneEvery is how often old receipts are looked for, pruneLimit how many are forgotten at a
	// time: few, so that the statement is over in a few milliseconds.
	pruneEvery = 5 * time.Second
	pruneLimit = 1000
	// prunePause leaves the database to the commits while there are more.
	prunePause = 10 * time.Millisecond
	// streamMargin is how much longer than a command is in the stream its receipt is kept:
	// nats-server's clock says how long that is, and it may have been set meanwhile.
	streamMargin = time.Hour
)

// prune forgets receipts that are older than the retention. The owner of partition 0 does it for
// all.
func (c *Consumer) prune(ctx context.Context) {
	s, able := c.Store.(pruner)
	if !able || c.ReceiptRetention <= 0 {
		return
	}
	for {
		wait := pruneEvery
		if c.owners.Owns(0) {
			n, err := c.pruneOnce(ctx, s)
			if err != nil && ctx.Err() == nil {
				c.Logger.Debug("receipts were not pruned", "error", err)
			}
			if n >= pruneLimit {
				wait = prunePause
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// pruneOnce keeps the receipt of every command that is still in the stream, such as that of the
// last one, which stays there as a mark however old it is: if the stream must be read from its
// beginning one day, it is not to take effect again.
func (c *Consumer) pruneOnce(ctx context.Context, s pruner) (int, error) {
	age := c.ReceiptRetention
	stream, err := c.JetStream.Stream(ctx, c.Namespace.CommandStream())
	if err != nil {
		return 0, err
	}
	if info := stream.CachedInfo(); info.State.Msgs > 0 {
		age = max(age, info.TimeStamp.Sub(info.State.FirstTime)+streamMargin)
	}
	return s.Prune(ctx, age, c.Lane.Clock.Wall(), pruneLimit)
}

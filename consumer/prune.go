package consumer

import (
	"context"
	"time"
)

// pruner is a store that can delete old receipts. Prune deletes about limit receipts that are older
// than age by the store's clock, if that clock does not differ much from wall. It returns how many
// were deleted; fewer than limit means that none are left.
type pruner interface {
	Prune(ctx context.Context, age time.Duration, wall time.Time, limit int) (int, error)
}

const (
	// pruneEvery is how often old receipts are looked for. pruneLimit is how many are deleted at a
	// time; it is small so that the statement takes only a few milliseconds.
	pruneEvery = 5 * time.Second
	pruneLimit = 1000
	// prunePause is the pause while more receipts are left, so that commits get the database.
	prunePause = 10 * time.Millisecond
	// streamMargin is how much longer a receipt is kept than its command is in the stream. The
	// margin is needed because nats-server's clock tells the command's age, and that clock may have
	// been set meanwhile.
	streamMargin = time.Hour
)

// prune deletes receipts that are older than the retention. The owner of partition 0 does it for
// all partitions.
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

// pruneOnce deletes old receipts once. It keeps the receipt of every command that is still in the
// stream, so that no command takes effect again if the stream must be read from its beginning. The
// last command stays in the stream as a mark, however old it is.
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

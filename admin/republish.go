package admin

import (
	"context"

	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/store"
)

// Republish empties the namespace's event stream and publishes the whole log anew, each partition's
// events in the order of their positions. Subscribers see every event again. It returns the number
// of events in the stream.
//
// It refuses to begin while workers run. If events were published in the last seconds, it waits
// until the server has forgotten their message ids. A mark in the settings keeps workers out until
// Republish has finished. If it is interrupted, no worker starts until Republish is called again,
// which begins from the start.
func Republish(ctx context.Context, c Config) (events int64, err error) {
	o, err := newOrder(c, nil)
	if err != nil {
		return 0, err
	}
	owner := "republish-" + hlc.NewID() // owner of all partitions from then on, until a worker acquires them
	err = store.Republish(ctx, c.Database, store.Options{Namespace: o.Namespace, Partitions: o.Partitions}, owner, o.nobodyWorks,
		func(ctx context.Context, log *store.Postgres, rows []store.Partition) (err error) {
			events, err = o.publish(ctx, log, rows)
			return err
		})
	return events, err
}

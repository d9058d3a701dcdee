package ownership

import (
	"context"
	"time"

	"github.com/maestro-es/maestro/store"
)

// writable is a store that knows whether its server answers and takes writes.
type writable interface {
	Writable() error
}

// watchStore tells the other workers when this worker has lost the store, so that a worker that
// reaches the store takes over. It also tells the lanes when others write to their partitions.
func (o *Ownership) watchStore(ctx context.Context) {
	const every, patience = 500 * time.Millisecond, 2 * time.Second
	tick := time.NewTicker(every)
	defer tick.Stop()
	seen, back, skewed := time.Now(), goneBack{}, skew{}
	for {
		o.seeLanes()
		try, cancel := context.WithTimeout(ctx, 2*every)
		sent := time.Now()
		rows, err := o.Store.Rows(try)
		cancel()
		if len(rows) > 0 {
			o.Lane.Clock.Saw(rows[0].Clock, sent)
			skewed.compare(o)
		}
		if s, tells := o.Store.(writable); tells { // Writable does not count a wait for a free connection
			err = s.Writable()
		}
		switch {
		case err == nil:
			seen = time.Now()
			o.Roster.Recover()
			if rows != nil {
				back.compare(o, rows)
				o.Notice(rows)
			}
		case ctx.Err() == nil && time.Since(seen) > patience:
			o.Roster.GiveUp()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Notice remembers the positions of all partitions, and tells each lane the position of its log.
func (o *Ownership) Notice(rows []store.Partition) {
	o.rows.Store(&rows)
	for _, row := range rows {
		o.see(row.Number, row.Position)
		if l := o.Lanes[row.Number].Load(); l != nil {
			l.Noticed(row.Position)
		}
	}
}

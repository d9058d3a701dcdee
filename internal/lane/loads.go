package lane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// loads is how a lane loads: how many aggregates at once, and what it has of those that are too
// long for one exchange.
type loads struct {
	atOnce int
	limit  time.Duration // what the last exchange took that was late
	partly map[store.Key]*partial
	owed   bool // the last turn has loaded no page, since others were ready
}

// partial is an aggregate that is loaded page by page.
type partial struct {
	instance aggregate.Instance
	snapshot int64
	page     int // how many events the next exchange reads
}

// firstPage is how many events of a long aggregate are read at first.
const firstPage = 1000

func newLoads(most int) loads { return loads{atOnce: most, partly: map[store.Key]*partial{}} }

// late has fewer aggregates loaded at once.
func (l *loads) late(n int, took time.Duration) { l.atOnce, l.limit = max(1, n/2), took }

// inTime has more loaded at once, if that many took well less than what was too long.
func (l *loads) inTime(n int, took time.Duration, most int) {
	if l.limit == 0 || took < l.limit/2 {
		l.atOnce = min(max(l.atOnce, 2*n), most)
	}
}

// begin has an aggregate be loaded page by page.
func (l *loads) begin(key store.Key, instance aggregate.Instance, page int) {
	l.partly[key] = &partial{instance: instance, page: page}
}

// forget drops what was loaded of aggregates, since others may have written.
func (l *loads) forget() { clear(l.partly) }

// loadPages reads pages of aggregates, by turns: of each one at least, and others as long as the
// turn lasts and nobody else waits.
func (a *attempt) loadPages(ctx context.Context, queries []store.Query) error {
	l, start := a.lane, time.Now()
	for n := len(queries); len(queries) > 0; n-- {
		if n <= 0 && (time.Since(start) > l.Budgets.Turn || l.intake.len()+len(l.pending.requests) > 0) {
			break
		}
		more, err := a.loadPage(ctx, queries[0])
		if err != nil {
			return err
		}
		if queries = queries[1:]; more != nil {
			queries = append(queries, *more)
		}
	}
	a.leave(queries)
	return nil
}

// loadPage reads a page of an aggregate, and returns the query if there is more of it. Where not
// even one event can be read in time, its tasks wait while others go on.
func (a *attempt) loadPage(ctx context.Context, q store.Query) (more *store.Query, err error) {
	l := a.lane
	done, err := l.Memory.loading.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	p := l.loads.partly[q.Key]
	q.Above, q.Most, q.Each = p.instance.Sequence(), p.page, l.preparer(q.Key, p.instance)
	q.Restore = l.restorer(q.Key, p.instance)
	asked := time.Now()
	histories, err := l.readHistories(ctx, []store.Query{q})
	large, isLarge := errors.AsType[*store.LargeError](err)
	switch {
	case isLarge:
		p.page = large.Fits()
		return &q, nil
	case isLate(err) && p.page == 1:
		a.leave([]store.Query{q})
		l.hold(q.Key, l.Budgets.Turn, err)
		return nil, nil
	case isLate(err):
		l.loads.limit = time.Since(asked)
		p.page = max(1, p.page/4)
		return &q, nil
	case isUnreadable(err):
		delete(l.loads.partly, q.Key)
		a.breaks(q.Key, err)
		return nil, nil
	case err != nil:
		return nil, err
	}
	if a.takePage(q.Key, p, histories[0], time.Since(asked)) {
		return &q, nil
	}
	return nil, nil
}

// takePage adds a page to an aggregate, and tells whether there may be another.
func (a *attempt) takePage(key store.Key, p *partial, h store.History, took time.Duration) (more bool) {
	l := a.lane
	if h.Snapshot != nil {
		p.snapshot = h.Snapshot.Sequence
	}
	if len(h.Events) < p.page {
		delete(l.loads.partly, key)
		a.take(key, p.instance, h)
		return false
	}
	l.doing.turn(Deciding, key, "", "")
	l.hand = hand{key: key}
	if err := fold(p.instance, h); err != nil {
		delete(l.loads.partly, key)
		a.breaks(key, err)
		return false
	}
	if took < l.loads.limit/2 {
		p.page *= 2
	}
	return true
}

// corrupted are what Postgres says of a damaged page of a table or an index.
var corrupted = []string{"XX001", "XX002"}

// isUnreadable tells whether the store cannot show what it has: a value that is too large, or not
// what it should be.
func isUnreadable(err error) bool {
	server, is := errors.AsType[*pgconn.PgError](err)
	return is && (slices.Contains(corrupted, server.Code) || strings.HasPrefix(server.Code, "22") || strings.HasPrefix(server.Code, "54"))
}

// Replay reads an aggregate as it was at a sequence, or as it is in the store for the sequence 0.
// The result is at a lower sequence if the aggregate has not come that far.
func (m *Memory) Replay(ctx context.Context, s Store, typ aggregate.Type, partition int, id string, sequence int64,
) (aggregate.Instance, error) {
	instance := typ.New(id)
	if err := m.replayOn(ctx, s, typ, partition, instance, sequence); err != nil {
		return nil, err
	}
	return instance, nil
}

// replayOn brings an aggregate on to a sequence, page by page, so that no more than a page is in
// memory.
func (m *Memory) replayOn(ctx context.Context, s Store, typ aggregate.Type, partition int, instance aggregate.Instance,
	sequence int64,
) error {
	for page := replayPage; ; {
		read, err := m.replayPage(ctx, s, typ, partition, instance, sequence, page)
		large, isLarge := errors.AsType[*store.LargeError](err)
		switch {
		case isLarge:
			page = large.Fits()
		case err != nil:
			return err
		case read < page:
			return nil
		}
	}
}

// replayPage adds a page of events to an aggregate, and returns how many they are.
func (m *Memory) replayPage(ctx context.Context, s Store, typ aggregate.Type, partition int, instance aggregate.Instance,
	sequence int64, page int,
) (read int, err error) {
	done, err := m.folding.reading(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	histories, err := s.Load(ctx, partition, []store.Query{{Key: store.Key{Type: typ.Name(), ID: instance.ID()}, UpTo: sequence,
		Above: instance.Sequence(), Most: page, SnapshotVersion: typ.SnapshotVersion(),
		Restore: instance.Restore, Each: instance.Prepare}})
	if err != nil {
		return 0, fmt.Errorf("replay %s %s: %w", typ.Name(), instance.ID(), err)
	}
	return len(histories[0].Events), fold(instance, histories[0])
}

// replayPage is how many events a replay beside the lanes reads at a time.
const replayPage = 5000

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

// loads is a lane's state of loading: how many aggregates it loads at once, and the loaded parts of
// aggregates that are too long for one exchange.
type loads struct {
	atOnce int
	limit  time.Duration // how long the last late exchange took
	partly map[store.Key]*partial
	owed   bool // the last turn loaded no page, because other tasks were ready
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

// late halves how many aggregates are loaded at once.
func (l *loads) late(n int, took time.Duration) { l.atOnce, l.limit = max(1, n/2), took }

// inTime raises how many aggregates are loaded at once, if n took less than half the time of the
// last late exchange.
func (l *loads) inTime(n int, took time.Duration, most int) {
	if l.limit == 0 || took < l.limit/2 {
		l.atOnce = min(max(l.atOnce, 2*n), most)
	}
}

// begin starts to load an aggregate page by page.
func (l *loads) begin(key store.Key, instance aggregate.Instance, page int) {
	l.partly[key] = &partial{instance: instance, page: page}
}

// forget drops the loaded parts of aggregates, because others may have written.
func (l *loads) forget() { clear(l.partly) }

// loadPages reads pages of aggregates in turn. It reads at least one page of each, and more while
// the turn lasts and no other task waits.
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

// loadPage reads a page of an aggregate, and returns the query if there is more to read. If not
// even one event can be read in time, the aggregate is held while others go on.
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

// corrupted are the SQLSTATEs for a damaged page of a table or an index.
var corrupted = []string{"XX001", "XX002"}

// isUnreadable tells whether the store cannot return its data, because a page is damaged or a value
// is too large or invalid.
func isUnreadable(err error) bool {
	server, is := errors.AsType[*pgconn.PgError](err)
	return is && (slices.Contains(corrupted, server.Code) || strings.HasPrefix(server.Code, "22") || strings.HasPrefix(server.Code, "54"))
}

// Replay returns an aggregate as it was at a sequence. For sequence 0 it returns the aggregate as
// it is in the store. The result is at a lower sequence if the aggregate has not reached the given
// one.
func (m *Memory) Replay(ctx context.Context, s Store, typ aggregate.Type, partition int, id string, sequence int64,
) (aggregate.Instance, error) {
	instance := typ.New(id)
	if err := m.replayOn(ctx, s, typ, partition, instance, sequence); err != nil {
		return nil, err
	}
	return instance, nil
}

// replayOn replays an aggregate up to a sequence. It reads page by page, so that at most a page is
// in memory.
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

// replayPage adds a page of events to an aggregate, and returns how many events it read.
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

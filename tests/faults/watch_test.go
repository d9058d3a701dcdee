package faults

import (
	"context"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/store"
)

// watchers observe while faults happen. They are a subscriber that keeps its checkpoint in its own
// transaction, and a reader that compares a read model with the log.
type watchers struct {
	*world
	stop    context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex
	found   []violation
}

const subscriberTables = `
	create table if not exists seen (partition int, position bigint);
	create table if not exists seen_up_to (partition int primary key, position bigint not null)`

func startWatchers(w *world) (*watchers, error) {
	ctx, stop := context.WithCancel(w.Context())
	s := &watchers{world: w, stop: stop}
	if _, err := w.pool.Exec(ctx, subscriberTables); err != nil {
		stop()
		return nil, err
	}
	s.running.Go(func() {
		for ctx.Err() == nil { // the subscription is refused while the stream is away
			_ = eventstream.Subscribe(ctx, w.nats, eventstream.Subscription{Name: "seen", Namespace: string(w.namespace),
				Logger: slog.New(slog.DiscardHandler)}, s.see)
			pause(ctx, 100*ms)
		}
	})
	s.running.Go(func() {
		for ctx.Err() == nil {
			s.compare(ctx)
			pause(ctx, 500*ms)
		}
	})
	return s, nil
}

func (s *watchers) finish() {
	s.stop()
	s.running.Wait()
}

// see takes each event once, even if events come again, and takes none out of turn.
func (s *watchers) see(ctx context.Context, e store.Event) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `insert into seen_up_to values ($1, $2) on conflict (partition) do update set position = excluded.position
			where seen_up_to.position < excluded.position`, e.Partition, e.Position)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, "insert into seen values ($1, $2)", e.Partition, e.Position)
		return err
	})
}

// compare reads the log and a read model at the same instant.
func (s *watchers) compare(ctx context.Context) {
	var wrong int
	err := s.pool.QueryRow(ctx, `select count(*) from (select distinct on (aggregate_id) aggregate_id, type, body
			from faults.events where aggregate_type = 'declaration' order by aggregate_id, sequence desc) e
		full join faults_read.declaration_status s on s.id = e.aggregate_id
		where s.amount_cents is distinct from (e.body->>'amount_cents')::bigint or s.status is distinct from
			case e.type when 'approved' then 'submitted' when 'final_approved' then 'approved' when 'payment_handled' then 'paid' else e.type end`).Scan(&wrong)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		return // Postgres is away
	}
	if wrong > 0 {
		s.found = append(s.found, violation{modelsAgree, "while faults went on, declaration_status differed from the log"})
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/projections"
	"github.com/maestro-es/maestro/store"
)

// All partitions count in the same rows. As in a log of resources that people work on, the key is a
// resource and one of its tasks.
const (
	sharedModel     = "shared"
	sharedResources = 150
	sharedTasks     = 25
)

const sharedSetup = `create table if not exists shared (resource int, task int, n bigint not null, primary key (resource, task))`

// sharedRow counts an event under a resource and a task. Both follow from the aggregate's number.
// The rows of a batch come in any order.
func sharedRow(into *pgx.Batch, e addedEvent) error {
	n, err := strconv.Atoi(e.Aggregate.ID)
	if err != nil {
		return err
	}
	key := int(uint32(n)*2654435761>>8) % (sharedResources * sharedTasks)
	into.Queue(`insert into shared values ($1, $2, 1) on conflict (resource, task) do update set n = shared.n + 1`,
		key/sharedTasks, key%sharedTasks)
	return nil
}

func sharedCounter() *projections.Projection {
	return projections.Define(sharedModel, projections.Queue(tallies, sharedRow), projections.Setup(sharedSetup))
}

// sharing is a side of the experiment.
type sharing struct {
	name                          string
	partitions, workers, commands int
}

// sharedRows is the experiment shared.
func sharedRows(ctx context.Context, l *lab) (r result, err error) {
	n := l.scaled(500_000)
	sides := []sharing{
		{"a single writer: 1 partition, 1 worker", 1, 1, n},
		{"16 partitions, 1 worker", 16, 1, n},
		{"16 partitions, 3 workers", 16, 3, n},
	}
	rates, slowest := make([][]float64, len(sides)), make([]float64, len(sides))
	for round := range l.rounds {
		for i, side := range sides {
			rate, least, err := l.share(ctx, side)
			if err != nil {
				return r, fmt.Errorf("%s: %w", side.name, err)
			}
			l.progressf("round %d of %d, %s: %s commands/s, %s in the slowest tenth", round+1, l.rounds, side.name, count(rate), count(least))
			if rates[i] = append(rates[i], rate); round == 0 || least < slowest[i] {
				slowest[i] = least
			}
		}
	}
	r.notef("%s commands on 10,000 aggregates. A read model counts each event in one of %s rows with `insert .. on conflict do update`: all "+
		"partitions write all rows. Once two commits have been in each other's way, they go one at a time. The slowest tenth is the "+
		"lowest rate of a tenth of the commands, in any round: a collapse would be seen there.",
		count(float64(n)), count(sharedResources*sharedTasks))
	t := table{head: []string{"", "commands/s", "of a single writer", "goal", "in the slowest tenth"}}
	for i, side := range sides {
		goal := "≥ 0.50"
		if i == 0 {
			goal = ""
		}
		t.add(side.name, count(median(rates[i])), ratio(median(rates[i]), median(rates[0])), goal, count(slowest[i]))
	}
	r.tables = append(r.tables, t)
	return r, nil
}

// share makes workers drain commands whose events are all counted in the same rows. It returns
// commands per second, for all commands and for the slowest tenth of them.
func (l *lab) share(ctx context.Context, s sharing) (rate, slowest float64, err error) {
	ns := l.namespace()
	if rate, slowest, err = l.shareIn(ctx, ns, s); err == nil {
		err = l.checkShared(ctx, ns, s.commands)
	}
	return rate, slowest, errors.Join(err, l.drop(ctx, ns))
}

func (l *lab) shareIn(ctx context.Context, ns wire.Namespace, s sharing) (rate, slowest float64, err error) {
	d := l.standard()
	d.commands, d.partitions = s.commands, s.partitions
	if err := l.fill(ctx, ns, "c", d); err != nil {
		return 0, 0, fmt.Errorf("store the commands: %w", err)
	}
	stream, err := eventstream.Ensure(ctx, l.js, ns, d.stream)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	ctx, stop, err := l.startSharing(ctx, ns, s)
	defer stop()
	if err != nil {
		return 0, 0, err
	}
	paces := tenths{of: d.commands, at: began}
	if err := awaitEvents(ctx, stream, ns, d.commands, paces.see); err != nil {
		return 0, 0, err
	}
	return float64(d.commands) / time.Since(began).Seconds(), paces.slowest, nil
}

// startSharing starts the workers. The context ends when one of them ends. stop ends all workers
// that were started.
func (l *lab) startSharing(ctx context.Context, ns wire.Namespace, s sharing) (during context.Context, stop func(), err error) {
	stop = func() {}
	for range s.workers {
		w, err := l.startWorker(ctx, workConfig{Namespace: ns, Partitions: s.partitions, Shared: true}, sampled)
		if err != nil {
			return ctx, stop, err
		}
		others := stop
		var cancel context.CancelFunc
		ctx, cancel = w.during(ctx) //nolint:fatcontext // one for each worker
		stop = func() { cancel(); w.stop(); others() }
	}
	return ctx, stop, nil
}

// checkShared checks that each event was counted once.
func (l *lab) checkShared(ctx context.Context, ns wire.Namespace, commands int) error {
	var counted, rows int
	table := pgx.Identifier{store.ReadSchema(string(ns)), sharedModel}.Sanitize()
	err := l.pool.QueryRow(ctx, `select coalesce(sum(n), 0), count(*) from `+table).Scan(&counted, &rows)
	if err == nil && counted != commands {
		err = fmt.Errorf("the read model has counted %d events of %d, in %d rows", counted, commands, rows)
	}
	return err
}

// tenths finds the slowest tenth of a number of events.
type tenths struct {
	of, seen int
	at       time.Time // when that many events had been seen
	slowest  float64   // events per second
}

func (t *tenths) see(events int) error {
	if events < t.seen {
		return errors.New("the event stream has lost events")
	}
	if now := time.Now(); events >= t.seen+t.of/10 || events == t.of && t.seen == 0 {
		pace := float64(events-t.seen) / now.Sub(t.at).Seconds()
		if t.slowest == 0 || pace < t.slowest {
			t.slowest = pace
		}
		t.seen, t.at = events, now
	}
	return nil
}

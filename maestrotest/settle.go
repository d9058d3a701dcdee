package maestrotest

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/wire"
)

// Settle waits until every durable command that was stored before the call has its outcome, and
// every event committed by then is in the event stream. It fails the test if that takes more than
// 30 s.
func (w *Worker) Settle() {
	w.t.Helper()
	js, err := jetstream.New(w.NATS)
	if err != nil {
		w.t.Fatal(err)
	}
	ns := wire.Namespace(w.namespace)
	w.wait("commands to be handled", func(ctx context.Context) error {
		return w.compare(ctx, js, ns.CommandStream(), ns.CommandsOf, func(p progress, last *jetstream.RawStreamMsg) error {
			if last != nil && last.Sequence > uint64(p.cursor) {
				return fmt.Errorf("partition %d has handled %d of %d", p.partition, p.cursor, last.Sequence)
			}
			return nil
		})
	})
	w.wait("events to be published", func(ctx context.Context) error {
		return w.compare(ctx, js, ns.EventStream(), ns.EventsOf, func(p progress, last *jetstream.RawStreamMsg) error {
			published := int64(0)
			if last != nil {
				published, _ = strconv.ParseInt(last.Header.Get(wire.HeaderEventPosition), 10, 64) // 0 if broken
			}
			if published < p.position {
				return fmt.Errorf("partition %d has published %d of %d", p.partition, published, p.position)
			}
			return nil
		})
	})
}

// progress is how far a partition has come.
type progress struct {
	partition        int
	cursor, position int64
}

// compare calls check for each partition with its progress and its last message in a stream, or nil
// if there is none.
func (w *Worker) compare(ctx context.Context, js jetstream.JetStream, name string, of func(partition int) string,
	check func(progress, *jetstream.RawStreamMsg) error,
) error {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("look at the stream %s: %w", name, err)
	}
	partitions, err := w.progress(ctx)
	if err != nil {
		return err
	}
	for _, p := range partitions {
		last, err := stream.GetLastMsgForSubject(ctx, of(p.partition))
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return fmt.Errorf("last message of partition %d: %w", p.partition, err)
		}
		if err := check(p, last); err != nil {
			return err
		}
	}
	return nil
}

func (w *Worker) progress(ctx context.Context) ([]progress, error) {
	rows, _ := w.Database.Query(ctx, "select partition, command_cursor, position from "+
		pgx.Identifier{w.namespace, "partitions"}.Sanitize()) // the error shows when the rows are read
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p progress, err error) {
		return p, row.Scan(&p.partition, &p.cursor, &p.position)
	})
}

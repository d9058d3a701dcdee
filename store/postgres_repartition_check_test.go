package store_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

func list[T any](r *repartitioned, sql string, args ...any) []T {
	r.Helper()
	rows, err := r.pool.Query(context.Background(), strings.ReplaceAll(sql, "maestro.", r.schema), args...)
	require.NoError(r, err)
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(r, err)
	return values
}

func (r *repartitioned) epochs() []int64 {
	r.Helper()
	return list[int64](r, `select epoch from maestro.partitions order by partition`)
}

func (r *repartitioned) position(partition int) int64 {
	r.Helper()
	return list[int64](r, `select position from maestro.partitions where partition = $1`, partition)[0]
}

func (r *repartitioned) partitions() int {
	r.Helper()
	return list[int](r, `select partitions::int from maestro.settings`)[0]
}

func (r *repartitioned) length(key store.Key) int64 {
	r.Helper()
	return list[int64](r, `select count(*) from maestro.events where aggregate_type = $1 and aggregate_id = $2`, key.Type, key.ID)[0]
}

// contents returns all rows of all data tables without partition and position, in a fixed order.
func (r *repartitioned) contents() []string {
	r.Helper()
	var tables []string
	for _, table := range []string{"log", "receipts", "snapshots", "dead_letters"} {
		tables = append(tables, `select '`+table+` ' || (to_jsonb(t) - 'partition' - 'position')::text as line from maestro.`+table+` t`)
	}
	return list[string](r, `select line from (`+strings.Join(tables, " union all ")+`) l order by line collate "C"`)
}

// placed is an event with its place.
type placed struct {
	Key       store.Key
	Sequence  int64
	At        time.Time
	Partition int
	Position  int64
}

// order returns the log, partition by partition.
func (r *repartitioned) order(partitions int) (log [][]placed) {
	r.Helper()
	rows, err := r.pool.Query(r.Context(), strings.ReplaceAll(`select aggregate_type, aggregate_id, sequence, recorded_at, partition, position
		from maestro.events order by partition, position`, "maestro.", r.schema))
	require.NoError(r, err)
	log = make([][]placed, partitions)
	var e placed
	_, err = pgx.ForEachRow(rows, []any{&e.Key.Type, &e.Key.ID, &e.Sequence, &e.At, &e.Partition, &e.Position}, func() error {
		log[e.Partition] = append(log[e.Partition], e)
		return nil
	})
	require.NoError(r, err)
	return log
}

// sorted returns the expected places of a log's events among n partitions.
func (r *repartitioned) sorted(from [][]placed, n int) (log [][]placed) {
	all := slices.Concat(from...)
	slices.SortFunc(all, func(a, b placed) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Position, b.Position))
	})
	log = make([][]placed, n)
	for _, e := range all {
		p := wire.Partition(e.Key.Type, e.Key.ID, n)
		e.Partition, e.Position = p, int64(len(log[p]))+1
		log[p] = append(log[p], e)
	}
	return log
}

// checkPositions checks that events are in the partition of their aggregate, that positions have
// no gap, and that sequences rise.
func (r *repartitioned) checkPositions(n int) {
	r.Helper()
	sequences := map[store.Key]int64{}
	for p, events := range r.order(n) {
		for i, e := range events {
			require.Equal(r, wire.Partition(e.Key.Type, e.Key.ID, n), p)
			require.EqualValues(r, i+1, e.Position)
			sequences[e.Key]++
			require.Equal(r, sequences[e.Key], e.Sequence)
		}
		require.EqualValues(r, len(events), r.position(p))
	}
	require.NotEmpty(r, sequences)
}

// checkPlaces checks that the rows of all tables are where n partitions require them to be.
func (r *repartitioned) checkPlaces(n int) {
	r.Helper()
	r.checkPositions(n)
	require.Equal(r, n, r.partitions())
	require.Len(r, r.epochs(), n)
	type row struct {
		Type, ID  string
		Partition int
	}
	rows, err := r.pool.Query(r.Context(), strings.ReplaceAll(`select aggregate_type, aggregate_id, partition from maestro.receipts
		union all select aggregate_type, aggregate_id, partition from maestro.snapshots
		union all select split_part(subject, '.', 4) collate "C", split_part(subject, '.', 5), partition from maestro.dead_letters`, "maestro.", r.schema))
	require.NoError(r, err)
	places, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	require.NoError(r, err)
	require.NotEmpty(r, places)
	for _, place := range places {
		require.Equal(r, wire.Partition(place.Type, place.ID, n), place.Partition, "%v", place)
	}
	for what, wrong := range map[string]string{
		"receipts whose position is not that of their last event": `select count(*) from maestro.receipts r
			left join maestro.events e using (partition, position) where r.events > 0
				and (e.aggregate_type, e.aggregate_id, e.sequence) is distinct from (r.aggregate_type, r.aggregate_id, r.sequence)`,
		"receipts without events whose position was not the partition's then": `select count(*) from maestro.receipts r
			where r.status = 'rejected' and r.position <> (select count(*) from maestro.events e
				where e.partition = r.partition and e.recorded_at <= r.at)`,
		"events whose time goes back": `select count(*) from maestro.events a join maestro.events b
			on b.partition = a.partition and b.position = a.position + 1 and b.recorded_at < a.recorded_at`,
		"partitions that are not as new": `select count(*) from maestro.partitions p where owner <> '' or command_cursor <> 0
			or published_position <> 0 or num_nulls(command_stream, cursor_time, event_stream) < 3 or recorded_at is distinct from
			(select max(recorded_at) from maestro.events e where e.partition = p.partition)`,
		"marks of a change that is under way": `select count(*) from maestro.settings where maintenance <> ''`,
	} {
		require.Zero(r, list[int64](r, wrong)[0], what)
	}
}

// killer cancels a context when a given number of statements has begun, or a moment later.
type killer struct {
	delay  time.Duration
	mu     sync.Mutex
	left   int
	cancel context.CancelFunc
}

func (k *killer) arm(statements int, cancel context.CancelFunc) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.left, k.cancel = statements, cancel
}

// disarm tells whether the killer has cancelled the context.
func (k *killer) disarm() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cancel = nil
	return k.left <= 0
}

func (k *killer) count() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left--; k.left != 0 || k.cancel == nil {
		return
	}
	if k.delay == 0 {
		k.cancel()
	} else {
		time.AfterFunc(k.delay, k.cancel)
	}
}

func (k *killer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	k.count()
	return ctx
}

func (*killer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (k *killer) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceCopyFromStartData) context.Context {
	k.count()
	return ctx
}

func (*killer) TraceCopyFromEnd(context.Context, *pgx.Conn, pgx.TraceCopyFromEndData) {}

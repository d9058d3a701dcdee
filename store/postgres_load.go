package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/maestro-es/maestro/aggregate"
)

// loadStatement reads the histories that queries ask for. "offset 0" and "order by" keep the
// planner from merging the inner queries into the outer one. Postgres therefore looks each
// aggregate up by its key, whatever the planner knows about the tables.
const loadStatement = `select q.n, h.sequence, h.type, h.version, h.body
	from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::integer[], $7::bigint[]) with ordinality
		as q (aggregate_type, aggregate_id, above, up_to, snapshot_version, most, n)
	left join lateral (
		select sequence, version, body from maestro.snapshots s
		where s.partition = $1 and s.aggregate_type = q.aggregate_type and s.aggregate_id = q.aggregate_id
			and s.version = q.snapshot_version and s.sequence <= q.up_to
		offset 0
	) s on q.above = 0
	cross join lateral (
		select s.sequence, null as type, s.version, s.body where s.sequence is not null
		union all (
			select e.sequence, e.type, e.version, e.body from maestro.log e
			where e.partition = $1 and e.aggregate_type = q.aggregate_type and e.aggregate_id = q.aggregate_id
				and e.sequence > coalesce(s.sequence, q.above) and e.sequence <= q.up_to
			order by e.sequence limit nullif(q.most, 0)
		)
	) h`

// Load reads the histories of aggregates as of one moment.
func (s *Postgres) Load(ctx context.Context, partition int, queries []Query) ([]History, error) {
	if err := checkPartition(partition, s.partitions); err != nil {
		return nil, err
	}
	rows, _ := s.pool.Query(ctx, s.sql.load, queryArrays(partition, queries)...) // its error is that of the rows
	histories, err := readHistories(rows, queries)
	if large, is := errors.AsType[*LargeError](err); is {
		return nil, large
	}
	if err != nil {
		return nil, fmt.Errorf("load %d aggregates of partition %d: %w", len(queries), partition, own(err))
	}
	return restore(queries, histories, func(whole []Query) ([]History, error) { return s.Load(ctx, partition, whole) })
}

func queryArrays(partition int, queries []Query) []any {
	n := len(queries)
	types, ids := make([]string, n), make([]string, n)
	above, upTo, most, versions := make([]int64, n), make([]int64, n), make([]int64, n), make([]int32, n)
	for i, q := range queries {
		types[i], ids[i] = q.Type, q.ID
		above[i], upTo[i], most[i], versions[i] = q.Above, q.UpTo, int64(q.Most), int32(q.SnapshotVersion)
		if q.UpTo == 0 {
			upTo[i] = math.MaxInt64
		}
	}
	return []any{partition, types, ids, above, upTo, versions, most}
}

// readHistories reads rows of five columns: the number of the query, a sequence, the type of an
// event (null for a snapshot), a version and a body.
func readHistories(rows pgx.Rows, queries []Query) ([]History, error) {
	defer rows.Close()
	histories := make([]History, len(queries))
	var (
		query, sequence int64
		version         int
		name            = interned{known: map[string]string{}}
		body            arena
		read            size
		row             = []any{&query, &sequence, &name, &version, &body}
	)
	for rows.Next() {
		if err := rows.Scan(row...); err != nil {
			return nil, err
		}
		if err := read.add(queries, name.null, len(body.last)); err != nil {
			return nil, err
		}
		h := &histories[query-1]
		if name.null {
			h.Snapshot = &aggregate.Snapshot{Sequence: sequence, Version: version, Body: body.last}
		} else {
			h.add(queries[query-1], aggregate.Recorded{Sequence: sequence, Type: name.last, Version: version, Body: body.last})
		}
	}
	for _, h := range histories {
		sortBySequence(h.Events)
	}
	return histories, rows.Err()
}

// sortBySequence sorts the events of an aggregate. Usually they are sorted already, because
// Postgres reads them by their index. SQL does not promise the order of a union, though, and an
// order by would sort every body once more.
func sortBySequence(events []aggregate.Recorded) {
	bySequence := func(a, b aggregate.Recorded) int { return cmp.Compare(a.Sequence, b.Sequence) }
	if !slices.IsSortedFunc(events, bySequence) {
		slices.SortFunc(events, bySequence)
	}
}

// interned scans texts with few different values, and shares one copy of each value.
type interned struct {
	known map[string]string
	last  string
	null  bool
}

// ScanBytes implements pgtype.BytesScanner.
func (t *interned) ScanBytes(src []byte) error {
	t.null = src == nil
	known, ok := t.known[string(src)]
	if !ok {
		known = string(src)
		t.known[known] = known
	}
	t.last = known
	return nil
}

// arena scans values into pieces of memory. Many values share a piece.
type arena struct {
	chunk, last []byte
}

// ScanBytes implements pgtype.BytesScanner.
func (a *arena) ScanBytes(src []byte) error {
	if len(src) > cap(a.chunk)-len(a.chunk) {
		a.chunk = make([]byte, 0, max(len(src), min(2*cap(a.chunk), 64<<10), 512))
	}
	start := len(a.chunk)
	a.chunk = append(a.chunk, src...)
	a.last = a.chunk[start:len(a.chunk):len(a.chunk)]
	return nil
}

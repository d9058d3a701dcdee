package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// endsStatement reads where the histories of aggregates end, in their order. It reads nothing where
// the log is not at the owner's place: the fence then refuses the commit, and says why.
const endsStatement = `select coalesce((select l.sequence from maestro.log l
		where l.partition = $1 and l.aggregate_type = q.aggregate_type and l.aggregate_id = q.aggregate_id
		order by l.sequence desc limit 1), 0)
	from unnest($2::text[], $3::text[]) with ordinality as q (aggregate_type, aggregate_id, n)
	where exists (select from maestro.partitions where partition = $1 and epoch = $4 and layout = $5 and position = $6)
	order by q.n`

// checkEnds refuses a commit that leaves a gap in the history of an aggregate. No constraint can
// see a gap, and to look costs an exchange, so an owner that knows where histories end says so in
// Known. What is read here stays true until the commit: the fence lets it pass at this position
// alone. A sequence that is taken is left to the table's unique key.
func (s *Postgres) checkEnds(ctx context.Context, c *Commit) error {
	if c.Known {
		return nil
	}
	first := c.firstEvents()
	if len(first) == 0 {
		return nil
	}
	types, ids := make([]string, len(first)), make([]string, len(first))
	for i, e := range first {
		types[i], ids[i] = e.Aggregate.Type, e.Aggregate.ID
	}
	rows, _ := s.pool.Query(ctx, s.sql.ends, c.Partition, types, ids, c.Epoch, c.Layout, c.Position) // its error is that of the rows
	ends, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("commit: %w", own(err))
	}
	for i, end := range ends {
		if first[i].Sequence > end+1 {
			return sequenceError(first[i], end+1)
		}
	}
	return nil
}

// firstEvents are the first event of each aggregate that is not its first ever.
func (c *Commit) firstEvents() (first []*Event) {
	seen := make(map[Key]bool, len(c.Events))
	for i := range c.Events {
		e := &c.Events[i]
		if !seen[e.Aggregate] && e.Sequence > 1 {
			first = append(first, e)
		}
		seen[e.Aggregate] = true
	}
	return first
}

func sequenceError(e *Event, want int64) error {
	return fmt.Errorf("%w: the next event of %s %s has sequence %d, not %d", ErrConflict,
		e.Aggregate.Type, e.Aggregate.ID, want, e.Sequence)
}

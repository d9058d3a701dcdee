package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// endsStatement reads where the histories of aggregates end, in the order of its arguments. It
// returns no rows if the log is not where the owner believes it to be. The fence then refuses the
// commit and says why.
const endsStatement = `select coalesce((select l.sequence from maestro.log l
		where l.partition = $1 and l.aggregate_type = q.aggregate_type and l.aggregate_id = q.aggregate_id
		order by l.sequence desc limit 1), 0)
	from unnest($2::text[], $3::text[]) with ordinality as q (aggregate_type, aggregate_id, n)
	where exists (select from maestro.partitions where partition = $1 and epoch = $4 and layout = $5 and position = $6)
	order by q.n`

// checkEnds refuses a commit that would leave a gap in the history of an aggregate, because no
// constraint can see a gap. This check costs an exchange. An owner that knows where the histories
// end sets Known to avoid it. The result stays true until the commit, because the fence accepts
// the commit only at this position. The table's unique key refuses a sequence that is taken.
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

// firstEvents returns the commit's first event of each aggregate, except where that is the
// aggregate's first event ever.
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

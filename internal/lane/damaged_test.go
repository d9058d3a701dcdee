package lane_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

// damaged is a store in which one aggregate lies on a damaged page.
type damaged struct {
	store.Store
	id, state string
}

func (d *damaged) Load(ctx context.Context, partition int, queries []store.Query) ([]store.History, error) {
	if slices.ContainsFunc(queries, func(q store.Query) bool { return q.ID == d.id }) {
		return nil, &store.Fault{Origin: store.OwnSQL, Err: &pgconn.PgError{Severity: "ERROR", Code: d.state, Message: "invalid page in block 7"}}
	}
	return d.Store.Load(ctx, partition, queries)
}

// An aggregate that cannot be loaded does not affect others.
func TestADamagedPageConcernsItsAggregateOnly(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"XX001", "XX002", "54000", "22021"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, &damaged{store.NewMemory(1), "3", state}).run()
			var commands []*lane.Command
			for i := range 8 {
				commands = append(commands, add(fmt.Sprint(i), fmt.Sprint(i), 1))
			}
			for i, result := range r.batch(commands...) {
				if i == 3 {
					require.Equal(t, protocol.CodeUnreadableAggregate, result.Outcome.Error.Code)
				} else {
					require.Equal(t, "committed", status(result.Outcome))
				}
			}
		})
	}
}

package maestro_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/projections"
	"github.com/maestro-es/maestro/store"
)

func ignore[E any](context.Context, pgx.Tx, projections.Event[E]) error { return nil }

func TestAllMistakesOfAConfigurationAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	unknown := aggregate.Define[Account]("other", aggregate.Handles[Deposit]("deposit"), aggregate.Emits[Deposited]("deposited"))
	_, err := maestro.New(t.Context(), maestro.Config{Namespace: "Shop!", Partitions: -1, MaxBatch: -1,
		Aggregates: []aggregate.Type{account, account, nil, aggregate.Define[Account]("?")},
		Projections: []*projections.Projection{
			projections.Define("Bad name", projections.Each(account, ignore[Deposited])),
			projections.Define("elsewhere", projections.Each(unknown, ignore[Deposited])), nil}})
	require.Error(t, err)
	for _, want := range []string{
		`namespace "Shop!"`,
		"Config.NATS is missing: connect with nats.Connect",
		"exactly one of Config.Database and Config.Store is needed",
		"Config.Partitions is -1: expected 1 to",
		"must not be negative",
		`aggregate type "account" is given twice`,
		"Config.Aggregates[2] is nil",
		`aggregate name "?"`,
		`projection name "Bad name"`,
		`projection "elsewhere" takes no event of Config.Aggregates`,
		"Config.Projections[2] is nil",
	} {
		require.ErrorContains(t, err, want)
	}
	require.Len(t, strings.Split(err.Error(), "\n"), 12, "%v", err)
}

func TestAnEmptyConfigurationSaysWhatIsNeeded(t *testing.T) {
	t.Parallel()
	_, err := maestro.New(t.Context(), maestro.Config{})
	require.EqualError(t, err, "Config.NATS is missing: connect with nats.Connect\n"+
		"exactly one of Config.Database and Config.Store is needed\n"+
		"Config.Aggregates is empty: define one with aggregate.Define")
}

func TestAConfigurationNeedsOneStore(t *testing.T) {
	t.Parallel()
	nc := localnats.ForTest(t).Connect(t)
	c := maestro.Config{NATS: nc, Aggregates: []aggregate.Type{account}, Store: store.NewMemory(2)}
	w, err := maestro.New(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, "maestro", w.Namespace())
	require.Equal(t, 2, w.Partitions())
	c.Store = nil
	_, err = maestro.New(t.Context(), c)
	require.EqualError(t, err, "exactly one of Config.Database and Config.Store is needed")
}

// A log in memory has no transactions and no SQL for projections.
func TestProjectionsAreLeftOutOfALogInMemory(t *testing.T) {
	t.Parallel()
	nc := localnats.ForTest(t).Connect(t)
	refusing := projections.Define("refusing", projections.Queue(account,
		func(*pgx.Batch, projections.Event[Deposited]) error { return errors.New("never") }))
	w, err := maestro.New(t.Context(), maestro.Config{NATS: nc, Aggregates: []aggregate.Type{account}, Store: store.NewMemory(1),
		Projections: []*projections.Projection{refusing}})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	require.Eventually(t, func() bool { return w.Ready(ctx) == nil }, time.Minute, 10*time.Millisecond)
	answer, err := nc.Request("maestro.do.account.1.deposit", []byte(`{"Amount":1}`), time.Minute)
	require.NoError(t, err)
	require.Contains(t, string(answer.Data), `"status":"committed"`)
	stop()
	require.NoError(t, <-ended)
}

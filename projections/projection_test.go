package projections_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/projections"
	"github.com/maestro-es/maestro/store"
)

type account struct{ Cents int64 }

type open struct{}

func (open) Decide(aggregate.Root[account]) ([]aggregate.Event[account], error) { return nil, nil }

type (
	opened   struct{}
	paidIn   struct{ Cents int64 }
	paidOut  struct{ Cents int64 }
	stranger struct{}
)

func (opened) Evolve(a account) account    { return a }
func (e paidIn) Evolve(a account) account  { return account{a.Cents + e.Cents} }
func (e paidOut) Evolve(a account) account { return account{a.Cents - e.Cents} }
func (stranger) Evolve(a account) account  { return a }

// payment is the interface that two of the events share.
type payment interface {
	aggregate.Event[account]
	amount() int64
}

func (e paidIn) amount() int64  { return e.Cents }
func (e paidOut) amount() int64 { return -e.Cents }

var accounts = aggregate.Define("account", aggregate.Handles[open]("open"), aggregate.Emits[opened]("opened"),
	aggregate.Emits[paidIn]("paid_in"), aggregate.Emits[paidOut]("paid_out"))

// keeping returns a projection that keeps the events that it is given, and returns an error.
func keeping[E aggregate.Event[account]](into *[]projections.Event[E], err error) *projections.Projection {
	return projections.Define("kept", projections.Each(accounts, func(_ context.Context, _ pgx.Tx, e projections.Event[E]) error {
		*into = append(*into, e)
		return err
	}))
}

func wants(p *projections.Projection) (events []string) {
	for _, event := range accounts.EventNames() {
		if p.Wants("account", event) {
			events = append(events, event)
		}
	}
	return events
}

func event(value any) []store.Event {
	return []store.Event{{Partition: 3, Position: 7, Aggregate: store.Key{Type: "account", ID: "1"}, Value: value,
		Recorded: aggregate.Recorded{Type: "paid_in"}}}
}

func TestAProjectionWantsTheEventsOfItsType(t *testing.T) {
	t.Parallel()
	one, some, all := keeping[paidIn](nil, nil), keeping[payment](nil, nil), keeping[aggregate.Event[account]](nil, nil)
	for p, want := range map[*projections.Projection][]string{
		one: {"paid_in"}, some: {"paid_in", "paid_out"}, all: {"opened", "paid_in", "paid_out"},
	} {
		require.NoError(t, p.Err())
		require.Equal(t, want, wants(p))
		require.False(t, p.Wants("counter", "paid_in"), "an event of another aggregate")
		require.False(t, p.Wants("account", "closed"), "an event that does not exist")
	}
}

func TestAProjectionGetsTheEventAsTheUsersType(t *testing.T) {
	t.Parallel()
	var one []projections.Event[paidIn]
	require.NoError(t, keeping(&one, nil).Project(t.Context(), nil, event(paidIn{Cents: 5})))
	require.Equal(t, []projections.Event[paidIn]{{Event: event(paidIn{Cents: 5})[0], Data: paidIn{Cents: 5}}}, one)

	var some []projections.Event[payment]
	require.NoError(t, keeping(&some, nil).Project(t.Context(), nil, event(paidOut{Cents: 5})))
	require.EqualValues(t, -5, some[0].Data.amount())
}

func TestAnEventOfAnotherTypeIsAnError(t *testing.T) {
	t.Parallel()
	var kept []projections.Event[paidIn]
	for _, value := range []any{nil, paidOut{}, &paidIn{}} {
		require.ErrorContains(t, keeping(&kept, nil).Project(t.Context(), nil, event(value)), "has the Go type")
	}
	require.Empty(t, kept)
}

func TestMistakesAreReportedByErr(t *testing.T) {
	t.Parallel()
	none := func(context.Context, pgx.Tx, projections.Event[stranger]) error { return nil }
	err := projections.Define("Bad Name", projections.Each(accounts, none), projections.Version(0), projections.Using("", "pg_temp")).Err()
	require.ErrorContains(t, err, `projection name "Bad Name": expected a lower-case letter`)
	require.ErrorContains(t, err, `aggregate "account" emits no event of type projections_test.stranger`)

	require.ErrorContains(t, err, "version 0: expected 1 or more")
	require.ErrorContains(t, err, `projections.Using("")`)
	require.ErrorContains(t, err, `projections.Using("pg_temp")`)
	err = projections.Define("sorted", projections.Each(accounts, func(context.Context, pgx.Tx, projections.Event[opened]) error { return nil }),
		projections.SortedBy(0)).Err()
	require.ErrorContains(t, err, "projections.SortedBy is about queued SQL")
	require.ErrorContains(t, err, "projections.SortedBy(0): arguments count from 1")
	require.ErrorContains(t, projections.Define("idle").Err(), "it takes no events")
	require.ErrorContains(t, projections.Define(strings.Repeat("a", 60)).Err(), "more than 63 bytes")

	quiet := aggregate.Define("account", aggregate.Handles[open]("open"))
	all := func(context.Context, pgx.Tx, projections.Event[aggregate.Event[account]]) error { return nil }
	require.ErrorContains(t, projections.Define("all", projections.Each(quiet, all)).Err(), "emits no event of type")
}

func TestErrorsNameTheProjectionAndKeepTheirCause(t *testing.T) {
	t.Parallel()
	var kept []projections.Event[paidIn]
	for _, cause := range []error{errors.New("no room"), aggregate.Reject("name_taken", "it is taken")} {
		err := keeping(&kept, cause).Project(t.Context(), nil, event(paidIn{}))
		require.ErrorIs(t, err, cause)
		require.ErrorContains(t, err, `projection "kept": `)
	}
}

// ticket is another aggregate.
type ticket struct{}

type (
	buy    struct{}
	bought struct{ Seat string }
)

func (buy) Decide(aggregate.Root[ticket]) ([]aggregate.Event[ticket], error) { return nil, nil }
func (bought) Evolve(t ticket) ticket                                        { return t }

var tickets = aggregate.Define("ticket", aggregate.Handles[buy]("buy"), aggregate.Emits[bought]("bought"))

// mixed returns a projection of two aggregates that records its calls. It fails on a seat named
// "none" and on a batch that has 13 cents.
func mixed(calls *[]string) *projections.Projection {
	note := func(format string, args ...any) { *calls = append(*calls, fmt.Sprintf(format, args...)) }
	return projections.Define("mixed",
		projections.Batch(accounts, func(_ context.Context, _ pgx.Tx, all []projections.Event[paidIn]) error {
			for _, e := range all {
				if e.Data.Cents == 13 {
					return errors.New("unlucky")
				}
			}
			note("%d in", len(all))
			return nil
		}),
		projections.Each(accounts, func(_ context.Context, _ pgx.Tx, e projections.Event[paidOut]) error {
			note("out %d", e.Data.Cents)
			return nil
		}),
		projections.Each(accounts, func(_ context.Context, _ pgx.Tx, _ projections.Event[opened]) error {
			note("opened")
			return nil
		}),
		projections.Each(accounts, func(_ context.Context, _ pgx.Tx, _ projections.Event[opened]) error {
			note("opened, twice")
			return nil
		}),
		projections.Each(tickets, func(_ context.Context, _ pgx.Tx, e projections.Event[bought]) error {
			note("bought %s", e.Data.Seat)
			if e.Data.Seat == "none" {
				return errors.New("no seat")
			}
			return nil
		}))
}

func mixture(values ...any) (events []store.Event) {
	names := map[string]store.Event{
		"paidIn":  {Aggregate: store.Key{Type: "account"}, Recorded: aggregate.Recorded{Type: "paid_in"}},
		"paidOut": {Aggregate: store.Key{Type: "account"}, Recorded: aggregate.Recorded{Type: "paid_out"}},
		"opened":  {Aggregate: store.Key{Type: "account"}, Recorded: aggregate.Recorded{Type: "opened"}},
		"bought":  {Aggregate: store.Key{Type: "ticket"}, Recorded: aggregate.Recorded{Type: "bought"}},
	}
	for _, value := range values {
		e := names[strings.TrimPrefix(fmt.Sprintf("%T", value), "projections_test.")]
		e.Value = value
		events = append(events, e)
	}
	return events
}

func TestHandlersOfSeveralAggregatesTakeTheirEventsInTheOrderOfTheLog(t *testing.T) {
	t.Parallel()
	var calls []string
	p := mixed(&calls)
	require.NoError(t, p.Err())
	require.False(t, p.Queued())
	require.True(t, p.Wants("ticket", "bought"))
	require.False(t, p.Wants("ticket", "opened"), "an event of another aggregate")
	require.NoError(t, p.Project(t.Context(), nil, mixture(opened{}, paidIn{1}, paidIn{2}, bought{"A1"}, paidIn{3}, paidOut{4}, bought{"A2"})))
	require.Equal(t, []string{"opened", "opened, twice", "2 in", "bought A1", "1 in", "out 4", "bought A2"}, calls)
}

func TestAProjectionSaysOnWhichEventsItFailed(t *testing.T) {
	t.Parallel()
	var calls []string
	for _, c := range []struct {
		events       []store.Event
		first, count int
	}{
		{mixture(opened{}, bought{"none"}, paidIn{1}), 1, 1},
		{mixture(opened{}, paidIn{1}, paidIn{13}, paidIn{2}, opened{}), 1, 3},
	} {
		var failed *store.HandlerError
		require.ErrorAs(t, mixed(&calls).Project(t.Context(), nil, c.events), &failed)
		require.Equal(t, []int{c.first, c.count}, []int{failed.First, failed.Count})
	}
}

func TestAPanicIsCaught(t *testing.T) {
	t.Parallel()
	p := projections.Define("broken", projections.Each(accounts, explode))
	err := p.Project(t.Context(), nil, event(paidIn{}))
	require.EqualError(t, err, "projection broken panicked: no room")
	panicked, ok := errors.AsType[*aggregate.PanicError](err)
	require.True(t, ok)
	require.Contains(t, string(panicked.Stack), "projections_test.explode")
}

func explode(context.Context, pgx.Tx, projections.Event[paidIn]) error { panic("no room") }

func TestAProjectionWritesInTheTransactionItIsGiven(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, localpg.Database(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	balance := projections.Define("balance",
		projections.Each(accounts, func(ctx context.Context, tx pgx.Tx, e projections.Event[payment]) error {
			_, err := tx.Exec(ctx, `insert into balance (id, cents) values ($1, $2)
				on conflict (id) do update set cents = balance.cents + excluded.cents`, e.Aggregate.ID, e.Data.amount())
			return err
		}),
		projections.Setup(`create table if not exists balance (id text primary key, cents bigint check (cents <= 10))`))
	require.Equal(t, "balance", balance.Name())
	_, err = conn.Exec(ctx, balance.Setup())
	require.NoError(t, err)

	rolledBack, err := conn.Begin(ctx)
	require.NoError(t, err)
	require.NoError(t, balance.Project(ctx, rolledBack, event(paidIn{Cents: 9})))
	require.NoError(t, rolledBack.Rollback(ctx))

	committed, err := conn.Begin(ctx)
	require.NoError(t, err)
	require.NoError(t, balance.Project(ctx, committed, event(paidIn{Cents: 5})))
	require.NoError(t, balance.Project(ctx, committed, event(paidIn{Cents: 3})))
	require.NoError(t, committed.Commit(ctx))
	var cents int64
	require.NoError(t, conn.QueryRow(ctx, "select cents from balance where id = '1'").Scan(&cents))
	require.EqualValues(t, 8, cents)

	refused, err := conn.Begin(ctx)
	require.NoError(t, err)
	require.ErrorContains(t, balance.Project(ctx, refused, event(paidIn{Cents: 3})), "violates check constraint")
	require.NoError(t, refused.Rollback(ctx))
}

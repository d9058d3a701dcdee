package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/store"
)

// failover is a primary with a standby, and a store that reaches them by the name of a service.
type failover struct {
	*testing.T
	primary, standby *localpg.Server
	service          *localpg.Service
	store            *store.Postgres
	epoch, position  int64
}

func newFailover(t *testing.T) *failover {
	t.Helper()
	t.Parallel()
	primary, err := localpg.Start(t.Context(), localpg.Options{Unsafe: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, primary.Stop()) })
	standby, err := localpg.StartStandby(t.Context(), primary, localpg.StandbyOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, standby.Stop()) })
	p := &failover{T: t, primary: primary, standby: standby, service: localpg.NewService(t, primary)}
	p.store = open(t, localpg.Pool(t, p.service.URL()), store.Options{Partitions: 1})
	row, err := p.store.Acquire(t.Context(), 0, "test")
	require.NoError(t, err)
	p.epoch = row.Epoch
	require.NoError(t, p.commit(t.Context()))
	require.NoError(t, p.store.Health())
	return p
}

// commit commits an event.
func (p *failover) commit(ctx context.Context) error {
	c := batchOf(p.position, 1, func(i int64) string { return fmt.Sprint(i) })
	c.Epoch = p.epoch
	err := p.store.Commit(ctx, c)
	if err == nil {
		p.position++
	}
	return err
}

// commits waits until commits work. No error on the way may be permanent.
func (p *failover) commits() {
	p.Helper()
	start := time.Now()
	require.Eventually(p, func() bool {
		ctx, cancel := context.WithTimeout(p.Context(), patience)
		defer cancel()
		err := p.commit(ctx)
		if err != nil {
			require.True(p, store.Judge(err).Passes(), "%v", err)
		}
		return err == nil
	}, patience, 10*time.Millisecond)
	p.Logf("commits went on after %s", time.Since(start).Round(time.Millisecond))
	require.Eventually(p, func() bool { return p.store.Health() == nil }, patience, 10*time.Millisecond)
}

// caughtUp waits until the standby has everything.
func (p *failover) caughtUp() {
	p.Helper()
	conn := p.connect(p.standby)
	require.Eventually(p, func() bool {
		var position int64
		err := conn.QueryRow(p.Context(), `select position from maestro.partitions`).Scan(&position)
		return err == nil && position == p.position // the table itself may still be on its way
	}, patience, time.Millisecond)
}

func (p *failover) connect(to *localpg.Server) *pgx.Conn {
	p.Helper()
	conn, err := pgx.Connect(p.Context(), to.URL())
	require.NoError(p, err)
	p.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (p *failover) isReadOnly() {
	p.Helper()
	require.Eventually(p, func() bool {
		err := p.store.Writable()
		return err != nil && strings.Contains(err.Error(), "takes no writes")
	}, patience, time.Millisecond)
	require.ErrorContains(p, p.store.Health(), "takes no writes")
	err := p.commit(p.Context())
	require.ErrorContains(p, err, "takes no writes")
	require.True(p, store.Judge(err).Passes())
	_, err = p.store.Partition(p.Context(), 0)
	require.ErrorContains(p, err, "takes no writes", "what it says of the owner may be old")
}

func TestAServiceThatPointsToTheDemotedPrimary(t *testing.T) {
	p := newFailover(t)
	require.NoError(t, p.primary.Halt(localpg.Fast))
	require.NoError(t, p.standby.Promote())
	require.NoError(t, p.primary.Follow(p.standby))
	p.isReadOnly()
	again := p.store.WritableAgain()
	select {
	case <-again:
		require.Fail(t, "it takes no writes yet")
	default:
	}
	p.service.PointTo(p.standby)
	p.commits()
	select {
	case <-again:
	case <-time.After(patience):
		require.Fail(t, "nobody is told that it takes writes again")
	}
}

// As long as somebody is connected to the former primary, it takes commits, and these are lost.
func TestAPrimaryThatDoesNotKnowThatItWasReplaced(t *testing.T) {
	p := newFailover(t)
	p.caughtUp()
	require.NoError(t, p.standby.Promote())
	p.service.PointTo(p.standby)
	conn := p.connect(p.standby)
	written := func() (position int64) {
		require.NoError(t, conn.QueryRow(t.Context(), `select position from maestro.partitions`).Scan(&position))
		return position
	}
	before := written()
	require.Eventually(t, func() bool {
		err := p.commit(t.Context())
		if errors.Is(err, store.ErrConflict) { // the log is where the standby has left it
			p.position = written()
		}
		return written() > before
	}, patience, 10*time.Millisecond)
}

func TestWhatIsUnderWayOnAReplacedServerEnds(t *testing.T) {
	p := newFailover(t)
	p.caughtUp()
	require.NoError(t, p.primary.Pause())
	ended := make(chan error, 1)
	go func() { ended <- p.commit(context.Background()) }()
	require.NoError(t, p.standby.Promote())
	p.service.PointTo(p.standby)
	select {
	case err := <-ended:
		require.True(t, store.Judge(err).Passes(), "%v", err)
	case <-time.After(patience):
		t.Fatal("the commit waits for a server that is gone")
	}
	p.commits()
	require.NoError(t, p.primary.Continue())
}

// A server may stop taking writes while sessions go on.
func TestAServerThatTakesNoWritesForAWhile(t *testing.T) {
	p := newFailover(t)
	conn := p.connect(p.primary)
	set := func(value string) {
		for _, sql := range []string{`alter system set default_transaction_read_only = ` + value, `select pg_reload_conf()`} {
			_, err := conn.Exec(t.Context(), `set transaction read write`)
			require.NoError(t, err)
			_, err = conn.Exec(t.Context(), sql)
			require.NoError(t, err)
		}
	}
	set("on")
	p.isReadOnly()
	set("off")
	p.commits()
}

func TestARoleThatMayOnlyReadIsRefused(t *testing.T) {
	t.Parallel()
	pool := newPool(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on" })
	_, err := store.Open(t.Context(), pool, store.Options{})
	require.ErrorContains(t, err, "default_transaction_read_only is on")
}

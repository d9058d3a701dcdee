package faults

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localpg"
)

// database is the Postgres of a world: a primary, and the servers beside it. Workers reach the
// primary through the service. The harness reaches it by a wire that no fault breaks. After a
// failover both point to the new primary.
type database struct {
	*testing.T
	shape
	primary, follower *localpg.Server
	service, inside   *proxy
	acknowledgements  *proxy // between the standby and its primary
	pooler            *localpg.Pooler
	user              *url.Userinfo // of the workers

	lost []time.Time // when a failover may have lost commits

	ahead   time.Duration // of the primary's clock
	setBack int           // how often Postgres's clock was set back
}

func newDatabase(t *testing.T, s shape) *database {
	t.Helper()
	d := &database{T: t, shape: s}
	var err error
	d.primary, err = localpg.Start(t.Context(), localpg.Options{ // durable, because the test crashes it
		Settings: []string{"wal_keep_size=1GB"}, Clock: s.clocks}) // a standby may be away
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.primary.Stop()) })
	d.service, d.inside = newProxy(t, d.at(d.primary)), newProxy(t, d.at(d.primary))
	d.user = d.url(d.primary).User
	if s.role {
		d.user = url.UserPassword("maestro_worker", "least")
		d.execute(`create role maestro_worker login password 'least'`, `grant connect, create on database postgres to maestro_worker`)
	}
	if s.standby != noStandby {
		require.NoError(t, d.follow())
		t.Cleanup(func() { require.NoError(t, d.follower.Stop()) })
	}
	if s.pooler {
		password, _ := d.user.Password()
		d.pooler = localpg.StartPooler(t, d.service.address(), 20, map[string]string{d.user.Username(): password})
	}
	return d
}

func (d *database) url(s *localpg.Server) *url.URL {
	u, err := url.Parse(s.URL())
	require.NoError(d, err)
	return u
}

func (d *database) at(s *localpg.Server) string { return d.url(s).Host }

// forWorkers returns the connection string for workers, and the address that they connect to.
func (d *database) forWorkers() (connection *url.URL, address string) {
	u := d.url(d.primary)
	u.User, address = d.user, d.service.address()
	if d.pooler != nil {
		address = d.pooler.Address()
		u.RawQuery += "&default_query_exec_mode=exec"
	}
	return u, address
}

// forHarness returns the connection string of the superuser. It always leads to the primary.
func (d *database) forHarness() string {
	u := d.url(d.primary)
	u.Host = d.inside.address()
	return u.String()
}

// execute runs SQL as the superuser.
func (d *database) execute(statements ...string) {
	d.Helper()
	ctx := context.WithoutCancel(d.Context())
	conn, err := pgx.Connect(ctx, d.primary.URL())
	require.NoError(d, err)
	defer func() { _ = conn.Close(ctx) }()
	for _, sql := range statements {
		_, err := conn.Exec(ctx, sql)
		require.NoError(d, err, sql)
	}
}

// follow starts a standby of the primary. The wire for its acknowledgements can be held.
func (d *database) follow() (err error) {
	d.acknowledgements = newProxy(d.T, d.at(d.primary))
	d.follower, err = localpg.StartStandby(context.WithoutCancel(d.Context()), d.primary,
		localpg.StandbyOptions{Synchronous: d.standby == synchronous, Through: d.acknowledgements.address()})
	return err
}

// point makes everybody find the primary. A connection to another server stays there, as with the
// services of an orchestrator.
func (d *database) point() {
	d.service.point(d.at(d.primary))
	d.inside.point(d.at(d.primary))
}

// failOver crashes the primary and promotes the standby after a time. Commits that the standby has
// not received are lost. With a synchronous standby no answered commit is lost. A new standby
// follows.
func (d *database) failOver(ctx context.Context, after time.Duration) error {
	former := d.primary
	if err := former.Halt(localpg.Immediate); err != nil {
		return err
	}
	pause(ctx, after)
	if err := d.follower.Promote(); err != nil {
		return err
	}
	if d.standby == asynchronous {
		d.lost = append(d.lost, time.Now())
	}
	d.primary = d.follower
	d.point()
	return errors.Join(former.Stop(), d.follow())
}

// switchOver makes the standby the primary, and the primary its standby, in order. For a time the
// service still leads to the demoted server, which takes no writes.
func (d *database) switchOver(ctx context.Context, wrong time.Duration) error {
	former, next := d.primary, d.follower
	if err := former.Halt(localpg.Fast); err != nil {
		return err
	}
	if err := next.Promote(); err != nil {
		return err
	}
	d.primary, d.follower = next, former
	d.inside.point(d.at(next))
	if err := former.Follow(next); err != nil {
		return err
	}
	if d.standby == synchronous {
		d.execute(`alter system set synchronous_standby_names = 'follower'`, `select pg_reload_conf()`)
	}
	pause(ctx, wrong)
	d.point()
	return nil
}

// heal opens the wires and lets the pooler work.
func (d *database) heal() {
	d.service.heal()
	if d.clocks {
		d.setClock(0)
	}
	if d.acknowledgements != nil {
		d.acknowledgements.heal()
	}
	if d.pooler != nil {
		if said := d.pooler.Revive(); said != "" {
			d.Log(said)
		}
		d.pooler.Resume()
	}
}

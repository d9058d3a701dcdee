package tests

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localpg"
)

// Two namespaces share servers with each other, and with tables and streams of others.
func TestNamespacesShareServersWithOthers(t *testing.T) {
	t.Parallel()
	broker, err := sharedBroker()
	require.NoError(t, err)
	database := localpg.Database(t)
	one, two := newSystemOn(t, broker, database), newSystemOn(t, broker, database)
	two.partitions = 3
	_, err = one.pool.Exec(t.Context(), `
		create table events (id int); insert into events values (1);
		create table counter_names (name int); create table partitions (owner int);
		create schema orders; create table orders.receipts (id int); insert into orders.receipts values (7)`)
	require.NoError(t, err)
	foreign, err := one.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "FOREIGN", Subjects: []string{"foreign.cmd.>"}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = one.js.DeleteStream(context.Background(), "FOREIGN") })
	_, err = one.js.Publish(t.Context(), "foreign.cmd.counter.1.increment", []byte("theirs"))
	require.NoError(t, err)
	others := one.others(two)

	one.start()
	two.start()
	r := random(t)
	commands := one.workload(r, 1000, 50)
	i, j := one.importing(commands), two.importing(two.workload(r, 1000, 50))
	i.finish()
	j.finish()

	require.Equal(t, others, one.others(two))
	require.EqualValues(t, 8, query[int64](two, "select 1 + id from orders.receipts"))
	info, err := foreign.Info(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, info.State.Msgs)
}

// others lists the tables, functions and indexes outside of the two namespaces.
func (s *system) others(second *system) []string {
	s.Helper()
	rows, err := s.pool.Query(s.Context(), `
		select n.nspname || '.' || c.relname || ' ' || c.relkind::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where n.nspname <> 'pg_toast' and n.nspname !~ $1
		union all select n.nspname || '.' || p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
			where n.nspname !~ $1
		order by 1`, fmt.Sprintf("^(%s|%s)(_read|_.*_[0-9]+)?$", s.namespace, second.namespace))
	require.NoError(s, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(s, err)
	require.Contains(s, names, "orders.receipts r")
	return names
}

func TestAnotherNumberOfPartitionsIsRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.stop(s.start())
	status, out := s.worker("--partitions", "9")
	require.Equal(t, 1, status)
	require.Contains(t, out, `has 8 partitions, not 9: the number is fixed when a namespace is created`)
	require.Contains(t, out, "ask for 8 (or leave it out)")
	s.partitions = 0 // the namespace's own
	w := s.start()
	require.Contains(t, w.out.String(), "partitions=8")
	s.stop(w)
}

// Many workers find an empty database at the same moment.
func TestWorkersStartAtOnce(t *testing.T) {
	t.Parallel()
	broker, err := sharedBroker()
	require.NoError(t, err)
	s := newSystemOn(t, broker, localpg.Database(t))
	s.database += "&pool_max_conns=3"
	workers := make([]*process, 5)
	for i := range workers {
		workers[i] = s.launch()
	}
	for _, w := range workers {
		require.True(t, w.says("msg=ready"), w.out.String())
	}
	s.importing(s.workload(random(t), 2000, 100)).finish()
	for _, w := range workers {
		s.stop(w)
	}
	s.check()
}

// A password is enough, and a role that may not create schemas, once its schemas exist. Database
// administrators may grant no more than that.
func TestARoleWithASchemaOfItsOwnIsEnough(t *testing.T) {
	t.Parallel()
	broker, err := sharedBroker()
	require.NoError(t, err)
	s := newSystemOn(t, broker, localpg.Database(t))
	role := "role_" + string(s.namespace)
	exec := func(sql string) {
		_, err := s.pool.Exec(t.Context(), strings.NewReplacer("$role", role, "$schema", string(s.namespace)).Replace(sql))
		require.NoError(t, err)
	}
	exec(`create role $role login password 'secret'; revoke create on schema public from public;
		create schema $schema authorization $role`)
	u, err := url.Parse(s.database)
	require.NoError(t, err)
	u.User = url.UserPassword(role, "secret")
	s.database = u.String()
	status, out := s.worker("migrate")
	require.Equal(t, 1, status)
	require.Contains(t, out, `Let a role that may create schemas run this once: create schema if not exists "`+string(s.namespace)+`_counter_names_1"`)
	exec(`do 'begin execute format(''grant create on database %I to $role'', current_database()); end'`)
	status, out = s.worker("migrate")
	require.Zero(t, status, out)
	exec(`do 'begin execute format(''revoke create on database %I from $role'', current_database()); end'`)
	s.start()
	s.importing(s.workload(random(t), 200, 20)).finish()
}

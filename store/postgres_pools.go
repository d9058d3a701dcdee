package store

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pools are the connections of a store. All are made from a copy of one configuration. All belong
// to one server. When the server changes, all connections to the former one are closed.
type pools struct {
	// work is for commits and reads. Code of users runs here, so all its connections may be busy for
	// long.
	work *pgxpool.Pool
	// control is for ownership. No SQL of users runs here.
	control *pgxpool.Pool
	// pulse has one connection, which looks at the server twice a second. It waits for nobody.
	pulse *pgxpool.Pool

	logger *slog.Logger
	links  links
	server current
	health health
	// durability is the value of synchronous_commit in a fresh session, as read by the pulse's last
	// new connection.
	durability atomic.Pointer[string]
	stop       func()
}

const (
	controlConnections = 2
	pulseConnections   = 1
	// pulseLifetime is how long a connection of the pulse may last. A new connection shows where the
	// name of the service leads now.
	pulseLifetime = 10 * time.Second
	// pingTimeout bounds the check of a connection that has been idle. A network that drops
	// connections does not report it.
	pingTimeout = 2 * time.Second
	// closeGrace is how long work may go on after Close.
	closeGrace = 5 * time.Second
)

// openPools prepares connections like those of the given pool, and begins to watch the server.
func openPools(given *pgxpool.Pool, o Options) (*pools, error) {
	p := &pools{logger: o.Logger, stop: func() {}}
	for _, pool := range []struct {
		made   **pgxpool.Pool
		adjust func(*pgxpool.Config)
	}{
		{&p.work, func(*pgxpool.Config) {}},
		{&p.control, func(c *pgxpool.Config) { c.MaxConns, c.MinConns, c.MinIdleConns = controlConnections, 0, 0 }},
		{&p.pulse, func(c *pgxpool.Config) {
			c.MaxConns, c.MinConns, c.MinIdleConns = pulseConnections, 0, 0
			c.MaxConnLifetime, c.MaxConnLifetimeJitter = pulseLifetime, 0
			p.noteDurability(c, given.Config().AfterConnect != nil)
		}},
	} {
		config := p.configure(given.Config(), o.Name)
		pool.adjust(config)
		made, err := pgxpool.NewWithConfig(context.Background(), config)
		if err != nil {
			p.close()
			return nil, fmt.Errorf("open a pool of connections: %w", err)
		}
		*pool.made = made
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { p.watch(ctx) })
	group.Go(func() { p.prove(ctx) })
	p.stop = func() { cancel(); group.Wait() }
	return p, nil
}

// configure changes the settings that the store relies on. It keeps everything else that the user
// has set, including hooks.
func (p *pools) configure(c *pgxpool.Config, name string) *pgxpool.Config {
	setParameters(c.ConnConfig.RuntimeParams, name)
	if c.PingTimeout == 0 {
		c.PingTimeout = pingTimeout
	}
	dial := c.ConnConfig.DialFunc
	c.ConnConfig.DialFunc = p.links.dial(dial)
	validate := c.ConnConfig.ValidateConnect
	c.ConnConfig.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if validate != nil {
			if err := validate(ctx, conn); err != nil {
				return err
			}
		}
		return p.admit(ctx, conn)
	}
	after := c.AfterConnect
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if after != nil {
			if err := after(ctx, conn); err != nil {
				return err
			}
		}
		return checkParameters(conn.PgConn().ParameterStatus)
	}
	leaveReadOnly(c)
	return c
}

// parameters are the settings that our SQL and pgx rely on. PgBouncer passes them on.
var parameters = map[string]string{
	"client_encoding":             "UTF8",
	"DateStyle":                   "ISO",
	"TimeZone":                    "UTC",
	"standard_conforming_strings": "on",
}

// setParameters sets the parameters that a session begins with. They take precedence over settings
// of the role or the database.
func setParameters(params map[string]string, name string) {
	for parameter, value := range parameters {
		for given := range params {
			if strings.EqualFold(given, parameter) {
				delete(params, given)
			}
		}
		params[parameter] = value
	}
	if params["application_name"] == "" {
		params["application_name"] = strings.TrimSuffix("maestro/"+name, "/")
	}
}

// checkParameters refuses a session that the server reports to have other parameters than we need.
// A pooler may report nothing.
func checkParameters(reported func(name string) string) error {
	if encoding := reported("server_encoding"); encoding != "" && encoding != "UTF8" {
		return fmt.Errorf("the database's encoding is %s, expected UTF8, since texts may hold any character: "+
			"create another with `create database ... encoding 'UTF8' template template0`", encoding)
	}
	for parameter, value := range parameters {
		if is := reported(parameter); parameter != "TimeZone" && is != "" && !strings.HasPrefix(is, value) {
			return fmt.Errorf("sessions have %s %q, expected %s: a pooler, or AfterConnect of the pool, has changed what was asked for",
				parameter, is, value)
		}
	}
	return nil
}

// noteDurability makes each new connection read the value of synchronous_commit in a fresh
// session. Behind a pooler, others may have changed the session, so the setting is reset first. It
// is not reset if the pool has a hook, because the hook may set it.
func (p *pools) noteDurability(c *pgxpool.Config, hooked bool) {
	sql := `select pg_catalog.current_setting('synchronous_commit')`
	if !hooked {
		sql = `reset synchronous_commit; ` + sql
	}
	after := c.AfterConnect
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if err := after(ctx, conn); err != nil {
			return err
		}
		results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
		if err != nil {
			return fmt.Errorf("ask how durable commits are: %w", err)
		}
		durability := string(results[len(results)-1].Rows[0][0])
		p.durability.Store(&durability)
		return nil
	}
}

// learn waits until the value of synchronous_commit in a fresh session is known.
func (p *pools) learn(ctx context.Context) error {
	if p.durability.Load() != nil {
		return nil
	}
	conn, err := p.pulse.Acquire(ctx)
	if err != nil {
		return own(err)
	}
	conn.Release()
	return nil
}

// close ends all connections. Work that is under way has closeGrace to finish.
func (p *pools) close() {
	p.stop()
	defer time.AfterFunc(closeGrace, func() { p.links.cut(server{}) }).Stop()
	for _, pool := range []*pgxpool.Pool{p.work, p.control, p.pulse} {
		if pool != nil {
			pool.Close()
		}
	}
}

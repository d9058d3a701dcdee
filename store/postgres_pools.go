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

// pools are the connections of a store. All are made from a copy of one configuration, and all
// belong to one server: when that changes, all of them are closed.
type pools struct {
	// work is for commits and reads. What users have in hand runs here, so all of it may be busy
	// for long.
	work *pgxpool.Pool
	// control is for ownership: no SQL of users runs there.
	control *pgxpool.Pool
	// pulse has the one connection that looks at the server twice a second, and waits for nobody.
	pulse *pgxpool.Pool

	logger *slog.Logger
	links  links
	server current
	health health
	// durability is what a fresh session has for synchronous_commit, as of the pulse's last new
	// connection.
	durability atomic.Pointer[string]
	stop       func()
}

const (
	controlConnections = 2
	pulseConnections   = 1
	// pulseLifetime is how long a connection of the pulse may last. A new one shows where the name
	// of the service leads now.
	pulseLifetime = 10 * time.Second
	// pingTimeout bounds the look at a connection that has been idle: a network that forgets
	// connections does not say so.
	pingTimeout = 2 * time.Second
	// closeGrace is how long work may go on after Close.
	closeGrace = 5 * time.Second
)

// openPools prepares connections like those of the given pool, and begins to look at the server.
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

// configure changes what we rely on and leaves everything else as the user has it, hooks included.
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

// parameters are what our SQL and pgx rely on. They are those that PgBouncer passes on.
var parameters = map[string]string{
	"client_encoding":             "UTF8",
	"DateStyle":                   "ISO",
	"TimeZone":                    "UTC",
	"standard_conforming_strings": "on",
}

// setParameters sets what a session begins with. It goes before what is set for the role or the
// database.
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

// checkParameters refuses a session that is not as we need it, as the server reports it. A pooler
// may report nothing.
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

// noteDurability has each new connection tell what a fresh session has for synchronous_commit.
// Behind a pooler a session may be one that others have changed, so it is reset first, unless a
// hook of the pool's sets it.
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

// learn waits until it is known what a fresh session has for synchronous_commit.
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

// close ends all connections. What is still under way has a moment to finish.
func (p *pools) close() {
	p.stop()
	defer time.AfterFunc(closeGrace, func() { p.links.cut(server{}) }).Stop()
	for _, pool := range []*pgxpool.Pool{p.work, p.control, p.pulse} {
		if pool != nil {
			pool.Close()
		}
	}
}

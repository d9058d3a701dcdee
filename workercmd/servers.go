package workercmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/internal/connect"
	"github.com/maestro-es/maestro/store"
)

// memoryURL stands for the in-memory store.
const memoryURL = "memory:"

// database has the flags that say which event log to use. Several commands embed it.
type database struct {
	DatabaseURL string `env:"DATABASE_URL" placeholder:"URL" help:"Postgres, as postgres://user:password@host:5432/name; or memory: for a log that ends with the process."`
	Namespace   string `env:"MAESTRO_NAMESPACE" default:"maestro" help:"Begins all subjects and streams, and names the schema."`
	Partitions  int    `env:"MAESTRO_PARTITIONS" placeholder:"N" help:"Number of partitions of a new namespace. Default: 64, or what the namespace has."`
}

// connect opens the pool of connections and makes sure that Postgres answers.
func (d database) connect(ctx context.Context, tune ...func(*pgxpool.Config)) (*pgxpool.Pool, error) {
	if d.DatabaseURL == "" {
		return nil, errors.New("no database: set --database-url or DATABASE_URL to a Postgres, or try --dev, which brings its own")
	}
	config, err := pgxpool.ParseConfig(strings.TrimSpace(d.DatabaseURL)) // a URL from a file ends with a line break
	if err != nil {
		return nil, fmt.Errorf("--database-url: %w: expected postgres://user:password@host:5432/name", err)
	}
	if !strings.Contains(d.DatabaseURL, "pool_max_conns") {
		config.MaxConns = max(config.MaxConns, defaultConnections)
	}
	for _, apply := range tune {
		apply(config)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to Postgres: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to Postgres: %w: is it running, and is --database-url right?", err)
	}
	return pool, nil
}

// defaultConnections is the size of the pool if the URL has no pool_max_conns.
const defaultConnections = 8

func (d database) options() store.Options {
	return store.Options{Namespace: d.Namespace, Partitions: d.Partitions}
}

// broker has the flags that say which NATS to use.
type broker struct {
	NATS connect.NATS `embed:"" prefix:"nats-" envprefix:"NATS_" group:"NATS:"`
}

// connect connects to NATS. If the server goes away later, the client waits for it without a limit.
func (b broker) connect(logger *slog.Logger) (*nats.Conn, error) {
	return b.NATS.Connect("maestro worker",
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				logger.Warn("disconnected from NATS: waiting for it", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { logger.Info("connected to NATS again", "server", nc.ConnectedAddr()) }),
		nats.ErrorHandler(reporter(logger)))
}

// reporter logs the server's complaints. Otherwise a user that lacks a permission would wait
// without a message.
func reporter(logger *slog.Logger) nats.ErrHandler {
	return func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			logger.Error("the NATS user lacks a permission: compare with deploy/nats/permissions.conf", "error", err)
			return
		}
		logger.Debug("NATS reports", "error", err)
	}
}

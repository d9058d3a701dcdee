package workercmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/localpg"
)

// startDev starts the servers of --dev: a nats-server inside the process and, if no database is
// given, a Postgres beside it. Without a data folder, their data is removed when the process ends.
func (r *runCommand) startDev(ctx context.Context, logger *slog.Logger) (stop func(), err error) {
	if r.NATS.URL != "" {
		return nil, errors.New("--dev brings its own NATS: leave --nats-url (NATS_URL) out, or --dev")
	}
	dir, removeDir := r.DataDir, func() {}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "maestro-dev-*"); err != nil {
			return nil, fmt.Errorf("--dev: %w", err)
		}
		removeDir = func() { _ = os.RemoveAll(dir) }
	}
	broker, err := startNATS(filepath.Join(dir, "jetstream"), logger)
	if err != nil {
		removeDir()
		return nil, fmt.Errorf("--dev: %w", err)
	}
	r.NATS.URL = broker.URL()
	stopDatabase := func() {}
	if r.DatabaseURL == "" {
		if r.DatabaseURL, stopDatabase, err = startPostgres(ctx, r.DataDir, logger); err != nil {
			broker.Stop()
			removeDir()
			return nil, fmt.Errorf("--dev: %w", err)
		}
	}
	return func() { stopDatabase(); broker.Stop(); removeDir() }, nil
}

// startNATS starts a nats-server inside the process, on NATS's default port if it is free.
func startNATS(dir string, logger *slog.Logger) (*localnats.Server, error) {
	if l, err := net.Listen("tcp", "127.0.0.1:4222"); err == nil {
		_ = l.Close()
		if server, err := localnats.Start(localnats.Options{Dir: dir, Port: 4222, Logger: logger}); err == nil {
			return server, nil // otherwise somebody has just taken the port
		}
	}
	return localnats.Start(localnats.Options{Dir: dir, Logger: logger})
}

// startPostgres starts a Postgres from the programs on this machine. If there are none, the log is
// in memory, and a warning says what is then missing.
func startPostgres(ctx context.Context, dataDir string, logger *slog.Logger) (url string, stop func(), err error) {
	options := localpg.Options{Unsafe: dataDir == ""}
	if dataDir != "" {
		options.Dir = filepath.Join(dataDir, "postgres")
	}
	server, err := localpg.Start(ctx, options)
	if errors.Is(err, localpg.ErrNotInstalled) {
		logger.Warn("--dev found no Postgres: the log is in memory and ends with this process, and read models and dead letters are left out",
			"error", err)
		return memoryURL, func() {}, nil
	}
	if err != nil {
		return "", nil, err
	}
	logger.Info("--dev has a Postgres of its own", "url", server.URL())
	return server.URL(), func() {
		if err := server.Stop(); err != nil {
			logger.Warn("Postgres did not stop", "error", err)
		}
	}, nil
}

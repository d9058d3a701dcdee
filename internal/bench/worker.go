package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/wire"
)

// workRole makes this program a worker.
const workRole = "work"

// workConfig is the configuration of a worker process.
type workConfig struct {
	NATS, Database string
	Namespace      wire.Namespace
	Partitions     int
	ReadModels     int
	Written        writing
	Shared         bool // with the read model whose rows all partitions write
	Hostile        bool // with the aggregate and the read models that have every bad habit
	CacheBytes     int64
	Stream         eventstream.StreamConfig
	Profile        string
}

// worker is a worker process.
type worker struct {
	*process
	ask   *json.Encoder
	lines *json.Decoder
}

// usage is what a worker process uses: bytes of memory after a garbage collection, and processor
// time since its start.
type usage struct {
	Heap     int64         `json:"heap"`
	Resident int64         `json:"resident"`
	CPU      time.Duration `json:"cpu"`
}

// startWorker starts a worker and returns when it begins to work.
func (l *lab) startWorker(ctx context.Context, c workConfig, t tracing) (*worker, error) {
	c.NATS, c.Database, c.Profile = l.nats.url, l.postgres.URL(), os.Getenv("BENCH_PROFILE")
	config, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	p, _, err := startSelf(ctx, workRole, string(config), t.environment(l.collector.URL))
	if err != nil {
		return nil, err
	}
	return &worker{process: p, ask: json.NewEncoder(p.in), lines: json.NewDecoder(p.out)}, nil
}

// usage asks the process for its usage.
func (w *worker) usage() (u usage, err error) {
	if err := w.ask.Encode("usage"); err != nil {
		return u, err
	}
	if err := w.lines.Decode(&u); err != nil {
		return u, fmt.Errorf("the worker process ended: %w", err)
	}
	return u, nil
}

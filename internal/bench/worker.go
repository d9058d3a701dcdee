package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/wire"
)

// workArgument makes this program a worker.
const workArgument = "work"

// workConfig is what a worker process is told.
type workConfig struct {
	NATS, Database string
	Namespace      wire.Namespace
	Partitions     int
	ReadModels     int
	Batched        bool
	CacheBytes     int64
	Stream         eventstream.StreamConfig
	Profile        string
}

// worker is a worker process.
type worker struct {
	cmd   *exec.Cmd
	ask   *json.Encoder
	lines *json.Decoder
	ended chan struct{}
}

// usage is what a worker process takes: bytes, after a collection of its garbage, and processor time since its start.
type usage struct {
	Heap     int64         `json:"heap"`
	Resident int64         `json:"resident"`
	CPU      time.Duration `json:"cpu"`
}

// startWorker starts a worker and returns when it begins to work.
func (l *lab) startWorker(ctx context.Context, c workConfig, t tracing) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c.NATS, c.Database, c.Profile = l.nats.url, l.postgres.URL(), os.Getenv("BENCH_PROFILE")
	config, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, workArgument, string(config))
	cmd.Env = append(os.Environ(), t.environment(l.collector.URL)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w := &worker{cmd: cmd, ask: json.NewEncoder(in), lines: json.NewDecoder(out), ended: make(chan struct{})}
	var first usage
	if err := w.lines.Decode(&first); err != nil {
		_ = cmd.Process.Kill()
		return nil, fmt.Errorf("the worker process did not begin: %w", err)
	}
	go func() {
		_ = cmd.Wait()
		close(w.ended)
	}()
	return w, nil
}

// during is a context that ends with the process, so that nobody waits for it in vain.
func (w *worker) during(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-w.ended:
			end(errors.New("the worker process has ended"))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { end(nil) }
}

// usage asks the process what it takes.
func (w *worker) usage() (u usage, err error) {
	if err := w.ask.Encode("usage"); err != nil {
		return u, err
	}
	if err := w.lines.Decode(&u); err != nil {
		return u, fmt.Errorf("the worker process ended: %w", err)
	}
	return u, nil
}

// stop ends the process in order.
func (w *worker) stop() {
	_ = w.cmd.Process.Signal(os.Interrupt)
	kill := time.AfterFunc(10*time.Second, func() { _ = w.cmd.Process.Kill() })
	defer kill.Stop()
	<-w.ended
}

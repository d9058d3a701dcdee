package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/consumer"
	"github.com/maestro-es/maestro/internal/wire"
)

// measureMaestro stores the commands, then lets a worker process drain them, then sends commands one at a time.
func measureMaestro(ctx context.Context, s servers, o options, namespace string) (f figures, err error) {
	nc, err := nats.Connect(s.nats.URL())
	if err != nil {
		return f, err
	}
	defer nc.Close()
	if err := fill(ctx, nc, o, wire.Namespace(namespace)); err != nil {
		return f, err
	}
	worker, err := startWorker(ctx, s, o, namespace)
	if err != nil {
		return f, err
	}
	defer worker.stop()
	drained, err := worker.next()
	if err != nil {
		return f, err
	}
	f.PathPerSecond = float64(o.commands) / drained.Seconds
	f.LatencyP50, f.LatencyP99, err = durableLatency(ctx, nc, wire.Namespace(namespace), o.roundTrips)
	if err != nil {
		return f, err
	}
	f.RequestP50, f.RequestP99, err = requestLatency(nc, wire.Namespace(namespace), o.roundTrips)
	if err != nil {
		return f, err
	}
	worker.stop()
	js, err := jetstream.New(nc)
	if err != nil {
		return f, err
	}
	_ = js.DeleteStream(ctx, wire.Namespace(namespace).CommandStream())
	_ = js.DeleteStream(ctx, wire.Namespace(namespace).EventStream())
	return f, nil
}

// fill stores the commands in the stream.
func fill(ctx context.Context, nc *nats.Conn, o options, ns wire.Namespace) error {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(8192))
	if err != nil {
		return err
	}
	if err := consumer.EnsureStream(ctx, js, ns, o.partitions, consumer.StreamConfig{}); err != nil {
		return err
	}
	for i := range o.commands {
		msg := nats.NewMsg(ns.Send("counter", strconv.Itoa(i%o.aggregates), "increment"))
		msg.Data = []byte(`{"by":1}`)
		msg.Header.Set(wire.HeaderMsgID, "c-"+strconv.Itoa(i))
		if _, err := js.PublishMsgAsync(msg, jetstream.WithStallWait(time.Minute)); err != nil {
			return err
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// process is a worker process that reports on its standard output, a line of JSON each time.
type process struct {
	cmd   *exec.Cmd
	lines *json.Decoder
}

// report is a line of a worker process.
type report struct {
	Events  int     `json:"events"`
	Seconds float64 `json:"seconds"`
	HeapMB  float64 `json:"heap_mb"`
	RSSMB   float64 `json:"rss_mb"`
}

func startWorker(ctx context.Context, s servers, o options, namespace string, more ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"work", "-nats", s.nats.URL(), "-database", s.postgres.URL(),
		"-namespace", namespace, "-n", strconv.Itoa(o.commands), "-partitions", strconv.Itoa(o.partitions)}, more...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &process{cmd: cmd, lines: json.NewDecoder(out)}, nil
}

func (p *process) next() (r report, err error) {
	if err := p.lines.Decode(&r); err != nil {
		return r, fmt.Errorf("the worker process ended: %w", err)
	}
	return r, nil
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
	}
}

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/wire"
)

// durableLatency sends durable commands one at a time and waits for each outcome. Microseconds.
func durableLatency(ctx context.Context, nc *nats.Conn, ns wire.Namespace, n int) (p50, p99 float64, err error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, 0, err
	}
	inbox := nats.NewInbox()
	replies, err := nc.SubscribeSync(inbox)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = replies.Unsubscribe() }()
	return oneAtATime(n, func() (*nats.Msg, error) {
		msg := nats.NewMsg(ns.Send("counter", "latency", "increment"))
		msg.Data = []byte(`{"by":1}`)
		msg.Header.Set(wire.HeaderReply, inbox)
		if _, err := js.PublishMsg(ctx, msg); err != nil {
			return nil, err
		}
		return replies.NextMsg(5 * time.Second)
	})
}

// requestLatency sends requests one at a time. Microseconds.
func requestLatency(nc *nats.Conn, ns wire.Namespace, n int) (p50, p99 float64, err error) {
	return oneAtATime(n, func() (*nats.Msg, error) {
		return nc.Request(ns.Do("counter", "latency", "increment"), []byte(`{"by":1}`), 5*time.Second)
	})
}

// oneAtATime leaves out the first tenth, which warms up.
func oneAtATime(n int, send func() (*nats.Msg, error)) (p50, p99 float64, err error) {
	var took []time.Duration
	for i := range n {
		start := time.Now()
		reply, err := send()
		if err != nil {
			return 0, 0, err
		}
		if !strings.Contains(string(reply.Data), `"committed"`) {
			return 0, 0, fmt.Errorf("a command was not committed: %s", reply.Data)
		}
		if i > n/10 {
			took = append(took, time.Since(start))
		}
	}
	slices.Sort(took)
	micros := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	return micros(took[len(took)/2]), micros(took[len(took)*99/100]), nil
}

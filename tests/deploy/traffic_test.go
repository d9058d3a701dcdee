package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/store"
)

const (
	// clients is the number of clients. Half of them send requests, half durable commands. Each has
	// its own counters, in all partitions.
	clients        = 8
	countersOfEach = 16
	// pace is a client's pause between two commands. It leaves processor time to the other
	// processes.
	pace = 10 * time.Millisecond
)

// traffic is the work of clients while something happens to the workers. Each client sends a
// command, waits for its outcome, and sends the next, until one fails.
type traffic struct {
	*cluster
	cancel context.CancelFunc
	group  sync.WaitGroup
	mu     sync.Mutex
	calls  []call
}

// call is a command and its result.
type call struct {
	client      int
	durable     bool
	counter, id string
	sequence    int64 // that the counter must have after the command
	began       time.Time
	took        time.Duration
	outcome     store.Outcome
	err         error
}

// sender sends a command to a counter and returns its outcome.
type sender func(ctx context.Context, counter, id string) (store.Outcome, error)

func (c *cluster) traffic() *traffic {
	c.Helper()
	ctx, cancel := context.WithCancel(c.Context())
	f := &traffic{cluster: c, cancel: cancel}
	for number := range clients {
		nc := dial(c.T, identity(c.broker, "publisher"))
		send := request(nc)
		durable := number%2 == 1
		if durable {
			send = sendAndWait(nc)
		}
		f.group.Go(func() { f.run(ctx, number, durable, send) })
	}
	return f
}

// run sends one command after the other. When ctx ends, it waits for the command that has begun.
func (f *traffic) run(ctx context.Context, number int, durable bool, send sender) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		c := call{client: number, durable: durable, counter: fmt.Sprintf("%d-%d", number, n%countersOfEach),
			id: fmt.Sprintf("%d-%d", number, n), sequence: int64(n/countersOfEach + 1), began: time.Now()}
		waiting, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience/3)
		c.outcome, c.err = send(waiting, c.counter, c.id)
		cancel()
		c.took = time.Since(c.began)
		f.mu.Lock()
		f.calls = append(f.calls, c)
		f.mu.Unlock()
		if c.problem() != "" {
			return
		}
	}
}

// request sends a command like any NATS client: once, without the help of a library.
func request(nc *nats.Conn) sender {
	return func(ctx context.Context, counter, id string) (o store.Outcome, err error) {
		answer, err := nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: "maestro.do.counter." + counter + ".increment",
			Header: nats.Header{"Maestro-Command-Id": {id}}, Data: []byte(`{"by":1}`)})
		if err != nil {
			return o, err
		}
		return o, json.Unmarshal(answer.Data, &o)
	}
}

// sendAndWait stores a durable command and waits for its outcome.
func sendAndWait(nc *nats.Conn) sender {
	return func(ctx context.Context, counter, id string) (o store.Outcome, err error) {
		c, err := client.New(nc, client.Options{})
		if err != nil {
			return o, err
		}
		return c.SendAndWait(ctx, client.Command{Aggregate: "counter", AggregateID: counter, Name: "increment", ID: id,
			Data: json.RawMessage(`{"by":1}`)})
	}
}

// problem says why a call has failed. A durable command may be sent again, and is a duplicate then.
// A request is sent once.
func (c call) problem() string {
	switch {
	case c.err != nil:
		return c.err.Error()
	case c.outcome.Status != store.Committed, c.outcome.Sequence != c.sequence, c.outcome.Duplicate && !c.durable:
		return fmt.Sprintf("%+v, expected to be committed at sequence %d", c.outcome, c.sequence)
	}
	return ""
}

// more waits until every client has had that many more outcomes. It fails as soon as a client has
// failed.
func (f *traffic) more(outcomes int) {
	f.Helper()
	begin := len(f.sofar())
	eventually(f.T, "outcomes for every client", func() bool {
		f.check()
		of := make([]int, clients)
		for _, c := range f.sofar()[begin:] {
			of[c.client]++
		}
		return slices.Min(of) >= outcomes
	})
}

func (f *traffic) sofar() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls // the existing calls do not change
}

// check fails the test if a call has failed.
func (f *traffic) check() {
	f.Helper()
	for _, c := range f.sofar() {
		if problem := c.problem(); problem != "" {
			f.Fatalf("command %s for counter %s, sent at %s: %s", c.id, c.counter, c.began.Format(time.RFC3339Nano), problem)
		}
	}
}

// end waits for the commands that have begun, and returns all commands. Each has its outcome.
func (f *traffic) end() (commands []string) {
	f.Helper()
	f.cancel()
	f.group.Wait()
	f.check()
	for _, c := range f.calls {
		commands = append(commands, c.id)
	}
	return commands
}

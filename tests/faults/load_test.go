package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/tests/faults/parcel"
)

// load is a set of clients that send commands until they are told to stop. Each client sends one
// command after the other. Each command is sent until it is answered, except a few that are given
// up.
type load struct {
	*world
	history
	// wipes counts how often the command stream lost data. After a wipe, a client must store again
	// what it stored before.
	wipes   atomic.Int64
	clients sync.WaitGroup
	stop    context.CancelFunc
	give    chan struct{} // closed when the clients are to give up unanswered commands
}

const (
	loadClients = 10
	aggregates  = 200
	parcels     = 20
	hot         = 4
	// attemptTimeout is how long a client lets the library try. After that the client sends the
	// same command anew, perhaps in another way.
	attemptTimeout = 3 * time.Second
	resend         = time.Second
)

// startLoad begins to send. The seed determines the commands, but not their times.
func startLoad(w *world, seed uint64) *load {
	ctx, stop := context.WithCancel(w.Context())
	l := &load{world: w, history: history{now: w.now}, stop: stop, give: make(chan struct{})}
	for n := range loadClients {
		nc := w.connect(fmt.Sprintf("client %d", n))
		c := &loader{load: l, Client: w.client(nc, resend), number: n, random: rand.New(rand.NewPCG(seed, uint64(n)+1))}
		l.clients.Go(func() { c.run(ctx) })
	}
	return l
}

// finish stops the load and waits until everything is answered, but not longer than the patience.
func (l *load) finish() {
	l.stop()
	timer := time.AfterFunc(patience, func() { close(l.give) })
	l.clients.Wait()
	timer.Stop()
}

// loader is one client of the load.
type loader struct {
	*load
	*client.Client
	number int
	sent   int
	random *rand.Rand
}

func (c *loader) run(ctx context.Context) {
	for ctx.Err() == nil {
		switch x := c.random.Float64(); {
		case x < 0.50:
			c.do(c.begin(operation{command: c.command(), how: byRequest}))
		case x < 0.72:
			c.do(c.begin(operation{command: c.command(), how: bySend}))
		case x < 0.82:
			c.get(ctx)
		case x < 0.92:
			c.again()
		case x < 0.95:
			c.abandon(ctx)
		default:
			c.burst(ctx)
		}
		pause(ctx, time.Duration(c.random.IntN(10))*time.Millisecond)
	}
}

// aggregate picks an aggregate. A third of the commands go to a few aggregates.
func (c *loader) aggregate() string {
	if c.random.IntN(3) == 0 {
		return fmt.Sprintf("hot-%d", c.random.IntN(hot))
	}
	return fmt.Sprintf("a-%d", c.random.IntN(aggregates))
}

// command makes up a command.
func (c *loader) command() client.Command {
	c.sent++
	cmd := client.Command{ID: fmt.Sprintf("c%d-%d", c.number, c.sent), Aggregate: "counter", AggregateID: c.aggregate(), Return: client.ReturnState}
	var data string
	switch x := c.random.Float64(); {
	case x < 0.04:
		cmd.Aggregate, cmd.AggregateID, cmd.Name = "parcel", fmt.Sprintf("p-%d", c.random.IntN(parcels)), "pack"
		data = c.pack()
	case x < 0.40:
		cmd.Name, data = "increment", fmt.Sprintf(`{"by":%d}`, c.random.IntN(5))
	case x < 0.55:
		cmd.Name, data = "decrement", fmt.Sprintf(`{"by":%d}`, 1+c.random.IntN(5))
	case x < 0.70:
		cmd.Name, data = "increment_if_below", fmt.Sprintf(`{"limit":%d}`, c.random.IntN(20))
	case x < 0.75:
		cmd.Name, data = "name", fmt.Sprintf(`{"name":"name-%d"}`, c.random.IntN(50))
	default:
		steps := []string{"save", "submit", "submit", "approve", "final_approve", "final_approve", "reject", "request_payment", "handle_payment"}
		cmd.Aggregate, cmd.Name = "declaration", steps[c.random.IntN(len(steps))]
		data = fmt.Sprintf(`{"amount_cents":%d}`, c.random.IntN(1000))
	}
	cmd.Data = json.RawMessage(data)
	if c.clocks && c.random.IntN(3) == 0 {
		cmd.Deadline = farAway()
	}
	return cmd
}

// pack makes up a body: sizes of all magnitudes, and mostly a mood in which the read model accepts
// the body.
func (c *loader) pack() string {
	moods := []parcel.Mood{parcel.Fine, parcel.Fine, parcel.Fine, parcel.Shared, parcel.Shared, parcel.Slow, parcel.Panics, parcel.Ignores,
		parcel.Ends, parcel.Weakens}
	return fmt.Sprintf(`{"shape":%q,"size":%d,"mood":%q}`, parcel.Shapes[c.random.IntN(len(parcel.Shapes))],
		int(math.Pow(parcel.MaxSize, c.random.Float64())), moods[c.random.IntN(len(moods))])
}

// do sends a command until it is answered, mostly in the way in which it was sent first.
func (c *loader) do(o *operation) {
	way := o.how
	for {
		if c.try(o, way, attemptTimeout) {
			return
		}
		select {
		case <-c.give:
			c.mistakef(o, "not answered within %s after everything was healed", patience)
			return
		case <-time.After(20 * time.Millisecond):
		}
		if c.random.IntN(5) == 0 {
			way = map[how]how{byRequest: bySend, bySend: byRequest}[way]
		}
	}
}

// try sends a command once and tells whether it was answered.
func (c *loader) try(o *operation, way how, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c.attempt(o)
	send := c.Request
	if way == bySend {
		send = c.SendAndWait
	}
	outcome, err := send(ctx, o.command)
	if err == nil {
		c.answer(o, outcome)
		return true
	}
	c.judge(o, err)
	return false
}

// judge separates temporary errors from errors that no fault excuses.
func (c *loader) judge(o *operation, err error) {
	var refused *client.RefusedError
	if errors.Is(err, client.ErrInvalid) || errors.As(err, &refused) && refused.Status != "503" && refused.Status != "504" {
		c.mistakef(o, "%s", err)
	}
}

// get reads the state of an aggregate.
func (c *loader) get(ctx context.Context) {
	o := c.begin(operation{command: client.Command{Aggregate: "counter", AggregateID: c.aggregate()}, how: byRead})
	switch c.random.IntN(8) {
	case 0, 1:
		o.command.Aggregate, o.key.Type = "declaration", "declaration"
	case 2:
		o.command.Aggregate, o.command.AggregateID = "parcel", fmt.Sprintf("p-%d", c.random.IntN(parcels))
		o.key.Type, o.key.ID = o.command.Aggregate, o.command.AggregateID
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	c.attempt(o)
	state, err := c.Get(ctx, o.command.Aggregate, o.command.AggregateID, client.GetOptions{})
	if err == nil {
		c.read(o, state)
		return
	}
	c.judge(o, err)
}

// again sends a command that another client has sent, or is about to send.
func (c *loader) again() {
	o := c.pick(c.random.IntN)
	if o == nil || o.command.Name == "" {
		return
	}
	way := byRequest
	if c.random.IntN(3) == 0 {
		way = bySend
	}
	c.ungroup(o) // as a request it may overtake commands that are still in the stream
	c.try(o, way, attemptTimeout)
}

// abandon sends a command and goes away before there can be an answer.
func (c *loader) abandon(ctx context.Context) {
	o := c.begin(operation{command: c.command(), how: byRequest})
	ctx, cancel := context.WithTimeout(ctx, time.Duration(1+c.random.IntN(3))*time.Millisecond)
	defer cancel()
	c.attempt(o)
	if outcome, err := c.Request(ctx, o.command); err == nil {
		c.answer(o, outcome)
	}
}

// burst stores commands for one aggregate one after the other, and asks for their outcomes when all
// are stored.
func (c *loader) burst(ctx context.Context) {
	group, id, wipes := c.group(), c.aggregate(), c.wipes.Load()
	var stored []*operation
	for range 2 + c.random.IntN(6) {
		cmd := c.command()
		cmd.Aggregate, cmd.AggregateID, cmd.Name, cmd.Data = "counter", id, "increment", nil
		o := c.begin(operation{command: cmd, how: bySend, group: group})
		if !c.keep(ctx, o) {
			break
		}
		stored = append(stored, o)
	}
	if c.wipes.Load() != wipes { // the first commands may be lost, and come after the others when they are sent again
		for _, o := range stored {
			o.group = 0
		}
	}
	for _, o := range stored {
		c.do(o)
	}
	if c.wipes.Load() != wipes {
		for _, o := range stored {
			o.group = 0
		}
	}
}

// keep stores a command and tells whether it is stored.
func (c *loader) keep(ctx context.Context, o *operation) bool {
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, attemptTimeout)
		c.attempt(o)
		_, err := c.Send(try, o.command)
		cancel()
		if err == nil {
			return true
		}
		c.judge(o, err)
		pause(ctx, 20*time.Millisecond)
	}
	return false
}

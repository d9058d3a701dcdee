package tests

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
)

// trouble is an aggregate whose commands do things that a worker must survive.
type trouble struct {
	Sum  int    `json:"sum"`
	Text string `json:"text,omitempty"`
}

type (
	troubleRoot   = aggregate.Root[trouble]
	troubleEvents = []aggregate.Event[trouble]
)

// add is the command without anything wrong.
type add struct {
	N int `json:"n"`
}

func (c add) Decide(troubleRoot) (troubleEvents, error) { return troubleEvents{added(c)}, nil }

type added struct {
	N int `json:"n"`
}

func (e added) Evolve(t trouble) trouble { t.Sum += e.N; return t }

// note keeps a text.
type note struct {
	Text string `json:"text"`
}

func (c note) Decide(troubleRoot) (troubleEvents, error) { return troubleEvents{noted(c)}, nil }

type noted struct {
	Text string `json:"text"`
}

func (e noted) Evolve(t trouble) trouble { t.Text += e.Text; return t }

// carry puts its payload into the event unchanged.
type carry struct {
	What json.RawMessage `json:"what"`
}

func (c carry) Decide(troubleRoot) (troubleEvents, error) { return troubleEvents{carried(c)}, nil }

type carried struct {
	What json.RawMessage `json:"what"`
}

func (e carried) Evolve(t trouble) trouble { return t }

// grow leads to an event of that many bytes.
type grow struct {
	Bytes int `json:"bytes"`
}

func (c grow) Decide(troubleRoot) (troubleEvents, error) {
	return troubleEvents{noted{Text: strings.Repeat("x", c.Bytes)}}, nil
}

type panics struct{}

func (panics) Decide(troubleRoot) (troubleEvents, error) {
	var state *trouble
	return troubleEvents{added{N: state.Sum}}, nil
}

type fails struct{}

func (fails) Decide(troubleRoot) (troubleEvents, error) {
	return nil, errors.New("the disk of the tax office is full")
}

// forget returns an event without a name. empty returns a nil event. explode returns an event that
// cannot be replayed.
type forget struct{}

func (forget) Decide(troubleRoot) (troubleEvents, error) {
	return troubleEvents{added{N: 1}, forgotten{}}, nil
}

type forgotten struct{}

func (forgotten) Evolve(t trouble) trouble { return t }

type empty struct{}

func (empty) Decide(troubleRoot) (troubleEvents, error) { return troubleEvents{nil}, nil }

type explode struct{}

func (explode) Decide(troubleRoot) (troubleEvents, error) { return troubleEvents{exploded{}}, nil }

type exploded struct{}

func (exploded) Evolve(trouble) trouble { panic("no such state") }

var troubles = aggregate.Define("trouble",
	aggregate.Handles[add]("add"), aggregate.Handles[note]("note"), aggregate.Handles[carry]("carry"),
	aggregate.Handles[grow]("grow"), aggregate.Handles[panics]("panics"), aggregate.Handles[fails]("fails"),
	aggregate.Handles[forget]("forget"), aggregate.Handles[empty]("empty"), aggregate.Handles[explode]("explode"),
	aggregate.Emits[added]("added"), aggregate.Emits[noted]("noted"), aggregate.Emits[carried]("carried"),
	aggregate.Emits[exploded]("exploded"))

// run runs a worker inside the test, with an aggregate of the test's own, until the test ends.
func (s *system) run(types ...aggregate.Type) {
	s.Helper()
	ctx, stop := context.WithCancel(context.Background())
	worker, err := maestro.New(ctx, maestro.Config{NATS: s.nats, Database: s.pool, Namespace: string(s.namespace),
		Partitions: s.partitions, Aggregates: types, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(s, err)
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	s.Cleanup(func() {
		stop()
		require.NoError(s, <-ended)
	})
	s.until("the worker", func() bool { return worker.Ready(ctx) == nil })
}

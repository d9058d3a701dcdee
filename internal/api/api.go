package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/internal/membership"
	"github.com/maestro-es/maestro/internal/message"
	"github.com/maestro-es/maestro/internal/telemetry"
	"github.com/maestro-es/maestro/internal/wire"
)

// Config is what an API works with. All fields are required.
type Config struct {
	NATS      *nats.Conn
	Namespace wire.Namespace
	// Worker names this worker for people, ID names it among the members of the roster.
	Worker, ID string
	Roster     *membership.Roster
	// Lanes has the lane of each partition, or nil if this worker does not own the partition.
	Lanes []atomic.Pointer[lane.Lane]
	// Lane is the configuration that all lanes share.
	Lane lane.Config
	// Answers and Tracing are shared with the rest of the worker.
	Answers *message.Answers
	Tracing *message.Tracing
	Logger  *slog.Logger
}

// API takes requests from Start until Stop. By the end of Close, all of them are answered.
type API struct {
	Config
	service    micro.Service
	forwarding forwarding
	unobserve  func() error
	slots      chan struct{} // bounds the reads of the store on behalf of clients
	waiting    waiting
	forwards   forwards
}

// maxReads is how many reads of the store run at a time for clients.
const maxReads = 16

// New returns an API.
func New(c Config) *API {
	return &API{Config: c, slots: make(chan struct{}, maxReads), forwards: forwards{sent: map[string]forward{}},
		waiting: waiting{requests: map[int][]*request{}, held: c.Lane.Memory.Intake.Holder()}}
}

// Start begins to take requests from clients and requests that other workers forward. After an
// error it has undone everything.
func (a *API) Start() (err error) {
	if a.unobserve, err = a.observe(); err != nil {
		return err
	}
	if a.forwarding, err = a.takeForwarded(); err != nil {
		return errors.Join(err, a.unobserve())
	}
	if a.service, err = a.serve(); err != nil {
		a.forwarding.close()
		return errors.Join(err, a.unobserve())
	}
	return nil
}

// StopServing ends the NATS service, so that clients use other workers from now on.
func (a *API) StopServing() { _ = a.service.Stop() }

// Stop ends the taking of requests from clients and from other workers. Waiting requests go on
// waiting for an owner.
func (a *API) Stop() {
	a.StopServing()
	a.forwarding.refuse()
}

// Close refuses the requests that still wait. Call it after Stop.
func (a *API) Close() {
	a.waiting.close(a)
	a.forwarding.close()
	_ = a.unobserve()
}

// Review routes the requests whose partition may have another owner by now. Call it whenever owners
// have changed, and several times a second.
func (a *API) Review(now time.Time) { a.waiting.review(a, now) }

// Waiting returns how many requests have not found an owner yet.
func (a *API) Waiting() int { return a.waiting.len() }

// Rerouted returns how often a request has waited and was routed again so far.
func (a *API) Rerouted() int64 { return a.waiting.moved() }

// observe exports how many requests were routed again.
func (a *API) observe() (stop func() error, err error) {
	meter := telemetry.Meter()
	rerouted, err := meter.Int64ObservableCounter("maestro.requests.rerouted", metric.WithUnit("{request}"),
		metric.WithDescription("Requests that waited for a partition's next owner and were routed again."))
	if err != nil {
		return nil, fmt.Errorf("export metrics: %w", err)
	}
	namespace := metric.WithAttributeSet(attribute.NewSet(telemetry.NamespaceKey.String(string(a.Namespace))))
	registered, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(rerouted, a.Rerouted(), namespace)
		return nil
	}, rerouted)
	if err != nil {
		return nil, fmt.Errorf("export metrics: %w", err)
	}
	return registered.Unregister, nil
}

// errNotOwned says that nobody is known to own the partition at this moment.
var errNotOwned = errors.New("no worker owns the partition at this moment")

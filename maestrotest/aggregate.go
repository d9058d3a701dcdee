package maestrotest

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/store"
)

// Aggregate tells the history of one aggregate step by step, each step through the worker. Make one
// with [On].
type Aggregate[S any] struct {
	t          testing.TB
	worker     *Worker
	definition *aggregate.Definition[S]
	id         string
	outcome    store.Outcome
	asked      bool // the test has not yet said what it expects of the last outcome
}

// On begins a history with the aggregate of the given id, in its present state.
//
//	maestrotest.On(worker, account.Definition, "42").
//		Given(account.Open{}).
//		When(account.Deposit{Cents: 500}).
//		Then(account.Deposited{Cents: 500}).
//		When(account.Withdraw{Cents: 900}).
//		ThenRejected("insufficient_funds")
func On[S any](w *Worker, d *aggregate.Definition[S], id string) *Aggregate[S] {
	return &Aggregate[S]{t: w.t, worker: w, definition: d, id: id}
}

// Given sends commands to the worker. All of them must succeed.
func (a *Aggregate[S]) Given(commands ...aggregate.Command[S]) *Aggregate[S] {
	a.t.Helper()
	for _, c := range commands {
		a.When(c).mustBe(store.Committed)
	}
	return a
}

// When sends a command to the worker. Then, ThenRejected, ThenFailed and ThenState say what its
// outcome must be.
func (a *Aggregate[S]) When(c aggregate.Command[S]) *Aggregate[S] {
	a.t.Helper()
	if a.asked {
		a.mustBe(store.Committed)
	}
	name, body, err := a.definition.Encode(c)
	if err != nil {
		a.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a.outcome, err = a.worker.Client.Request(ctx, client.Command{Aggregate: a.definition.Name(), AggregateID: a.id, Name: name,
		Data: json.RawMessage(body), Return: client.ReturnEvents})
	if err != nil {
		a.t.Fatalf("%s %s %s: %v", a.definition.Name(), a.id, name, err)
	}
	a.asked = true
	return a
}

// Then expects that the command was committed with exactly these events, in this order. Without
// arguments, it expects that the command was committed without events.
func (a *Aggregate[S]) Then(events ...aggregate.Event[S]) *Aggregate[S] {
	a.t.Helper()
	a.mustBe(store.Committed)
	var want, got []string
	for _, e := range events {
		recorded, err := a.definition.EncodeEvent(e, 0)
		if err != nil {
			a.t.Fatal(err)
		}
		want = append(want, recorded.Type+" "+string(recorded.Body))
	}
	for _, e := range a.outcome.Events {
		got = append(got, e.Type+" "+string(e.Body))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		a.t.Fatalf("%s %s: the events are others (-want +got):\n%s", a.definition.Name(), a.id, diff)
	}
	return a
}

// ThenRejected expects that a rule refused the command with this code. The rule may belong to the
// aggregate, or to a read model that is kept in the transaction.
func (a *Aggregate[S]) ThenRejected(code string) *Aggregate[S] {
	a.t.Helper()
	return a.refused(store.Rejected, code)
}

// ThenFailed expects that the command failed with this code, such as "projection_failed".
func (a *Aggregate[S]) ThenFailed(code string) *Aggregate[S] {
	a.t.Helper()
	return a.refused(store.Failed, code)
}

func (a *Aggregate[S]) refused(status store.Status, code string) *Aggregate[S] {
	a.t.Helper()
	if a.mustBe(status); a.outcome.Error.Code != code {
		a.t.Fatalf("%s %s: expected the code %q, got %v", a.definition.Name(), a.id, code, a.outcome.Error)
	}
	return a
}

// ThenState expects the aggregate's state, by its JSON.
func (a *Aggregate[S]) ThenState(want S) *Aggregate[S] {
	a.t.Helper()
	if a.asked {
		a.mustBe(store.Committed)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, err := a.worker.Client.Get(ctx, a.definition.Name(), a.id, client.GetOptions{})
	if err != nil {
		a.t.Fatalf("state of %s %s: %v", a.definition.Name(), a.id, err)
	}
	wanted, err := json.Marshal(want)
	if err != nil {
		a.t.Fatal(err)
	}
	if diff := cmp.Diff(indented(wanted), indented(got.State)); diff != "" {
		a.t.Fatalf("%s %s: the state is another (-want +got):\n%s", a.definition.Name(), a.id, diff)
	}
	return a
}

// mustBe fails the test if the last command has another status.
func (a *Aggregate[S]) mustBe(status store.Status) {
	a.t.Helper()
	if !a.asked && a.outcome.Status == "" {
		a.t.Fatalf("%s %s: there was no command yet: call When first", a.definition.Name(), a.id)
	}
	if a.asked = false; a.outcome.Status != status {
		a.t.Fatalf("%s %s: expected the outcome %s, got %s: %v", a.definition.Name(), a.id, status, a.outcome.Status, a.outcome.Error)
	}
}

func indented(body []byte) string {
	var b bytes.Buffer
	if err := json.Indent(&b, body, "", "  "); err != nil {
		return string(body)
	}
	return b.String()
}

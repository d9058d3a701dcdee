package aggregatetest

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/maestro-es/maestro/aggregate"
)

// Scenario is a history that a test tells step by step. Make one with [For].
type Scenario[S any] struct {
	t          testing.TB
	definition *aggregate.Definition[S]
	story      *story
	decided    []aggregate.Decided
	err        error
}

// For begins a history with an aggregate without events and with the id "1". It fails the test if
// the definition has mistakes.
//
//	aggregatetest.For(t, counter.Definition).
//		Given(counter.Incremented{By: 3}).
//		When(counter.Increment{}).
//		Then(counter.Incremented{By: 1}).
//		ThenState(counter.Counter{Value: 4})
func For[S any](t testing.TB, d *aggregate.Definition[S]) *Scenario[S] {
	t.Helper()
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	return &Scenario[S]{t: t, definition: d, story: begin(d, "1")}
}

// ID begins anew with an aggregate of another id.
func (s *Scenario[S]) ID(id string) *Scenario[S] {
	s.story = begin(s.definition, id)
	return s
}

// At sets the time of the commands that follow. The default is the beginning of 2026.
func (s *Scenario[S]) At(now time.Time) *Scenario[S] {
	s.story.now = now
	return s
}

// Given applies events that have already happened.
func (s *Scenario[S]) Given(events ...aggregate.Event[S]) *Scenario[S] {
	s.t.Helper()
	s.mustHaveSucceeded()
	for _, e := range events {
		recorded, err := s.definition.EncodeEvent(e, 0)
		if err == nil {
			err = s.story.given(recorded)
		}
		if err != nil {
			s.failf("%s", err)
		}
	}
	return s
}

// When executes a command. Check the result with Then, ThenRejected and ThenState.
func (s *Scenario[S]) When(c aggregate.Command[S]) *Scenario[S] {
	s.t.Helper()
	s.mustHaveSucceeded()
	name, body, err := s.definition.Encode(c)
	if err != nil {
		s.failf("%s", err)
	}
	s.decided, s.err = s.story.when(name, body)
	return s
}

// Then expects that the command led to exactly these events, in this order. Without arguments, it
// expects that the command led to no event.
func (s *Scenario[S]) Then(events ...aggregate.Event[S]) *Scenario[S] {
	s.t.Helper()
	s.mustHaveSucceeded()
	want, got := make([]any, len(events)), make([]any, len(s.decided))
	for i, e := range events {
		recorded, err := s.definition.EncodeEvent(e, 0)
		if err == nil {
			want[i], err = s.definition.Decode(recorded)
		}
		if err != nil {
			s.failf("%s", err)
		}
	}
	for i, d := range s.decided {
		got[i] = d.Value
	}
	if diff := difference(want, got); diff != "" {
		s.failf("the events are others (-want +got):\n%s", diff)
	}
	return s
}

// ThenRejected expects that the command was refused with this code.
func (s *Scenario[S]) ThenRejected(code string) *Scenario[S] {
	s.t.Helper()
	rejection, ok := errors.AsType[*aggregate.Rejection](s.err)
	if !ok || rejection.Code != code {
		s.failf("expected a rejection with the code %q", code)
	}
	s.err, s.decided = nil, nil
	return s
}

// ThenRejectedWith expects that the command was refused with this code and these details. The
// details are compared as JSON.
func (s *Scenario[S]) ThenRejectedWith(code string, details any) *Scenario[S] {
	s.t.Helper()
	rejection, _ := errors.AsType[*aggregate.Rejection](s.err)
	s.ThenRejected(code)
	want, err := json.Marshal(details)
	if err != nil {
		s.failf("%s", err)
	}
	if diff := difference(inGo(want), inGo(rejection.Details)); diff != "" {
		s.failf("the details of the rejection are others (-want +got):\n%s", diff)
	}
	return s
}

// inGo returns the Go value of JSON, or nil if there is no JSON.
func inGo(body json.RawMessage) (value any) {
	_ = json.Unmarshal(body, &value)
	return value
}

// ThenState expects the state after everything that happened. An empty map or slice equals a nil
// one.
func (s *Scenario[S]) ThenState(want S) *Scenario[S] {
	s.t.Helper()
	s.mustHaveSucceeded()
	root, _ := s.story.instance.Root().(aggregate.Root[S])
	if diff := difference(want, root.State); diff != "" {
		s.failf("the state is another (-want +got):\n%s", diff)
	}
	return s
}

// mustHaveSucceeded fails the test if a command was refused and the test did not expect that.
func (s *Scenario[S]) mustHaveSucceeded() {
	s.t.Helper()
	if s.err != nil {
		s.failf("the command did not succeed")
	}
}

// failf fails the test with the story so far and the reason.
func (s *Scenario[S]) failf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\n\n"+format, append([]any{s.story}, args...)...)
}

// difference compares all fields, including those that are not exported.
func difference(want, got any) string {
	everything := cmp.Exporter(func(reflect.Type) bool { return true })
	return cmp.Diff(want, got, everything, cmpopts.EquateEmpty())
}

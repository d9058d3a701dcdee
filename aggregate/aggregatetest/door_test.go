package aggregatetest_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/maestro-es/maestro/aggregate"
)

// door is the aggregate that these tests use. It counts how often it was opened, and remembers by
// whom.
type door struct {
	Open   bool
	Opened int
	By     []string
}

type openDoor struct {
	Who string `json:"who"`
}

func (c openDoor) Decide(r aggregate.Root[door]) ([]aggregate.Event[door], error) {
	if r.State.Open {
		return nil, aggregate.Reject("open_already", "%s stands open since %d", r.ID, r.Sequence)
	}
	if c.Who == "" {
		panic("nobody opens the door")
	}
	return []aggregate.Event[door]{opened{Who: c.Who, At: r.Command.Time}}, nil
}

type closeDoor struct{}

func (closeDoor) Decide(r aggregate.Root[door]) ([]aggregate.Event[door], error) {
	if !r.State.Open {
		return nil, nil
	}
	return []aggregate.Event[door]{closed{}}, nil
}

type opened struct {
	Who string    `json:"who"`
	At  time.Time `json:"at"`
}

func (e opened) Evolve(d door) door {
	return door{Open: true, Opened: d.Opened + 1, By: append(slices.Clip(d.By), e.Who)}
}

type closed struct{}

func (closed) Evolve(d door) door {
	d.Open = false
	return d
}

// addTime is an upcast, because the first version of opened had no time.
func addTime(body json.RawMessage) (json.RawMessage, error) {
	var old struct {
		Who string `json:"who"`
	}
	if err := json.Unmarshal(body, &old); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `{"who":%q,"at":"1999-12-31T00:00:00Z"}`, old.Who), nil
}

var doors = aggregate.Define("door",
	aggregate.Handles[openDoor]("open"), aggregate.Handles[closeDoor]("close"),
	aggregate.Emits[opened]("opened", addTime), aggregate.Emits[closed]("closed"))

// recorder replaces a test, and keeps the failures that are reported to it.
type recorder struct {
	testing.TB
	failures []string
}

func (*recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

// failures runs a test and returns how it failed.
func failures(test func(testing.TB)) []string {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(r)
	}()
	<-done
	return r.failures
}

package aggregatetest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/maestro-es/maestro/aggregate"
)

// Sound finds mistakes that any definition can have:
//
//   - mistakes that [aggregate.Definition.Err] reports, with which a worker refuses to start;
//   - events that change on their way through JSON, or have fields that JSON does not keep;
//   - commands that neither succeed nor reject, even with an empty payload: they panic, lead to
//     events that are not registered, or return another error;
//   - states that change on their way through a snapshot;
//   - commands and events that change the maps and slices of the state that they are given.
//
// Sound executes the commands one after the other on one aggregate, and each one also in the place
// of every other. A handful of commands that touch all parts of the state therefore finds most
// mistakes.
func Sound[S any](t testing.TB, d *aggregate.Definition[S], commands ...aggregate.Command[S]) {
	t.Helper()
	if err := d.Err(); err != nil {
		t.Errorf("%s", err)
		return
	}
	for _, name := range d.EventNames() {
		goType, _ := d.EventType(name)
		for _, field := range lostFields(goType) {
			t.Errorf("event %q: %s", name, field)
		}
		checkRoundTrip(t, d, name, goType)
	}
	for _, name := range d.CommandNames() {
		_, err := execute(d.New("1"), call{name: name})
		if _, payload := errors.AsType[*aggregate.PayloadError](err); !payload {
			checkOutcome(t, err)
		}
	}
	checkCommands(t, d, commands)
}

// checkRoundTrip encodes and decodes the zero value of an event.
func checkRoundTrip[S any](t testing.TB, d *aggregate.Definition[S], name string, goType reflect.Type) {
	t.Helper()
	zero := reflect.Zero(goType)
	if goType.Kind() == reflect.Pointer {
		zero = reflect.New(goType.Elem())
	}
	want, _ := reflect.TypeAssert[aggregate.Event[S]](zero)
	recorded, err := d.EncodeEvent(want, 1)
	if err != nil {
		t.Errorf("%s", err)
		return
	}
	got, err := d.Decode(recorded)
	if err != nil {
		t.Errorf("event %q: its JSON %s does not read back: %s", name, recorded.Body, err)
	} else if diff := difference(any(want), got); diff != "" {
		t.Errorf("event %q: its JSON %s reads back as another value (-before +after):\n%s", name, recorded.Body, diff)
	}
}

// call is a command in the form in which it is executed.
type call struct {
	name string
	body []byte
}

func execute(i aggregate.Instance, c call) ([]aggregate.Decided, error) {
	return i.Execute(c.name, c.body, aggregate.Metadata{ID: "sound", Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
}

// checkOutcome fails the test if a command neither succeeded nor was rejected.
func checkOutcome(t testing.TB, err error) {
	t.Helper()
	if _, rejected := errors.AsType[*aggregate.Rejection](err); err != nil && !rejected {
		t.Errorf("%s", err)
	}
}

func checkCommands[S any](t testing.TB, d *aggregate.Definition[S], commands []aggregate.Command[S]) {
	t.Helper()
	calls := make([]call, 0, len(commands))
	for _, c := range commands {
		name, body, err := d.Encode(c)
		if err != nil {
			t.Errorf("%s", err)
			continue
		}
		calls = append(calls, call{name, body})
	}
	live := d.New("1")
	checkSnapshot(t, d, live)
	for _, c := range calls {
		checkPurity(t, live, c, calls)
		_, err := execute(live, c)
		checkOutcome(t, err)
		checkSnapshot(t, d, live)
	}
}

// checkPurity executes a command on one copy of the aggregate and all other commands on further
// copies. No effect may show in another copy or in the original.
func checkPurity(t testing.TB, live aggregate.Instance, c call, others []call) {
	t.Helper()
	before, _ := live.State()
	branch := live.Clone()
	_, _ = execute(branch, c)
	after, _ := branch.State()
	for _, other := range others {
		_, _ = execute(live.Clone(), other)
	}
	stillBefore, _ := live.State()
	stillAfter, _ := branch.State()
	if string(before) != string(stillBefore) || string(after) != string(stillAfter) {
		t.Errorf("command %q or one of its events changes the state it is given: work on copies (slices.Clone, maps.Clone)\n"+
			"%s\n%s", c.name, difference(string(before), string(stillBefore)), difference(string(after), string(stillAfter)))
	}
}

// checkSnapshot checks that the aggregate can be restored from its snapshot.
func checkSnapshot(t testing.TB, d aggregate.Type, live aggregate.Instance) {
	t.Helper()
	if err := restores(d, live); err != nil {
		t.Errorf("%s", err)
	}
}

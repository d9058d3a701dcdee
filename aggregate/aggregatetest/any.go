package aggregatetest

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/maestro-es/maestro/aggregate"
)

// Any sends random commands to an aggregate, and demands after each command that
//
//   - the command succeeded or was rejected: it did not panic or return another error;
//   - deciding the command has not changed the state that the command was given;
//   - the state is the same after a snapshot, and after a replay of all events;
//   - holds, which may be nil, finds no fault with the aggregate.
//
// If a demand is broken, Any shows the shortest list of commands that breaks it, as a history. The
// generator makes a command. [rapid.Make] makes a command with random fields, and [rapid.Custom]
// chooses among several:
//
//	rapid.Custom(func(t *rapid.T) aggregate.Command[Counter] {
//		switch rapid.IntRange(0, 1).Draw(t, "command") {
//		case 0:
//			return rapid.Make[Increment]().Draw(t, "increment")
//		default:
//			return Reset{}
//		}
//	})
//
// The flag -rapid.checks of package rapid sets how many lists are tried. The default is 100.
func Any[S any](t *testing.T, d *aggregate.Definition[S], command *rapid.Generator[aggregate.Command[S]],
	holds func(aggregate.Root[S]) error,
) {
	t.Helper()
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		commands := rapid.SliceOfN(command, 1, 40).Draw(rt, "commands")
		s := begin(d, "1")
		if fault := anyOf(d, s, commands, holds); fault != nil {
			rt.Fatalf("%s\n\n%s", s, fault)
		}
	})
}

// anyOf executes commands until a demand of [Any] is broken.
func anyOf[S any](d *aggregate.Definition[S], s *story, commands []aggregate.Command[S],
	holds func(aggregate.Root[S]) error,
) error {
	var events []aggregate.Recorded
	for _, c := range commands {
		name, body, err := d.Encode(c)
		if err != nil {
			return err
		}
		if fault := changes(s.instance, call{name, body}); fault != nil {
			return fault
		}
		decided, err := s.when(name, body)
		if _, rejected := errors.AsType[*aggregate.Rejection](err); err != nil && !rejected {
			return errors.New("the command neither succeeded nor was rejected")
		}
		for _, e := range decided {
			events = append(events, e.Recorded)
		}
		if fault := comesBack(d, s.instance, events); fault != nil {
			return fault
		}
		if root, is := s.instance.Root().(aggregate.Root[S]); is && holds != nil {
			if fault := holds(root); fault != nil {
				return fault
			}
		}
	}
	return nil
}

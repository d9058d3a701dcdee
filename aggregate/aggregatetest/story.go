package aggregatetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/maestro-es/maestro/aggregate"
)

// story executes commands on one aggregate, and writes down what happens, line by line.
type story struct {
	instance aggregate.Instance
	now      time.Time
	commands int
	lines    []string
}

// begin returns a story of an aggregate without events. Its commands run at the beginning of 2026
// unless another time is set.
func begin(d aggregate.Type, id string) *story {
	return &story{instance: d.New(id), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (s *story) tellf(word, format string, args ...any) {
	s.lines = append(s.lines, strings.TrimRight(word+" "+fmt.Sprintf(format, args...), " "))
}

// given applies an event that happened before. It gets the next sequence.
func (s *story) given(r aggregate.Recorded) error {
	s.tellf("given", "%s", eventLine(r))
	r.Sequence = s.instance.Sequence() + 1
	return s.instance.Apply(r)
}

// when executes a command. Command ids count from 1: "command-1".
func (s *story) when(name string, body json.RawMessage) ([]aggregate.Decided, error) {
	s.tellf("when", "%s %s", name, body)
	s.commands++
	decided, err := s.instance.Execute(name, body, aggregate.Metadata{ID: fmt.Sprintf("command-%d", s.commands), Time: s.now})
	if err != nil {
		s.refused(err)
		return nil, err
	}
	for _, d := range decided {
		s.tellf("then", "%s", eventLine(d.Recorded))
	}
	if len(decided) == 0 {
		s.tellf("then", "nothing")
	}
	return decided, nil
}

// refused writes an error in one line.
func (s *story) refused(err error) {
	text := strings.ReplaceAll(err.Error(), "\n", " ")
	if _, ok := errors.AsType[*aggregate.Rejection](err); ok {
		s.tellf("rejected", "%s", text)
	} else {
		s.tellf("failed", "%s", text)
	}
}

func (s *story) state() {
	if state, err := s.instance.State(); err != nil {
		s.refused(err)
	} else {
		s.tellf("state", "%s", state)
	}
}

func (s *story) String() string { return strings.Join(s.lines, "\n") }

// eventLine returns an event as "name body", or as "name@version body" from the second version on.
func eventLine(r aggregate.Recorded) string {
	if r.Version > 1 {
		return fmt.Sprintf("%s@%d %s", r.Type, r.Version, r.Body)
	}
	return fmt.Sprintf("%s %s", r.Type, r.Body)
}

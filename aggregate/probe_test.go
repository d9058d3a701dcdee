package aggregate_test

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/maestro-es/maestro/aggregate"
)

// probe is an aggregate whose command can do everything that may go wrong. Its state is the trace
// of its events.
var probe = aggregate.Define("probe",
	aggregate.Handles[do]("do"),
	aggregate.Emits[happened]("happened"),
	aggregate.Emits[exploded]("exploded"),
	aggregate.Emits[unwritable]("unwritable"),
	aggregate.Emits[unreadable]("unreadable"))

type trace struct {
	Steps []happened
	// hidden is set by Evolve from a field that JSON does not keep.
	hidden string
}

type do struct {
	What string    `json:"what"`
	At   time.Time `json:"at"`
}

var errOwn = errors.New("an error of the command's own")

func (c do) Decide(r aggregate.Root[trace]) ([]aggregate.Event[trace], error) {
	first := happened{What: "first", At: c.At}
	switch c.What {
	case "nothing":
		return nil, nil
	case "reject":
		return []aggregate.Event[trace]{first}, aggregate.Reject("not_now", "%s is at %d", r.ID, r.Sequence)
	case "fail":
		return nil, errOwn
	case "panic":
		panic("in Decide")
	case "explode":
		return []aggregate.Event[trace]{first, exploded{}}, nil
	case "stranger":
		return []aggregate.Event[trace]{first, stranger{}}, nil
	case "pointer":
		return []aggregate.Event[trace]{&first}, nil
	case "nil":
		return []aggregate.Event[trace]{first, nil}, nil
	case "unwritable":
		return []aggregate.Event[trace]{first, unwritable{Done: make(chan bool)}}, nil
	case "unreadable":
		return []aggregate.Event[trace]{first, unreadable{}}, nil
	case "several":
		return []aggregate.Event[trace]{first, happened{What: "second"}, happened{What: "third"}}, nil
	case "clock":
		return []aggregate.Event[trace]{happened{What: r.Command.ID, At: time.Now(), hidden: "lost"}}, nil
	default:
		return []aggregate.Event[trace]{happened{What: c.What, At: r.Command.Time}}, nil
	}
}

type happened struct {
	What   string    `json:"what"`
	At     time.Time `json:"at,omitzero"`
	hidden string
}

func (e happened) Evolve(s trace) trace {
	return trace{Steps: append(slices.Clip(s.Steps), e), hidden: e.hidden}
}

// exploded is an event whose Evolve is broken.
type exploded struct{}

func (exploded) Evolve(trace) trace { panic("in Evolve") }

// stranger is an event that the definition does not know.
type stranger struct{}

func (stranger) Evolve(s trace) trace { return s }

// unwritable is an event that cannot be encoded as JSON. unreadable is an event whose JSON cannot
// be decoded.
type (
	unwritable struct{ Done chan bool }
	unreadable struct{}
)

func (unwritable) Evolve(s trace) trace { return s }
func (unreadable) Evolve(s trace) trace { return s }

func (*unreadable) UnmarshalJSON([]byte) error { return errOwn }

var _ json.Unmarshaler = (*unreadable)(nil)

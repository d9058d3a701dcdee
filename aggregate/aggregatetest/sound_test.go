package aggregatetest_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/aggregate/aggregatetest"
)

// shelf is an aggregate into which a test can put any mistake.
type shelf struct {
	Books  []string
	Labels map[string]string `json:",omitempty"`
	hidden int
}

type put struct{ Book, Mistake string }

func (c put) Decide(r aggregate.Root[shelf]) ([]aggregate.Event[shelf], error) {
	switch c.Mistake {
	case "":
		return []aggregate.Event[shelf]{stored{Book: c.Book}}, nil
	case "rejected":
		return nil, aggregate.Reject("full", "the shelf is full")
	case "sorts the given books":
		r.State.Books[0] = c.Book
		return nil, nil
	case "unregistered":
		return []aggregate.Event[shelf]{unknown{}}, nil
	case "appends":
		return []aggregate.Event[shelf]{appended{c.Book}}, nil
	case "labels":
		return []aggregate.Event[shelf]{labelled{c.Book}}, nil
	case "hides":
		return []aggregate.Event[shelf]{hid{}}, nil
	default:
		return nil, errors.New(c.Mistake)
	}
}

type (
	stored   struct{ Book string }
	appended struct{ Book string }
	labelled struct{ Book string }
	hid      struct{}
	unknown  struct{}
)

func (e stored) Evolve(s shelf) shelf {
	s.Books = append(slices.Clip(s.Books), e.Book)
	return s
}

// Evolve may write to the spare capacity of a slice that an earlier state still uses.
func (e appended) Evolve(s shelf) shelf {
	if s.Books == nil {
		s.Books = make([]string, 0, 8)
	}
	s.Books = append(s.Books, e.Book)
	return s
}

func (e labelled) Evolve(s shelf) shelf {
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	s.Labels[e.Book] = "read"
	return s
}

func (hid) Evolve(s shelf) shelf {
	s.hidden++
	return s
}

func (unknown) Evolve(s shelf) shelf { return s }

// JSON does not keep these events.
type (
	secretive struct{ secret string } //nolint:unused // that is the mistake
	deep      struct {
		List []map[string]*struct{ inner int }
		When time.Time
		Any  any
	}
	vague    struct{ What fmt.Stringer }
	mute     struct{ Done chan bool }
	deaf     struct{}
	shifting struct{ N int }
	excused  struct {
		Cache chan int `json:"-"`
		At    moment
	}
	moment struct{ time.Time }
)

func (secretive) Evolve(s shelf) shelf { return s }
func (deep) Evolve(s shelf) shelf      { return s }
func (vague) Evolve(s shelf) shelf     { return s }
func (mute) Evolve(s shelf) shelf      { return s }
func (deaf) Evolve(s shelf) shelf      { return s }
func (shifting) Evolve(s shelf) shelf  { return s }
func (*excused) Evolve(s shelf) shelf  { return s }

func (*deaf) UnmarshalJSON([]byte) error       { return errors.New("what?") }
func (e *shifting) UnmarshalJSON([]byte) error { e.N = 1; return nil }

func shelves(options ...aggregate.Option[shelf]) *aggregate.Definition[shelf] {
	return aggregate.Define("shelf", append(options, aggregate.Handles[put]("put"), aggregate.Emits[stored]("stored"),
		aggregate.Emits[appended]("appended"), aggregate.Emits[labelled]("labelled"), aggregate.Emits[hid]("hid"))...)
}

func TestASoundDefinitionPasses(t *testing.T) {
	t.Parallel()
	aggregatetest.Sound(t, shelves(aggregate.Emits[*excused]("excused")), put{Book: "Emma"}, put{Book: "Ivanhoe"},
		put{Mistake: "rejected"}, put{Book: "Walden"})
}

func TestSoundFinds(t *testing.T) {
	t.Parallel()
	type commands = []aggregate.Command[shelf]
	for name, c := range map[string]struct {
		definition *aggregate.Definition[shelf]
		commands   commands
		want       string
	}{
		"what Err reports": {aggregate.Define[shelf]("shelf"), nil, "no command"},
		"a field that is not exported": {shelves(aggregate.Emits[secretive]("secretive")), nil,
			`event "secretive": aggregatetest_test.secretive.secret is not exported, JSON does not keep it`},
		"such a field deep inside": {shelves(aggregate.Emits[deep]("deep")), nil,
			"aggregatetest_test.deep.List.inner is not exported"},
		"a field of an interface type": {shelves(aggregate.Emits[vague]("vague")), nil,
			"aggregatetest_test.vague.What is an interface"},
		"an event without JSON": {shelves(aggregate.Emits[mute]("mute")), nil, "unsupported type: chan bool"},
		"an event that does not read back": {shelves(aggregate.Emits[deaf]("deaf")), nil,
			`event "deaf": its JSON {} does not read back`},
		"an event that reads back otherwise": {shelves(aggregate.Emits[shifting]("shifting")), nil,
			`event "shifting": its JSON {"N":0} reads back as another value`},
		"a panic on an empty payload": {nil, nil, "command door open panicked: nobody opens the door"},
		"a command that is not registered": {shelves(), commands{&put{}},
			`has no command "*aggregatetest_test.put"`},
		"an event that is not registered": {shelves(), commands{put{Mistake: "unregistered"}},
			"event type aggregatetest_test.unknown has no name"},
		"an error that is no rejection": {shelves(), commands{put{Mistake: "no books left"}}, "no books left"},
		"a state that a snapshot does not keep": {shelves(), commands{put{Mistake: "hides"}},
			"the state is another after a snapshot"},
		"a Decide that changes the state": {shelves(), commands{put{Book: "Emma"}, put{"Ada", "sorts the given books"}},
			"changes the state it is given"},
		"an Evolve that appends in place": {shelves(),
			commands{put{"Emma", "appends"}, put{"Ivanhoe", "appends"}, put{"Walden", "appends"}}, "changes the state it is given"},
		"an Evolve that writes to a map": {shelves(),
			commands{put{"Emma", "labels"}, put{"Walden", "labels"}}, "changes the state it is given"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := failures(func(tb testing.TB) {
				if c.definition == nil {
					aggregatetest.Sound(tb, doors)
					return
				}
				aggregatetest.Sound(tb, c.definition, c.commands...)
			})
			require.NotEmpty(t, got)
			require.Contains(t, got[0], c.want)
		})
	}
}

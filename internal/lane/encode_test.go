package lane_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/store"
)

// Odd is a state whose encoder misbehaves, so its JSON and its snapshot fail.
type Odd struct{ How string }

// never blocks code that shall not return. It is closed when the test ends.
var never chan struct{}

// MarshalJSON misbehaves in the way that the state says.
func (o Odd) MarshalJSON() ([]byte, error) {
	switch o.How {
	case "exits":
		runtime.Goexit()
	case "panics":
		panic("no JSON")
	case "fails":
		return nil, errors.New("no JSON")
	case "waits":
		<-never
	}
	return fmt.Appendf(nil, "{%q:%q}", "How", o.How), nil
}

// Become leads to an event that makes the state misbehave.
type Become struct{ How string }

func (c Become) Decide(aggregate.Root[Odd]) ([]aggregate.Event[Odd], error) {
	return []aggregate.Event[Odd]{Became(c)}, nil
}

// Became is the event of Become.
type Became struct{ How string }

func (e Became) Evolve(Odd) Odd { return Odd(e) }

var odd = aggregate.Define("odd", aggregate.Handles[Become]("become"), aggregate.Emits[Became]("became"), aggregate.SnapshotEvery[Odd](1))

func become(id, command, how string) *lane.Command {
	return &lane.Command{Key: store.Key{Type: "odd", ID: id}, ID: command, Name: "become", Body: body(Become{how})}
}

// A state or a snapshot that cannot be encoded affects only the clients that asked for it. Commands
// are committed, clients that wanted the state learn why they do not get it, and the partition goes
// on.
func TestAStateThatCannotBeWrittenStopsNobody(t *testing.T) {
	never = make(chan struct{})
	t.Cleanup(func() { close(never) })
	for how, why := range map[string]string{"exits": "runtime.Goexit", "panics": "no JSON", "fails": "no JSON", "waits": "has not come back"} {
		t.Run(how, func(t *testing.T) {
			log := &lineLog{}
			s := store.NewMemory(1)
			r := newRig(t, s, func(c *lane.Config) {
				c.Types["odd"], c.Logger = odd, log.logger()
				if how == "waits" {
					c.Budgets.Silence = time.Millisecond
				}
			}).run()
			answers := make(chan store.Outcome, 2)
			ask := func(command string) store.Outcome {
				c := become("a", command, how)
				c.Return = lane.ReturnState
				c.Done = func(result lane.Result) { answers <- result.Answer() }
				require.NoError(t, r.Submit(t.Context(), c))
				return <-answers
			}
			for range 2 { // the second is a duplicate
				o := ask("1")
				require.Equal(t, store.Committed, o.Status)
				require.NotNil(t, o.Error)
				require.Equal(t, "state_unavailable", o.Error.Code)
				require.Contains(t, o.Error.Message, why)
			}
			require.Equal(t, "committed", status(r.one(become("b", "2", how)).Outcome), "the lane goes on, with another snapshot")
			require.Equal(t, "committed", status(r.one(become("a", "3", "well")).Outcome))
			require.Contains(t, strings.Join(log.all(), "\n"), "no snapshot could be taken")

			require.Equal(t, "committed", status(r.one(become("a", "4", how)).Outcome))
			duplicate := ask("1") // its state is not the one in memory, so it is read from the log beside the lane
			require.Equal(t, "state_unavailable", duplicate.Error.Code)
			require.Contains(t, duplicate.Error.Message, why)
			looked := make(chan error, 1)
			require.NoError(t, r.SubmitRead(t.Context(), &lane.Read{Key: store.Key{Type: "odd", ID: "a"}, Done: func(err error) { looked <- err },
				Look: func(i aggregate.Instance) error {
					_, err := r.StateOf(store.Key{Type: "odd", ID: "a"}, i)
					return err
				}}))
			require.ErrorContains(t, <-looked, why)
		})
	}
}

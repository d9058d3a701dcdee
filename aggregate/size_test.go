package aggregate_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
)

type bag struct {
	Count int
	Name  string
	Lines []string
	Seen  map[string]int64
	Next  *bag
	Any   any
}

type pack struct{}

func (pack) Decide(aggregate.Root[bag]) ([]aggregate.Event[bag], error) { return nil, nil }

// bagOf returns an aggregate with this state.
func bagOf(b bag) aggregate.Instance {
	return aggregate.Define("bag", aggregate.Handles[pack]("pack"), aggregate.Starts(func() bag { return b })).New("1")
}

func TestBytesComeNearToTheMemoryInUse(t *testing.T) {
	for name, fill := range map[string]func(n int) bag{
		"nothing":  func(int) bag { return bag{} },
		"a string": func(n int) bag { return bag{Name: strings.Repeat("x", n)} },
		"a slice": func(n int) bag {
			b := bag{Lines: make([]string, n/100)}
			for i := range b.Lines {
				b.Lines[i] = strings.Repeat("x", 100)
			}
			return b
		},
		"a map": func(n int) bag {
			b := bag{Seen: map[string]int64{}}
			for i := range n / 100 {
				b.Seen[strings.Repeat("x", 50)+string(rune(i))] = 1
			}
			return b
		},
		"pointers": func(n int) bag { return bag{Next: &bag{Any: bag{Name: strings.Repeat("x", n)}}} },
	} {
		const n = 100_000
		state := fill(n)
		estimate := bagOf(state).Bytes()
		took := bytesTaken(func() any { return bagOf(fill(n)) })
		require.InDelta(t, took, estimate, float64(took)/2+2000, name) // each has a definition too
	}
}

// bytesTaken returns how much heap a value takes. It builds many values, so that everything else
// on the heap does not matter.
func bytesTaken(build func() any) int {
	values := make([]any, 100)
	before := heapInUse()
	for i := range values {
		values[i] = build()
	}
	after := heapInUse()
	runtime.KeepAlive(values)
	return (after - before) / len(values)
}

func heapInUse() int {
	var m runtime.MemStats
	for range 3 { // pooled values outlive one collection
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestBytesOfACircleHaveAnEnd(t *testing.T) {
	t.Parallel()
	b := bag{Lines: make([]string, 1_000_000)}
	b.Next = &b
	require.Positive(t, bagOf(b).Bytes())
}

func TestWhenIdle(t *testing.T) {
	t.Parallel()
	idle := func(i aggregate.Idle) *aggregate.Definition[bag] {
		return aggregate.Define("bag", aggregate.Handles[pack]("pack"), aggregate.WhenIdle[bag](i))
	}
	require.Equal(t, aggregate.Exit, aggregate.Define("bag", aggregate.Handles[pack]("pack")).WhenIdle())
	require.Equal(t, aggregate.Stay, idle(aggregate.Stay).WhenIdle())
	require.ErrorContains(t, idle(7).Err(), "expected Exit, ExitWithSnapshot or Stay")
}

// Package counter is the first example: a counter with a name that no other counter has, and tags.
//
//	counter.go   the state, and the names on the wire
//	commands.go  what can be asked of a counter
//	events.go    what can happen to it
//	names.go     the table that keeps names unique, written in the transaction that commits the events
//
// It is the example of the Elixir original, elixir-toniq/maestro, told in Go.
package counter

import (
	"slices"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/projections"
)

// Counter is the state. It is a value: no event changes it in place.
type Counter struct {
	Value int64    `json:"value"`
	Name  string   `json:"name,omitempty"`
	Tags  []string `json:"tags,omitempty"` // in alphabetical order, each once
}

// find returns where the tag is, or where it would be.
func (c Counter) find(tag string) (at int, found bool) { return slices.BinarySearch(c.Tags, tag) }

// Definition puts the parts together. The names on the wire stay the same when a Go type is
// renamed.
var Definition = aggregate.Define("counter",
	aggregate.Handles[Increment]("increment"),
	aggregate.Handles[Decrement]("decrement"),
	aggregate.Handles[IncrementIfBelow]("increment_if_below"),
	aggregate.Handles[Name]("name"),
	aggregate.Handles[AddTag]("add_tag"),
	aggregate.Handles[RemoveTag]("remove_tag"),

	aggregate.Emits[Incremented]("incremented"),
	aggregate.Emits[Decremented]("decremented"),
	aggregate.Emits[Named]("named"),
	aggregate.Emits[TagAdded]("tag_added"),
	aggregate.Emits[TagRemoved]("tag_removed"),

	aggregate.SnapshotEvery[Counter](100))

// Projections are the read models that agree with the counters at every instant.
func Projections() []*projections.Projection { return []*projections.Projection{Names} }

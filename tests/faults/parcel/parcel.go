// Package parcel is an aggregate for workers that faults strike. Its events have bodies of any size
// and shape, and its read model has moods.
//
// The state has a digest of every byte of all bodies. A body that does not come back as it was
// written therefore leads to another state. The read model is sometimes slow, ignores an error,
// panics, ends its transaction, weakens its session, or writes a row that all partitions share.
package parcel

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/maestro-es/maestro/aggregate"
)

// Parcel is the state.
type Parcel struct {
	Bytes  int    `json:"bytes"`
	Digest string `json:"digest,omitempty"` // of all bodies so far
}

// Definition puts the aggregate together.
var Definition = aggregate.Define("parcel",
	aggregate.Handles[Pack]("pack"), aggregate.Emits[Packed]("packed"), aggregate.SnapshotEvery[Parcel](10))

// Pack adds a body of the given shape and of about the given size, for a read model in the given
// mood.
type Pack struct {
	Shape Shape `json:"shape"`
	Size  int   `json:"size"`
	Mood  Mood  `json:"mood,omitempty"`
}

// Decide makes the body.
func (c Pack) Decide(aggregate.Root[Parcel]) ([]aggregate.Event[Parcel], error) {
	return []aggregate.Event[Parcel]{Packed{Mood: c.Mood, Body: c.Shape.body(c.Size)}}, nil
}

// Packed says that a body was added.
type Packed struct {
	Mood Mood            `json:"mood,omitempty"`
	Body json.RawMessage `json:"body"`
}

// Evolve looks at each byte.
func (e Packed) Evolve(p Parcel) Parcel {
	sum := sha256.Sum256(append([]byte(p.Digest), e.Body...))
	return Parcel{Bytes: p.Bytes + len(e.Body), Digest: hex.EncodeToString(sum[:])}
}

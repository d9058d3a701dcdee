package message

import (
	"testing"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/store"
)

type idle struct{}

type rest struct{}

func (rest) Decide(aggregate.Root[idle]) ([]aggregate.Event[idle], error) { return nil, nil }

// BenchmarkUntraced measures the cost of tracing for an unrecorded command.
//
//	go test -run '^$' -bench Untraced -benchmem ./internal/message
func BenchmarkUntraced(b *testing.B) {
	types := map[string]aggregate.Type{"idle": aggregate.Define("idle", aggregate.Handles[rest]("rest"))}
	tracing := NewTracing("maestro", types)
	b.ReportAllocs()
	for b.Loop() {
		cmd := lane.Command{Key: store.Key{Type: "idle", ID: "a"}, Name: "rest", Subject: "maestro.do.idle.a.rest", ID: "1"}
		tracing.Start(&cmd)
	}
}

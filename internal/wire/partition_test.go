package wire_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/wire"
)

// The server decides where a durable command is stored. This package decides where a request goes.
// Both must give the same partition, because otherwise an aggregate has two owners.
func TestPartitionIsTheServers(t *testing.T) {
	t.Parallel()
	nc := localnats.ForTest(t).Connect(t)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	for _, n := range []int{1, 2, 7, 64, 1000} {
		ns := wire.Namespace(fmt.Sprintf("ns_%d", n))
		stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
			Name:             ns.CommandStream(),
			Subjects:         []string{ns.Commands()},
			SubjectTransform: &jetstream.SubjectTransformConfig{Source: ns.Commands(), Destination: ns.CommandTransform(n)},
		})
		require.NoError(t, err)
		aggregates := someAggregates(200)
		for _, a := range aggregates {
			_, err := js.PublishAsync(ns.Send(a.typ, a.id, "do_it"), nil)
			require.NoError(t, err)
		}
		<-js.PublishAsyncComplete()
		for i, a := range aggregates {
			stored, err := stream.GetMsg(t.Context(), uint64(i+1))
			require.NoError(t, err)
			p := wire.Partition(a.typ, a.id, n)
			inPartition, isOne := strings.CutSuffix(ns.CommandsOf(p), ">")
			require.True(t, isOne)
			require.Equal(t, inPartition+a.typ+"."+a.id+".do_it", stored.Subject, "partition of %v among %d", a, n)
		}
	}
}

type key struct{ typ, id string }

// someAggregates have names and ids of every length and with every character that is allowed.
func someAggregates(n int) []key {
	const lower, other = "abcdefghijklmnopqrstuvwxyz", "0123456789_"
	const idAlphabet = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + other + "~:=+@-"
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(alphabet string, length int) string {
		var b strings.Builder
		for range length {
			b.WriteByte(alphabet[r.IntN(len(alphabet))])
		}
		return b.String()
	}
	all := []key{{"counter", "42"}, {"a", "bc"}, {"ab", "c"}, {"a", idAlphabet}}
	for len(all) < n {
		typ := pick(lower, 1) + pick(lower+other, r.IntN(64))
		all = append(all, key{typ, pick(idAlphabet, 1+r.IntN(128))})
	}
	return all
}

func TestPartitionIsInRange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 4096).Draw(t, "n")
		p := wire.Partition(rapid.String().Draw(t, "type"), rapid.String().Draw(t, "id"), n)
		if p < 0 || p >= n {
			t.Fatalf("partition %d of %d", p, n)
		}
	})
}

// These values are for implementations in other languages. docs/protocol.md names them too.
func TestPartitionOfKnownAggregates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ, id string
		want    int
	}{
		{"counter", "42", 5},
		{"counter", "43", 50},
		{"declaration", "86791", 36},
		{"a", "b-c", 50},
		{"account", "user@example+1", 21},
	} {
		require.Equal(t, c.want, wire.Partition(c.typ, c.id, 64), "%s %s", c.typ, c.id)
	}
}

package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/aggregate/aggregatetest"
)

func TestTheTallyIsSound(t *testing.T) {
	t.Parallel()
	aggregatetest.Sound(t, tallies, add{By: 2}, add{By: 1, Events: 3, Text: "x"})
}

func TestThePayloadHasTheEventsAndTheirSize(t *testing.T) {
	t.Parallel()
	require.Equal(t, `{"by":1}`, string(payload(1, 0)))
	for _, events := range []int{1, 7} {
		decided, err := tallies.New("a").Execute(addCommand, payload(events, 300), aggregate.Metadata{})
		require.NoError(t, err)
		require.Len(t, decided, events)
		require.Len(t, string(decided[0].Body), 300)
	}
}

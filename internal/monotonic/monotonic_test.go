package monotonic

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMomentsRise(t *testing.T) {
	t.Parallel()
	first := Now()
	require.Positive(t, first)
	require.GreaterOrEqual(t, Now(), first)
	require.Positive(t, Since(first-1))
}

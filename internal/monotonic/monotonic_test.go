package monotonic

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMomentsRise(t *testing.T) {
	t.Parallel()
	first := Now()
	require.Positive(t, first)
	require.GreaterOrEqual(t, Now(), first)
	require.Positive(t, Since(first-1))
}

// Moments kept in numbers are not times of the wall clock, which may be set back or ahead. A
// wall-clock number would be more than fifty years. If began had no monotonic reading, moments
// would follow the wall clock.
func TestMomentsAreNotOfTheWallClock(t *testing.T) {
	t.Parallel()
	require.Contains(t, began.String(), " m=")
	require.Less(t, Now(), 20*365*24*time.Hour)
}

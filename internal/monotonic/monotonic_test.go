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

// What is kept in numbers is no time of the wall clock, which may be set back or ahead: such a
// number would be more than fifty years, and a beginning without the monotonic reading would follow
// the wall clock.
func TestMomentsAreNotOfTheWallClock(t *testing.T) {
	t.Parallel()
	require.Contains(t, began.String(), " m=")
	require.Less(t, Now(), 20*365*24*time.Hour)
}

package consumer

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

// The handled message that stays in the stream as a mark is no backlog. There is no mark before the
// first command is handled, and none in another stream.
func TestTheMarkIsNoBacklog(t *testing.T) {
	t.Parallel()
	c, log, stream := trimming(t)
	inStream := func() int64 {
		t.Helper()
		rows, err := log.Rows(t.Context())
		require.NoError(t, err)
		c.owners.Notice(rows)
		require.NoError(t, c.trimOnce(t.Context(), &survey{}))
		n, err := c.inStream(t.Context())
		require.NoError(t, err)
		return n
	}
	require.EqualValues(t, 10, inStream(), "nobody has handled anything")
	handledUpTo(t, log, stream, 2, store.Cursor{Sequence: 7, StreamCreated: created(stream.CachedInfo()).Add(-1), Time: created(stream.CachedInfo())})
	require.EqualValues(t, 10, inStream(), "a cursor of another stream marks nothing here")
	handledUpTo(t, log, stream, 0, store.Cursor{Sequence: 9})
	require.EqualValues(t, 8, inStream(), "message 1 is gone, and one of the others is handled")
	handledUpTo(t, log, stream, 1, store.Cursor{Sequence: 10})
	require.EqualValues(t, 0, inStream())
	require.NoError(t, stream.Purge(t.Context()))
	require.EqualValues(t, 0, inStream(), "nor is there one in an empty stream")
	_, err := c.JetStream.Publish(t.Context(), c.Namespace.Send("box", inPartition(0), "put"), []byte(`{}`))
	require.NoError(t, err)
	require.EqualValues(t, 1, inStream())
}

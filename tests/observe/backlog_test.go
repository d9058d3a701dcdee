package observe

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/wire"
)

// While Postgres takes no commit, the backlog is the number of commands sent, wherever they wait:
// in the lane, at the feed, or in the stream.
func TestBacklogIsWhatWaits(t *testing.T) {
	t.Parallel()
	const commands = 2500 // more than the server sends ahead
	s := newSystem(t)
	w := s.start("worker", "worker", nil, "MAESTRO_HTTP=127.0.0.1:0", "MAESTRO_MAX_BATCH=2")
	url := w.says("msg=console url=") + "/metrics"
	w.says("msg=ready")
	s.publisher("send", "counter", "42", "increment", "--wait")

	partition := wire.Partition("counter", "42", 4)
	release := s.holdCommits(partition)
	file := strings.NewReader(strings.Repeat(`{"aggregate":"counter","aggregate_id":"42","command":"increment"}`+"\n", commands))
	s.publisherReading(file, "import", "-")
	backlog := fmt.Sprintf(`maestro_backlog_commands{maestro_namespace="maestro",maestro_partition="%d"} `, partition)
	age := fmt.Sprintf(`maestro_backlog_age_seconds{maestro_namespace="maestro",maestro_partition="%d"} `, partition)
	all := `maestro_stream_commands{maestro_namespace="maestro"} `
	eventually := func(want ...string) {
		t.Helper()
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			text := get(t, url)
			for _, line := range want {
				assert.Contains(c, text, line)
			}
		}, patience, 100*time.Millisecond)
	}
	eventually(backlog+fmt.Sprintln(commands), all+fmt.Sprintln(commands))
	require.NotContains(t, get(t, url), age+"0\n")
	release()
	eventually(backlog+"0\n", age+"0\n", all+"0\n")
}

// holdCommits makes the commits of a partition wait.
func (s *system) holdCommits(partition int) (release func()) {
	s.Helper()
	conn, err := pgx.Connect(s.Context(), s.database)
	require.NoError(s, err)
	tx, err := conn.Begin(s.Context())
	require.NoError(s, err)
	_, err = tx.Exec(s.Context(), `select from maestro.partitions where partition = $1 for update`, partition)
	require.NoError(s, err)
	return func() {
		require.NoError(s, tx.Rollback(s.Context()))
		require.NoError(s, conn.Close(s.Context()))
	}
}

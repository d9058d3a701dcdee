package deploy

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// tools finds the commands of Postgres in docs/operations.md by their first words.
var tools = map[string]*regexp.Regexp{
	"back up": regexp.MustCompile(`(?m)^ +(pg_dump .*)$`),
	"drop":    regexp.MustCompile(`(?m)^ +(psql .*drop schema.*)$`),
	"restore": regexp.MustCompile(`(?m)^ +(pg_restore .*)$`),
}

// The database is restored to the time of its backup. Everything else follows it when a person does
// what docs/operations.md says.
func TestABackupIsRestored(t *testing.T) {
	t.Parallel()
	c, dir := newCluster(t), t.TempDir()
	run := func(what string) {
		t.Helper()
		line := tools[what].FindStringSubmatch(read(t, "docs/operations.md"))
		require.NotNil(t, line, "docs/operations.md does not say how to %s", what)
		cmd := exec.Command("sh", "-c", line[1])
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "DATABASE_URL="+c.database)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", line[1], out)
	}
	const before, after = 100, 50
	worker, load := c.start(programs), c.load()
	worker.ready()
	load.send(before)
	c.rest()
	run("back up")
	load.send(after)
	c.rest()
	worker.stop()

	run("drop")
	run("restore")
	republish := start(t, exec.Command(program(t, "worker"), "republish"), append(environment(identity(c.broker, "worker")),
		"DATABASE_URL="+c.database)...)
	status, out := republish.finish()
	require.Equal(t, 0, status, out)
	require.Contains(t, out, "100 events are in the stream")
	c.start(programs).ready()
	// The command stream has only the last of the commands that came after the backup. That command
	// is handled again.
	again := sendAndWait(dial(t, identity(c.broker, "publisher")))
	for _, n := range []int{before - 1, before + after - 1} {
		outcome, err := again(t.Context(), strconv.Itoa(n), load.sent[n])
		require.NoError(t, err)
		require.True(t, outcome.Duplicate, "%+v", outcome)
	}
	c.exactlyOnce(append(load.sent[:before:before], load.sent[before+after-1]))
}

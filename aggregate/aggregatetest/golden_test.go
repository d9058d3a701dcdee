package aggregatetest_test

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate/aggregatetest"
)

// goldenFiles is set when the test binary runs itself to see Golden fail.
const goldenFiles = "AGGREGATETEST_GOLDEN"

func TestGolden(t *testing.T) {
	t.Parallel()
	aggregatetest.Golden(t, doors, cmp.Or(os.Getenv(goldenFiles), "testdata/*.txt"))
}

// golden runs Golden on files, with further flags for the test binary.
func golden(t *testing.T, pattern string, flags ...string) (output string, err error) {
	t.Helper()
	binary, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"-test.run=^TestGolden$"}, flags...)...)
	cmd.Env = append(os.Environ(), goldenFiles+"="+pattern)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

const stale = `# A comment.

-- the first --
when open {"who":"ann"}
then opened@2 {"who":"bob","at":"2026-01-01T00:00:00Z"}

-- the second --
when close`

const fresh = `# A comment.

-- the first --
when open {"who":"ann"}
then opened@2 {"who":"ann","at":"2026-01-01T00:00:00Z"}
state {"Open":true,"Opened":1,"By":["ann"]}

-- the second --
when close
then nothing
`

func goldenFile(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file.txt")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestAFileThatEndsOtherwiseFails(t *testing.T) {
	t.Parallel()
	path := goldenFile(t, stale)
	out, err := golden(t, path)
	require.Error(t, err)
	for _, want := range []string{
		`"the first" ends otherwise (-file +now; -update rewrites the file)`, `"the second" ends otherwise`,
		`"who":"bob"`, `"who":"ann"`, "then nothing", "FAIL: TestGolden/file/the_first",
	} {
		require.Contains(t, out, want)
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, stale, string(text), "without -update the file stays as it is")
}

func TestUpdateRewritesAFile(t *testing.T) {
	t.Parallel()
	path := goldenFile(t, stale)
	out, err := golden(t, path, "-update")
	require.NoError(t, err, out)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, fresh, string(text))
	out, err = golden(t, path)
	require.NoError(t, err, out)
}

// Histories that -run leaves out stay as they are.
func TestUpdateRewritesOnlyWhatIsRun(t *testing.T) {
	t.Parallel()
	path := goldenFile(t, stale)
	out, err := golden(t, path, "-update", "-test.run=^TestGolden$/file/second")
	require.NoError(t, err, out)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, stale+"\nthen nothing\n", string(text))
}

func TestWhatCannotBeReadIsNotRewritten(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"whenever open":       "expected given, when, at, or a comment that begins with #",
		"at noon":             `cannot parse "noon"`,
		"given opened@two {}": `version "two": expected a whole number`,
	} {
		text := "-- the only --\nwhen close\n" + line + "\n"
		path := goldenFile(t, text)
		out, err := golden(t, path, "-update")
		require.Error(t, err)
		require.Contains(t, out, want)
		require.Contains(t, out, line)
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(got))
	}
}

func TestNothingToPlayIsAFailure(t *testing.T) {
	t.Parallel()
	out, err := golden(t, filepath.Join(t.TempDir(), "*.txt"))
	require.Error(t, err)
	require.Contains(t, out, "no golden file matches")

	out, err = golden(t, goldenFile(t, "when close\n"))
	require.Error(t, err)
	require.Contains(t, out, `no history begins in it, expected a title such as "-- the title --"`)
}

package docs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"go/format"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/localpg"
)

// patience bounds every wait. It is far longer than anything takes.
const patience = time.Minute

// build compiles a program and returns its path.
func build(t *testing.T, what string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	for _, args := range [][]string{{"vet", what}, {"build", "-o", program, what}} {
		cmd := exec.Command("go", args...)
		cmd.Dir = top
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "go %s\n%s", args, out)
	}
	return program
}

// start starts a program, and ends it when the test ends. The program must end in order. Its output
// can be read.
func start(t *testing.T, program string, env []string, args ...string) (stderr io.Reader) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		go func() { _, _ = io.Copy(io.Discard, stderr) }()
		require.NoError(t, cmd.Wait())
	})
	return stderr
}

// The README's module is formatted, compiles, and passes its test. It is a worker with everything
// that a worker has.
func TestTheReadmesWorker(t *testing.T) {
	t.Parallel()
	dir := readmesModule(t)
	runIn(t, dir, "go vet . && go test . && go build -o worker .")

	broker := localnats.ForTest(t)
	stderr := start(t, filepath.Join(dir, "worker"), []string{"NATS_URL=" + broker.URL(), "DATABASE_URL=" + localpg.Database(t),
		"MAESTRO_HTTP=127.0.0.1:0"})
	console := ""
	for log := bufio.NewScanner(stderr); console == "" && log.Scan(); {
		if match := regexp.MustCompile(`msg=console url=(\S+)`).FindStringSubmatch(log.Text()); match != nil {
			console = match[1]
		}
	}
	nc := broker.Connect(t)
	answer := request(t, nc, "maestro.do.counter.42.increment", `{"by":2}`)
	require.Contains(t, answer, `"status":"committed"`)
	require.Contains(t, request(t, nc, "maestro.get.counter.42", ``), `"state":{"total":2}`)
	for _, page := range []string{"/metrics", "/readyz"} {
		require.Eventually(t, func() bool {
			response, err := http.Get(console + page)
			require.NoError(t, err)
			return response.Body.Close() == nil && response.StatusCode == http.StatusOK
		}, patience, 50*time.Millisecond, page)
	}
}

// The code that a user writes besides the aggregate fits on a page.
func TestTheReadmesWorkerIsShort(t *testing.T) {
	t.Parallel()
	lines := 0
	for name, source := range readmesFiles(t) {
		for line := range strings.Lines(source) {
			if name != "counter.go" && strings.TrimSpace(line) != "" {
				lines++
			}
		}
	}
	require.LessOrEqual(t, lines, 60)
}

var fileOf = regexp.MustCompile(`^// (\w+\.go)\n`)

// readmesFiles returns the blocks of the README that begin with the name of a file.
func readmesFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, source := range blocks(t, "go") {
		if name := fileOf.FindStringSubmatch(source); name != nil {
			formatted, err := format.Source([]byte(source))
			require.NoError(t, err)
			require.Equal(t, string(formatted), source)
			files[name[1]] = source
		}
	}
	require.Len(t, files, 4)
	return files
}

// readmesModule makes the module of the README.
func readmesModule(t *testing.T) (dir string) {
	t.Helper()
	return module(t, "example.com/counters", readmesFiles(t))
}

// module makes a module of files by their names. `go mod tidy` would ask the network. Instead the
// module has the requirements of examples/own, which has the same imports.
func module(t *testing.T, path string, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, source := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(source), 0o600))
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		text := read(t, filepath.Join(top, "examples/own", name))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	maestro, err := filepath.Abs(top)
	require.NoError(t, err)
	runIn(t, dir, "go mod edit -module "+path+" -replace github.com/maestro-es/maestro="+maestro)
	return dir
}

func runIn(t *testing.T, dir, command string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", command, out)
}

// request asks until a worker answers.
func request(t *testing.T, nc *nats.Conn, subject, body string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		answer, err := nc.RequestWithContext(ctx, subject, []byte(body))
		if err == nil && !bytes.Contains(answer.Data, []byte(`"unavailable"`)) {
			return string(answer.Data)
		}
		require.NoError(t, ctx.Err(), "nobody answers on %s", subject)
	}
}

// The README's lines on the library are those of an example that is run.
func TestTheReadmesLibraryIsAnExample(t *testing.T) {
	t.Parallel()
	example := strings.ReplaceAll(read(t, filepath.Join(top, "repository", "example_test.go")), "\n\t", "\n")
	all := blocks(t, "go")
	require.Contains(t, example, all[len(all)-1])
}

// A session is a list of commands with their output. The commands run in the top folder, one after
// the other.
func TestTheReadmesCommandsSayWhatItShows(t *testing.T) {
	t.Parallel()
	ready := regexp.MustCompile(`msg=ready nats=(\S+)`)
	url := ""
	log := bufio.NewScanner(start(t, build(t, "./cmd/worker"), nil, "--dev", "--http="))
	for url == "" && log.Scan() {
		if match := ready.FindStringSubmatch(log.Text()); match != nil {
			url = match[1]
		}
	}
	require.NotEmpty(t, url, "the worker is not ready")
	nc, err := nats.Connect(url)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	tool, err := localnats.Tool(top)
	if err != nil {
		t.Skip(err)
	}
	for _, session := range blocks(t, "console") {
		for _, step := range steps(session) {
			command, shown, _ := strings.Cut(step, "\n")
			out := run(t, command, atNATS(url, tool)...)
			for line := range strings.Lines(shown) {
				requireShown(t, command, strings.TrimSpace(line), out)
			}
			if match := durable.FindStringSubmatch(command); match != nil {
				awaitEvent(t, nc, match[1])
			}
		}
	}
}

// steps returns the commands of a session, each with its output.
func steps(session string) []string { return strings.Split("\n"+session, "\n$ ")[1:] }

// atNATS returns an environment in which the command line of NATS is found, and finds the server.
func atNATS(url, tool string) (env []string) {
	return []string{"NATS_URL=" + url, "PATH=" + filepath.Dir(tool) + string(filepath.ListSeparator) + os.Getenv("PATH")}
}

var durable = regexp.MustCompile(`(?:pub maestro\.cmd\.| send )counter[. ](\w+)`)

// awaitEvent waits until a counter has an event. The next command then comes after the durable
// command that led to the event.
func awaitEvent(t *testing.T, nc *nats.Conn, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for strings.Contains(request(t, nc, "maestro.get.counter."+id, ""), `"sequence":0`) {
		require.NoError(t, ctx.Err(), "counter %s gets no event", id)
	}
}

func run(t *testing.T, command string, env ...string) string {
	t.Helper()
	cmd := exec.Command("bash", "-c", command)
	cmd.Dir, cmd.Env = top, append(os.Environ(), env...)
	out, _ := cmd.CombinedOutput() // a refused command may end with another status
	return string(out)
}

// requireShown looks for a line in a command's output. JSON is compared as JSON, without the parts
// that differ in each run.
func requireShown(t *testing.T, command, line, out string) {
	t.Helper()
	want, isJSON := stable(line)
	if !isJSON {
		require.Contains(t, out, line, command)
		return
	}
	var found []any
	for said := range strings.Lines(out) {
		if got, ok := stable(said); ok {
			found = append(found, got)
		}
	}
	require.Contains(t, found, want, "%s said\n%s", command, out)
}

// made matches the ids and times that a run makes up.
var made = regexp.MustCompile(`"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}"|"\d{4}-\d\d-\d\dT[^"]+"`)

func stable(line string) (object map[string]any, ok bool) {
	err := json.Unmarshal([]byte(made.ReplaceAllString(line, `"..."`)), &object)
	delete(object, "seconds")
	delete(object, "per_second")
	return object, err == nil
}

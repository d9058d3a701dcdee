package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/store"
)

func TestCommandsStatesAndHistories(t *testing.T) {
	t.Parallel()
	environment := runWorker(t)
	at := func(args ...string) result { return runIn(t, environment, args...) }

	got := at("request", "counter", "42", "increment", `{"by":3}`, "--id", "a", "--return", "state")
	require.Equal(t, result{0, "committed: counter 42 is at sequence 1 (command a)\n" + `{"value":3}` + "\n", ""}, got)
	got = at("request", "counter", "42", "increment", `{"by":3}`, "--id", "a")
	require.Equal(t, 0, got.status)
	require.Contains(t, got.out, "as answered before")
	got = at("request", "counter", "42", "increment", `{"by":-1}`, "--id", "b")
	require.Equal(t, result{1, "rejected: counter 42: invalid_amount: by must be positive, got -1 (command b)\n", ""}, got)
	got = at("request", "counter", "42", "explode", "--json")
	require.Equal(t, 1, got.status)
	var o store.Outcome
	require.NoError(t, json.Unmarshal([]byte(got.out), &o))
	require.Equal(t, store.Failed, o.Status)

	cmd := publisher(t.Context(), environment, "send", "counter", "42", "increment", "-", "--wait", "--return", "events", "--json")
	cmd.Stdin = strings.NewReader(`{"by": 4}`)
	got = start(t, cmd)()
	require.Equal(t, 0, got.status, got.err)
	o = store.Outcome{}
	require.NoError(t, json.Unmarshal([]byte(got.out), &o))
	require.Equal(t, int64(2), o.Sequence)
	require.Len(t, o.Events, 1)
	got = at("send", "counter", "43", "increment", `{"by":1}`, "--id", "c")
	require.Regexp(t, `^command c is stored in MAESTRO_COMMANDS at \d+\n$`, got.out)
	got = at("send", "counter", "42", "increment", `{"by":`)
	require.Equal(t, 2, got.status)
	require.Contains(t, got.err, `data of counter increment is not valid JSON: {"by":`)

	require.Equal(t, result{0, "counter 42 at sequence 2\n" + `{"value":7}` + "\n", ""}, at("get", "counter", "42"))
	got = at("get", "counter", "42", "--sequence", "1", "--json")
	require.JSONEq(t, fmt.Sprintf(`{"aggregate":"counter","id":"42","sequence":1,"partition":%d,"state":{"value":3}}`, o.Partition), got.out)
	got = at("get", "ghost", "42")
	require.Equal(t, 1, got.status)
	require.Contains(t, got.err, "unknown_aggregate")

	require.Regexp(t, `^1  \S+  incremented  {"by":3}\n2  \S+  incremented  {"by":4}\n$`, at("history", "counter", "42").out)
	require.Regexp(t, `^{"sequence":2,.*"body":{"by":4}.*}\n$`, at("history", "counter", "42", "--after", "1", "--json").out)
	require.Equal(t, result{}, at("history", "counter", "none"))

	require.Equal(t, result{0, "counter 42 has a snapshot at sequence 2\n", ""}, at("snapshot", "counter", "42"))
	require.JSONEq(t, `{"aggregate":"counter","id":"none","sequence":0}`, at("snapshot", "counter", "none", "--json").out)
	got = at("snapshot", "ghost", "42")
	require.Equal(t, 1, got.status)
	require.Contains(t, got.err, "unknown_aggregate")
}

// writeCommands writes a file with n increments of one counter. The last one is invalid.
func writeCommands(t *testing.T, n int) (file string) {
	t.Helper()
	var b strings.Builder
	for i := 1; i <= n; i++ {
		by := i
		if i == n {
			by = -1
		}
		fmt.Fprintf(&b, `{"id":"c-%d","aggregate":"counter","aggregate_id":"1","command":"increment","data":{"by":%d}}`+"\n", i, by)
	}
	file = filepath.Join(t.TempDir(), "commands.ndjson")
	require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o600))
	return file
}

func TestImportEndsWithTheSummary(t *testing.T) {
	t.Parallel()
	environment := runWorker(t)
	file := writeCommands(t, 500)
	got := runIn(t, environment, "import", file, "--wait")
	require.Equal(t, 0, got.status, "a rejected command has not failed: %s", got.err)
	var sum client.Summary
	require.NoError(t, json.Unmarshal([]byte(got.out), &sum))
	require.Equal(t, []int{500, 499, 1, 0, 0}, []int{sum.Commands, sum.Committed, sum.Rejected, sum.Duplicate, sum.Failed})
	require.Equal(t, "rejected: counter 1: invalid_amount: by must be positive, got -1 (command c-500)\n", got.err)

	got = runIn(t, append(environment, "MAESTRO_IMPORT_WAIT=true"), "import", file)
	require.Equal(t, 0, got.status)
	require.Contains(t, got.out, `"committed":0,"rejected":0,"duplicate":500,"failed":0`)
	require.Empty(t, got.err)

	got = runIn(t, environment, "import", file)
	require.Regexp(t, `^500 commands are stored, \d+ in a second\n$`, got.out)
}

func TestImportSaysWhichLineIsWrong(t *testing.T) {
	t.Parallel()
	environment := runWorker(t)
	cmd := publisher(t.Context(), environment, "import", "-", "--wait")
	cmd.Stdin = strings.NewReader(`{"aggregate":"counter","aggregate_id":"1","command":"increment","data":{"by":1}}` + "\n{}\n")
	got := start(t, cmd)()
	require.Equal(t, 1, got.status, got.err)
	require.Contains(t, got.err, `publisher: line 2: invalid: aggregate name "": expected`)
	require.Contains(t, got.err, "commands stored before that: 1; import the file again to go on, but 1 had no id")
	require.Contains(t, got.out, `"commands":1,"committed":1,`)

	cmd = publisher(t.Context(), environment, "import", "-", "--wait")
	cmd.Stdin = strings.NewReader(`{"id":"x","aggregate":"ghost","aggregate_id":"1","command":"increment"}`)
	got = start(t, cmd)()
	require.Equal(t, 1, got.status, "a command failed")
	require.Contains(t, got.err, "failed: ghost 1: unknown_aggregate")
}

func TestImportThatIsInterruptedSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	environment := runWorker(t)
	cmd := publisher(t.Context(), environment, "import", "-", "--wait")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	finish := start(t, cmd)
	body, err := os.ReadFile(writeCommands(t, 100))
	require.NoError(t, err)
	_, err = in.Write(body)
	require.NoError(t, err)
	untilAt(t, environment, "1", "at sequence 99")
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	got := finish()
	require.Equal(t, 1, got.status)
	require.Contains(t, got.err, "publisher: stopped\ncommands stored before that: 100; "+
		"import the file again to go on, what is stored takes effect once\n")
	require.Contains(t, got.out, `"commands":100,"committed":99,`)
}

func TestWatchFollowsTheEvents(t *testing.T) {
	t.Parallel()
	environment := runWorker(t)
	increment := func(id, by string) {
		got := runIn(t, environment, "request", "counter", id, "increment", `{"by":`+by+`}`, "--id", "c-"+by, "--correlation-id", "all")
		require.Equal(t, 0, got.status, got.err)
	}
	increment("42", "1")
	all, stopAll := watch(t, environment, "--aggregate", "counter", "--id", "42", "--from", "start")
	require.Regexp(t, `^\d\d:\d\d:\d\d\.\d{3}  counter 42  1 incremented  {"by":1}$`, <-all)
	news, stopNews := watch(t, environment, "--event", "incremented", "--json")
	increment("43", "2")
	increment("42", "3")
	require.Contains(t, <-all, `2 incremented  {"by":3}`)
	var event map[string]any
	for range 2 {
		require.NoError(t, json.Unmarshal([]byte(<-news), &event))
		if event["id"] == "42" {
			break
		}
	}
	require.NotEmpty(t, event["time"])
	delete(event, "time")
	require.Equal(t, map[string]any{"aggregate": "counter", "id": "42", "sequence": 2.0, "event": "incremented", "version": 1.0,
		"data": map[string]any{"by": 3.0}, "partition": event["partition"], "position": 2.0, "command_id": "c-3",
		"correlation_id": "all"}, event)
	require.Equal(t, 0, stopAll())
	require.Equal(t, 0, stopNews())
}

// watch starts publisher watch and returns when it watches, with a channel of the lines that it
// prints.
func watch(t *testing.T, environment []string, args ...string) (lines <-chan string, stop func() (status int)) {
	t.Helper()
	cmd := publisher(t.Context(), environment, append([]string{"watch"}, args...)...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	problems, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	first, err := bufio.NewReader(problems).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, first, "Ctrl-C ends it")
	printed := make(chan string, 100)
	go func() {
		defer close(printed)
		for s := bufio.NewScanner(out); s.Scan(); {
			printed <- s.Text()
		}
	}()
	return printed, func() int {
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		for range printed {
		}
		_ = cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
}

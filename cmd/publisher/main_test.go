package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/store"
)

// With this variable set, the test binary acts as the publisher, so that tests can start publisher
// processes.
const beThePublisher = "BE_THE_PUBLISHER"

func TestMain(m *testing.M) {
	if os.Getenv(beThePublisher) != "" {
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// publisher returns a process with only the given environment.
func publisher(ctx context.Context, environment []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append([]string{beThePublisher + "=1", "GORACE=atexit_sleep_ms=0"}, environment...)
	return cmd
}

type result struct {
	status   int
	out, err string
}

func start(t *testing.T, cmd *exec.Cmd) (wait func() result) {
	t.Helper()
	var out, problems bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &out
	}
	cmd.Stderr = &problems
	require.NoError(t, cmd.Start())
	return func() result {
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return result{cmd.ProcessState.ExitCode(), out.String(), problems.String()}
	}
}

func runIn(t *testing.T, environment []string, args ...string) result {
	t.Helper()
	return start(t, publisher(t.Context(), environment, args...))()
}

// untilAt reads a counter until the answer matches.
func untilAt(t *testing.T, environment []string, id, pattern string) {
	t.Helper()
	late := time.Now().Add(time.Minute)
	for want, got := regexp.MustCompile(pattern), ""; !want.MatchString(got); got = runIn(t, environment, "get", "counter", id).out {
		require.True(t, time.Now().Before(late), "the counter is not %s: %s", pattern, got)
	}
}

// runWorker runs a worker with the counter until the test ends, and returns the environment in
// which it is found.
func runWorker(t *testing.T) (environment []string) {
	t.Helper()
	s := localnats.ForTest(t)
	worker, err := maestro.New(t.Context(), maestro.Config{NATS: s.Connect(t), Store: store.NewMemory(4),
		Aggregates: []aggregate.Type{counter.Definition}})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- worker.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-stopped)
	})
	return []string{"NATS_URL=" + s.URL()}
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                                  `expected one of "send"`,
		"sand":                              `did you mean "send"?`,
		"send counter":                      `expected "<id> <command>"` + "\nTry: publisher send --help",
		"send a b c --return state":         "--return needs --wait",
		"send a b c --return all --wait":    `--return must be one of "none","events","state"`,
		"send a b c --expect-sequence x":    "--expect-sequence: expected a valid 64 bit int",
		"request a b c --deadline=-1s":      "--deadline -1s: expected a time from now on",
		"get a":                             `expected "<id>"`,
		"get a b --timeout 0s":              "--timeout 0s: expected a time above 0",
		"get a b --namespace A.B":           `--namespace: namespace "A.B": expected a lower-case letter`,
		"watch --from yesterday":            `--from must be one of "now","start"`,
		"watch --aggregate Counter":         `aggregate name "Counter": expected a lower-case letter`,
		"watch --id a.b":                    `aggregate id "a.b": expected 1 to 128 of`,
		"watch --event *":                   `event name "*"`,
		"import":                            `expected "<file>"`,
		"import /does/not/exist":            "open /does/not/exist: no such file",
		"generate --commands=-1":            "--commands -1: expected a number from 0",
		"new-id --wait":                     "unknown flag --wait",
		"history counter 42 --after --json": "--after",
		"bench counter":                     `expected "<command>`,
		"bench counter c --rate 0":          "rate 0: expected commands per second",
		"bench counter c --rate x":          "--rate",
		"bench counter c --duration 0s":     "duration 0s: expected a time above 0",
		"bench counter c --warm-up=-1s":     "warm-up -1s: expected a time from 0",
		"bench counter c --mode both":       `--mode must be one of "request","send"`,
		"bench counter c --aggregates 0":    "0 aggregates: expected 1 or more",
		"bench counter c --hot 2":           "hot share 2: expected 0 to 1",
		"bench counter c --ids a.b":         `aggregate id "a.b`,
		"bench counter c --connections 0":   "--connections 0: expected 1 to 1000",
		"bench counter c --max-in-flight 0": "--max-in-flight 0: expected 1 or more",
		"bench counter c {":                 "data: expected JSON, or a template of it, got {",
		"bench counter c {{.X}}":            "data: template",
		"bench Counter c":                   `aggregate name "Counter"`,
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			got := runIn(t, nil, strings.Fields(args)...)
			require.Equal(t, 2, got.status, got.err)
			require.Empty(t, got.out)
			require.Contains(t, got.err, want)
			require.True(t, strings.HasPrefix(got.err, "publisher: "), got.err)
		})
	}
}

func TestHelpShowsExamples(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"send", "request", "get", "history", "snapshot", "watch", "import", "generate", "new-id", "bench"} {
		got := runIn(t, nil, command, "--help")
		require.Zero(t, got.status)
		require.Contains(t, got.out, "Examples:\n\n")
		require.Contains(t, got.out, "publisher "+command)
	}
	got := runIn(t, nil, "--help")
	require.Contains(t, got.out, "$NATS_URL")
}

func TestEveryFlagHasAnEnvironmentVariable(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&commandLine{})
	require.NoError(t, err)
	commands := slices.Concat(parser.Model.Children, []*kong.Node{parser.Model.Node})
	require.Greater(t, len(commands), 8)
	for _, command := range commands {
		for _, flag := range command.Flags {
			if flag.Name != "help" && flag.Name != "version" {
				require.NotEmpty(t, flag.Envs, "%s --%s", command.Name, flag.Name)
				require.NotEmpty(t, flag.Help, "%s --%s", command.Name, flag.Name)
			}
		}
	}
}

func TestWithoutNATSItSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"send a b c", "request a b c", "get a b", "history a b", "watch", "import -", "bench a b"} {
		got := runIn(t, []string{"NATS_URL=nats://me:secret@127.0.0.1:1"}, strings.Fields(args)...)
		require.Equal(t, 1, got.status)
		require.Contains(t, got.err, "connect to NATS at 127.0.0.1:1: ")
		require.Contains(t, got.err, "start one with `go run ./cmd/worker --dev`, or give --nats-url (NATS_URL)")
	}
}

func TestWithoutWorkerItSaysWhatToDo(t *testing.T) {
	t.Parallel()
	environment := []string{"NATS_URL=" + localnats.ForTest(t).URL(), "MAESTRO_TIMEOUT=1s"}
	for args, want := range map[string]string{
		"send a b c":    "there is no stream MAESTRO_COMMANDS",
		"import -":      "there is no stream MAESTRO_COMMANDS",
		"watch":         "there is no stream MAESTRO_EVENTS",
		"request a b c": `no worker of namespace "maestro" answers`,
		"get a b":       `no worker of namespace "maestro" answers`,
		"history a b":   `no worker of namespace "maestro" answers`,
		"bench a b":     `no worker of namespace "maestro" answers`,
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			got := runIn(t, environment, strings.Fields(args)...)
			require.Equal(t, 1, got.status)
			require.Contains(t, got.err, want)
			require.Contains(t, got.err, "start ", "it says what to do")
		})
	}
}

func TestNewIDAndGenerateNeedNobody(t *testing.T) {
	t.Parallel()
	first, second := runIn(t, nil, "new-id"), runIn(t, nil, "new-id")
	require.Len(t, first.out, 37)
	require.Less(t, first.out, second.out)
	lines := runIn(t, nil, "generate", "--commands", "100", "--seed", "9")
	require.Equal(t, 100, strings.Count(lines.out, "\n"))
	require.Equal(t, lines, runIn(t, []string{"MAESTRO_GENERATE_COMMANDS=100", "MAESTRO_GENERATE_SEED=9"}, "generate"))
}

package tests

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/store"
)

// natsCLI is the stock command line of NATS, which knows nothing of Maestro.
type natsCLI struct {
	*system
	path string
}

func newNatsCLI(s *system) *natsCLI {
	s.Helper()
	path, err := localnats.Tool("..")
	if err != nil {
		s.Skip(err)
	}
	return &natsCLI{s, path}
}

func (n *natsCLI) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, n.path, args...)
	cmd.Env = []string{"NATS_URL=" + n.natsURL, "HOME=" + n.TempDir(), "PATH=" + os.Getenv("PATH")}
	return cmd
}

// says runs a command to its end and returns its output, standard output and standard error
// together.
func (n *natsCLI) says(args ...string) string {
	n.Helper()
	ctx, cancel := context.WithTimeout(n.Context(), patience)
	defer cancel()
	out, err := n.command(ctx, args...).CombinedOutput()
	require.NoError(n, err, "nats %s: %s", strings.Join(args, " "), out)
	return string(out)
}

// sees returns the first message that a subscriber shows. Nothing tells when the subscriber is
// ready to hear a message, so the cause is repeated.
func (n *natsCLI) sees(subject string, cause func()) string {
	n.Helper()
	ctx, cancel := context.WithTimeout(n.Context(), patience)
	defer cancel()
	shown := make(chan string, 1)
	subscriber := n.command(ctx, "sub", subject, "--count", "1")
	go func() {
		out, _ := subscriber.CombinedOutput()
		shown <- string(out)
	}()
	for {
		cause()
		select {
		case text := <-shown:
			return text
		default:
		}
	}
}

// A person who has only the stock command line of NATS can do everything.
func TestTheStockCommandLineIsEnough(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	n := newNatsCLI(s)
	s.start("--node", "somewhere")
	ns := string(s.namespace)

	text := n.sees(ns+".evt.*.counter.>", func() {
		n.says("pub", ns+".cmd.counter.seen.increment", `{"by":3}`, "--header", "Maestro-Correlation-Id:all of it")
	})
	require.Contains(t, text, ".counter.seen.incremented")
	require.Contains(t, text, "ce-type: counter.incremented")
	require.Contains(t, text, "ce-correlationid: all of it")
	require.Contains(t, text, `{"by":3}`)

	n.says("pub", ns+".cmd.counter.42.increment", `{"by":3}`)
	s.until("the command's effect", func() bool {
		return strings.Contains(n.says("req", "--raw", ns+".get.counter.42", ""), `"state":{"value":3}`)
	})
	var o store.Outcome
	require.NoError(t, json.Unmarshal([]byte(n.says("req", "--raw", ns+".do.counter.42.increment", `{"by":1}`)), &o))
	require.Equal(t, store.Committed, o.Status)
	require.EqualValues(t, 2, o.Sequence)
	require.Contains(t, n.says("req", "--raw", ns+".get.counter.42", ""), `"state":{"value":4}`)
	require.Contains(t, n.says("req", "--raw", ns+".get.counter.42", "", "--header", "Maestro-Sequence:1"), `"state":{"value":3}`)
	refused := n.says("req", ns+".do.counter.42.increment", `{"by":-1}`)
	require.Contains(t, refused, "Nats-Service-Error-Code: 409")
	require.Contains(t, refused, "Nats-Service-Error: invalid_amount: by must be positive, got -1")
	require.Contains(t, refused, `"code":"invalid_amount"`)

	require.Contains(t, n.says("micro", "ls"), ns)
	info := n.says("micro", "info", ns)
	for _, words := range []string{"Maestro: event-sourced command processing", ns + ".do.>", ns + ".get.>", ns + ".history.>", ns + ".snapshot.>", "somewhere"} {
		require.Contains(t, info, words)
	}
	require.Contains(t, n.says("micro", "stats", ns), "do")
	require.Contains(t, n.says("stream", "ls", "--names"), s.namespace.EventStream())
	s.check()
}

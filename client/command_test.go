package client_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/localnats"
)

func TestInvalidCommandsAreNotSent(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	negative := int64(-1)
	for want, spoil := range map[string]func(*client.Command){
		`aggregate name "Counter"`:        func(c *client.Command) { c.Aggregate = "Counter" },
		`aggregate id "a.b"`:              func(c *client.Command) { c.AggregateID = "a.b" },
		`command name ""`:                 func(c *client.Command) { c.Name = "" },
		`command id "a\nb"`:               func(c *client.Command) { c.ID = "a\nb" },
		`command id " a"`:                 func(c *client.Command) { c.ID = " a" },
		`command id "xxxxx`:               func(c *client.Command) { c.ID = strings.Repeat("x", 257) },
		`command id "\xff"`:               func(c *client.Command) { c.ID = "\xff" },
		`correlation id`:                  func(c *client.Command) { c.CorrelationID = "\r" },
		`causation id`:                    func(c *client.Command) { c.CausationID = "\x00" },
		`return "everything"`:             func(c *client.Command) { c.Return = "everything" },
		`expected sequence -1`:            func(c *client.Command) { c.ExpectSequence = &negative },
		`not valid JSON: {"by":`:          func(c *client.Command) { c.Data = json.RawMessage(`{"by":`) },
		`json: unsupported type: chan`:    func(c *client.Command) { c.Data = make(chan int) },
		`server's limit (max_payload) is`: func(c *client.Command) { c.Data = strings.Repeat("x", 1<<20) },
	} {
		cmd := increment("a")
		spoil(&cmd)
		_, err := c.Send(t.Context(), cmd)
		require.ErrorIs(t, err, client.ErrInvalid, want)
		require.ErrorContains(t, err, want)
		_, err = c.Request(t.Context(), cmd)
		require.ErrorIs(t, err, client.ErrInvalid, want)
		_, err = c.SendAndWait(t.Context(), cmd)
		require.ErrorIs(t, err, client.ErrInvalid, want)
	}
	require.Empty(t, w.stored(t))
}

func TestCommandsUpToTheServersLimitAreSent(t *testing.T) {
	t.Parallel()
	w, c := newWorker(t, localnats.ForTest(t), client.Options{})
	limit, size := 1<<20, 0
	// The error tells exactly how large the data may be.
	cmd := increment("a")
	cmd.Data = json.RawMessage(`"` + strings.Repeat("x", limit) + `"`)
	_, err := c.Send(t.Context(), cmd)
	_, text, _ := strings.Cut(err.Error(), " has ")
	_, scanErr := fmt.Sscanf(text, "%d bytes", &size)
	require.NoError(t, scanErr)
	for _, excess := range []int{1, 0} {
		cmd.Data = json.RawMessage(`"` + strings.Repeat("x", limit-(size-limit)+excess) + `"`)
		_, err = c.Send(t.Context(), cmd)
		require.Equal(t, excess > 0, err != nil, "%v", err)
	}
	require.Len(t, w.stored(t), 1)
}

func TestNewRefusesABadNamespace(t *testing.T) {
	t.Parallel()
	_, err := client.New(localnats.ForTest(t).Connect(t), client.Options{Namespace: "a.b"})
	require.ErrorIs(t, err, client.ErrInvalid)
	require.ErrorContains(t, err, `namespace "a.b"`)
}

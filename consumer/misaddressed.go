package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/internal/message"
	"github.com/maestro-es/maestro/store"
)

// answerMisaddressed answers commands whose subject has too few or too many parts, for instance
// because the aggregate id has a dot. The stream does not take such commands, so without an answer
// they would be lost silently.
func (c *Consumer) answerMisaddressed(ctx context.Context) error {
	cmd := string(c.Namespace) + ".cmd"
	for _, subject := range []string{cmd, cmd + ".*", cmd + ".*.*", cmd + ".*.*.*.*", cmd + ".*.*.*.*.>"} {
		sub, err := c.NATS.QueueSubscribe(subject, "misaddressed", c.handleMisaddressed)
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", subject, err)
		}
		context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() })
	}
	return nil
}

// handleMisaddressed answers like JetStream refusing a publication, because the publisher of a
// durable command expects this form.
func (c *Consumer) handleMisaddressed(m *nats.Msg) {
	problem := fmt.Sprintf("subject %q: expected %s.cmd.<aggregate type>.<aggregate id>.<command>, an id has no dots",
		message.Clip(m.Subject), c.Namespace)
	c.Logger.Log(context.Background(), c.misaddressed.Level(slog.LevelWarn), "a command was not taken", "problem", problem,
		"bytes", len(m.Data))
	if m.Reply == "" || strings.HasPrefix(m.Reply, "$JS.") {
		return
	}
	type apiError struct {
		Code        int    `json:"code"`
		Description string `json:"description"`
	}
	refusal := map[string]any{"stream": c.Namespace.CommandStream(), "error": apiError{400, problem}}
	if err := c.answers.Send(m.Reply, refusal, store.Committed, nil); err != nil {
		c.Logger.Debug("an error could not be sent", "error", err)
	}
}

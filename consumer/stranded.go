package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/maestro-es/maestro/internal/stream"
	"github.com/maestro-es/maestro/internal/wire"
)

// mendStream restores the parts of the command stream's configuration on which commands depend, if
// others have changed them. For example, a tool may write the configuration back without its
// subject transform. Then acknowledged commands are stored under subjects that no partition reads.
func (c *Consumer) mendStream(ctx context.Context, found jetstream.Stream) error {
	has, needed := found.CachedInfo().Config, neededStream(c.Namespace, c.Store.Partitions())
	if differs := c.Stream.limits().Differ(has); differs != "" {
		c.Logger.Log(ctx, c.differing.Level(slog.LevelWarn), "the command stream is kept otherwise than this worker was told: "+
			"give all workers the same", "stream", c.Namespace.CommandStream(), "differs", differs)
	}
	t := has.SubjectTransform
	if t != nil && *t == *needed.SubjectTransform && len(has.Subjects) == 1 && has.Subjects[0] == needed.Subjects[0] {
		return nil
	}
	c.Logger.Warn("the command stream has lost its subjects or its transform: putting them back", "stream", c.Namespace.CommandStream(),
		"subjects", has.Subjects, "transform", t)
	_, err := stream.Ensure(ctx, c.JetStream, needed, stream.Limits{})
	return err
}

// strandedAtOnce bounds the stranded commands that are stored again in one go.
const strandedAtOnce = 1000

// restoreStranded finds commands that no partition's consumer sees. It stores each again under the
// subject on which it was published, and then deletes the original. It searches above the sequence
// above, and returns the sequence up to which nothing is stranded any more. last is the stream's
// end.
func (c *Consumer) restoreStranded(ctx context.Context, s jetstream.Stream, above, last uint64) (upTo uint64, err error) {
	for range strandedAtOnce {
		m, err := s.GetMsg(ctx, above+1, jetstream.WithGetMsgSubject(c.Namespace.Commands()))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return last, nil
		case err != nil:
			return 0, fmt.Errorf("look for commands that no partition sees: %w", err)
		}
		if err := c.restore(ctx, s, m); err != nil {
			return 0, err
		}
		above = m.Sequence
	}
	return min(above, last), nil // the next look goes on from here
}

// restore stores a command again and deletes the original. The command keeps its id; if it has
// none, its id is made from its first place in the stream. So it takes effect once even if restore
// is interrupted and repeated. The command gets another message id, because under its own the
// stream may take it for a repetition and not store it.
func (c *Consumer) restore(ctx context.Context, s jetstream.Stream, m *jetstream.RawStreamMsg) error {
	h := nats.Header{}
	for name, values := range m.Header {
		if !strings.HasPrefix(name, "Nats-") && name != "Status" && name != "Description" {
			h[name] = values
		}
	}
	place := placeID(m.Sequence, m.Time)
	if h.Get(wire.HeaderCommandID) == "" {
		id := m.Header.Get(wire.HeaderMsgID)
		if id == "" {
			id = place
		}
		h[wire.HeaderCommandID] = []string{id}
	}
	h[wire.HeaderMsgID] = []string{"restored/" + place}
	stored, err := c.JetStream.PublishMsg(ctx, &nats.Msg{Subject: c.published(m.Subject), Header: h, Data: m.Data})
	if err != nil {
		return fmt.Errorf("store command %d of %s again: %w", m.Sequence, c.Namespace.CommandStream(), err)
	}
	if err := s.DeleteMsg(ctx, m.Sequence); err != nil {
		if _, is := s.GetMsg(ctx, m.Sequence); errors.Is(is, jetstream.ErrMsgNotFound) {
			return nil // an earlier try has deleted it
		}
		return fmt.Errorf("delete command %d of %s, which is stored again: %w", m.Sequence, c.Namespace.CommandStream(), err)
	}
	c.Logger.Log(ctx, c.restoring.Level(slog.LevelWarn), "a command that no partition could see is stored again",
		"subject", m.Subject, "was", m.Sequence, "is", stored.Sequence)
	return nil
}

// published returns the subject on which a command was published: the given subject without the
// partition, if it has one.
func (c *Consumer) published(subject string) string {
	prefix := string(c.Namespace) + ".cmd."
	tokens := strings.Split(strings.TrimPrefix(subject, prefix), ".")
	if len(tokens) == 4 {
		tokens = tokens[1:]
	}
	return prefix + strings.Join(tokens, ".")
}

// isNote tells whether nats.go takes a message for a status message of the server instead of a
// command.
func isNote(h nats.Header, body []byte) bool { return len(body) == 0 && h.Get("Status") != "" }

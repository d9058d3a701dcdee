package wire_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/wire"
)

func TestWhereAWorkerMayAnswer(t *testing.T) {
	t.Parallel()
	const ns = wire.Namespace("maestro")
	for _, subject := range []string{"_INBOX.x.y", "_INBOX_publisher.x", "inbox", "a.b.cmd", "orders.commands", "maestro2.answers", strings.Repeat("x", 1024), "ü.ö"} {
		require.NoError(t, wire.CheckReply(subject), subject)
		require.True(t, ns.MayAnswer(subject), subject)
	}
	for _, subject := range []string{"$SYS.x", "$JS", "$SRV.PING", "$JS.API.STREAM.DELETE.X", "maestro.x", "orders.cmd", "orders.do.a", "a.get", "a.history.b", "a.snapshot.b.c", "a.evt.0.b.c.d", "a.fence.0", "a.worker.beat", "a.log.3"} {
		require.NoError(t, wire.CheckReply(subject), subject)
		require.False(t, ns.MayAnswer(subject), subject)
	}
	for _, subject := range []string{"", ".", "a.", ".a", "a..b", "*", "a.>", "a b", "a\r\nPUB x 0", "a\xff", strings.Repeat("x", 1025)} {
		require.Error(t, wire.CheckReply(subject), subject)
		require.False(t, ns.MayAnswer(subject), subject)
	}
}

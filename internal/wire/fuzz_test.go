package wire_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/wire"
)

// A name that passes the checks must make a subject that a server takes. The subject must have its
// tokens where the transform and the readers expect them.
func FuzzCheckedNamesMakeSubjects(f *testing.F) {
	f.Add("maestro", "counter", "42", "increment")
	f.Add("m", "a", "Az09_~:=+@-", "b_2")
	f.Add("a.b", "c*", ">", " d")
	f.Fuzz(func(t *testing.T, namespace, typ, id, command string) {
		ns := wire.Namespace(namespace)
		if ns.Check() != nil || aggregate.CheckName("aggregate", typ) != nil || aggregate.CheckID(id) != nil ||
			aggregate.CheckName("command", command) != nil {
			return
		}
		for _, subject := range []string{ns.Send(typ, id, command), ns.Do(typ, id, command), ns.Event(7, typ, id, command)} {
			if !server.IsValidLiteralSubject(subject) {
				t.Fatalf("%q is not a subject to publish to", subject)
			}
			tokens := strings.Split(subject, ".")
			if n := len(tokens); tokens[0] != namespace || tokens[n-3] != typ || tokens[n-2] != id || tokens[n-1] != command {
				t.Fatalf("%q has its tokens in the wrong places", subject)
			}
		}
	})
}

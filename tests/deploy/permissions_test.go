package deploy

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/connect"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/store"
)

// mayPublish says who may publish what: w stands for the worker, p for the publisher, s for the
// subscriber. A subject that is listed for one user is refused to the others.
var mayPublish = map[string]string{
	"maestro.cmd.counter.1.increment":     "p",
	"maestro.cmd.counter.1.2.increment":   "p", // wrong, and answered
	"maestro.do.counter.1.increment":      "p",
	"maestro.get.counter.1":               "p",
	"maestro.history.counter.1":           "p",
	"maestro.snapshot.counter.1":          "p",
	"maestro.evt.0.counter.1.incremented": "w",
	"maestro.fence.0":                     "w",
	"maestro.worker.beat":                 "w",
	"maestro.worker.x.ping":               "w",
	"maestro.worker.x.forward":            "w",
	"maestro.anything.else":               "",
	"other.cmd.counter.1.increment":       "",
	"other.evt.0.counter.1.incremented":   "",

	"_INBOX.x":             "",
	"_INBOX_worker.x":      "w",
	"_INBOX_publisher.x":   "w",
	"_INBOX_subscriber.x":  "",
	"$SRV.PING":            "",
	"$SRV.PING.maestro":    "w",
	"$SRV.INFO.other":      "",
	"$SYS.REQ.SERVER.PING": "",

	"$JS.API.INFO":                                                          "",
	"$JS.API.ACCOUNT.PURGE.$G":                                              "",
	"$JS.API.STREAM.LIST":                                                   "",
	"$JS.API.STREAM.NAMES":                                                  "",
	"$JS.API.STREAM.CREATE.OTHER":                                           "",
	"$JS.API.STREAM.CREATE.MAESTRO_COMMANDS":                                "w",
	"$JS.API.STREAM.CREATE.MAESTRO_EVENTS":                                  "w",
	"$JS.API.STREAM.UPDATE.MAESTRO_COMMANDS":                                "w",
	"$JS.API.STREAM.UPDATE.MAESTRO_EVENTS":                                  "w",
	"$JS.API.STREAM.INFO.MAESTRO_COMMANDS":                                  "wp",
	"$JS.API.STREAM.INFO.MAESTRO_EVENTS":                                    "ws",
	"$JS.API.STREAM.INFO.OTHER":                                             "",
	"$JS.API.STREAM.DELETE.MAESTRO_COMMANDS":                                "",
	"$JS.API.STREAM.DELETE.MAESTRO_EVENTS":                                  "",
	"$JS.API.STREAM.PURGE.MAESTRO_COMMANDS":                                 "w",
	"$JS.API.STREAM.PURGE.MAESTRO_EVENTS":                                   "w",
	"$JS.API.STREAM.MSG.GET.MAESTRO_COMMANDS":                               "w",
	"$JS.API.STREAM.MSG.GET.MAESTRO_EVENTS":                                 "w",
	"$JS.API.STREAM.MSG.DELETE.MAESTRO_EVENTS":                              "w",
	"$JS.API.STREAM.MSG.DELETE.MAESTRO_COMMANDS":                            "",
	"$JS.API.STREAM.SNAPSHOT.MAESTRO_EVENTS":                                "",
	"$JS.API.STREAM.RESTORE.MAESTRO_EVENTS":                                 "",
	"$JS.API.STREAM.LEADER.STEPDOWN.MAESTRO_EVENTS":                         "",
	"$JS.API.DIRECT.GET.MAESTRO_COMMANDS.x":                                 "",
	"$JS.API.DIRECT.GET.MAESTRO_EVENTS.maestro.evt.0.counter.1.incremented": "",

	"$JS.API.CONSUMER.LIST.MAESTRO_EVENTS":                         "",
	"$JS.API.CONSUMER.CREATE.MAESTRO_COMMANDS.x.maestro.cmd.0.>":   "w",
	"$JS.API.CONSUMER.INFO.MAESTRO_COMMANDS.x":                     "w",
	"$JS.API.CONSUMER.MSG.NEXT.MAESTRO_COMMANDS.x":                 "w",
	"$JS.API.CONSUMER.DELETE.MAESTRO_COMMANDS.x":                   "w",
	"$JS.API.CONSUMER.CREATE.MAESTRO_EVENTS.x.maestro.evt.*.*.*.*": "s",
	"$JS.API.CONSUMER.CREATE.MAESTRO_EVENTS.x.maestro.fence.0":     "",
	"$JS.API.CONSUMER.CREATE.MAESTRO_EVENTS":                       "",
	"$JS.API.CONSUMER.INFO.MAESTRO_EVENTS.x":                       "s",
	"$JS.API.CONSUMER.MSG.NEXT.MAESTRO_EVENTS.x":                   "s",
	"$JS.API.CONSUMER.DELETE.MAESTRO_EVENTS.x":                     "",
	"$JS.API.CONSUMER.PAUSE.MAESTRO_EVENTS.x":                      "",
	"$JS.ACK.MAESTRO_COMMANDS.x.1.1.1.1.1":                         "",
	"$JS.ACK.MAESTRO_EVENTS.x.1.1.1.1.1":                           "s",
}

// maySubscribe says who may listen to what.
var maySubscribe = map[string]string{
	"maestro.evt.*.counter.>":  "s",
	"maestro.fence.*":          "",
	"maestro.cmd.>":            "w",
	"maestro.do.>":             "w",
	"maestro.get.>":            "w",
	"maestro.history.>":        "w",
	"maestro.snapshot.>":       "w",
	"maestro.worker.beat":      "w",
	"maestro.worker.x.forward": "w",
	"maestro.>":                "",
	"_INBOX.>":                 "",
	"_INBOX_worker.x.*":        "w",
	"_INBOX_publisher.x.*":     "p",
	"_INBOX_subscriber.x.*":    "s",
	"$SRV.PING.maestro":        "w",
	"$JS.EVENT.ADVISORY.>":     "",
	"$JS.API.>":                "",
	"$SYS.>":                   "",
	">":                        "",
}

func TestEachUserMayDoItsPartAndNothingElse(t *testing.T) {
	t.Parallel()
	s := broker(t)
	for user := range passwords {
		nc := dial(t, identity(s, user), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		for subject, users := range mayPublish {
			require.NoError(t, nc.Publish(subject, nil))
			require.Equal(t, strings.Contains(users, user[:1]), allowed(t, nc, "Publish", subject), "%s publishes to %s", user, subject)
		}
		for subject, users := range maySubscribe {
			_, err := nc.SubscribeSync(subject)
			require.NoError(t, err)
			require.Equal(t, strings.Contains(users, user[:1]), allowed(t, nc, "Subscription", subject), "%s listens to %s", user, subject)
		}
	}
}

// allowed tells whether the server accepted the last operation. The server complains before it
// answers a ping.
func allowed(t *testing.T, nc *nats.Conn, what, subject string) bool {
	t.Helper()
	require.NoError(t, nc.Flush())
	err := nc.LastError()
	return err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(`permissions violation for `+what+` to "`+subject+`"`))
}

func TestTheFileHasTheseUsersOnly(t *testing.T) {
	t.Parallel()
	options, err := server.ProcessConfigFile(top + "/deploy/nats/permissions.conf")
	require.NoError(t, err)
	var names []string
	for _, u := range options.Users {
		names = append(names, u.Username)
		require.Equal(t, passwords[u.Username], u.Password)
		require.NotEmpty(t, u.Permissions.Publish.Allow)
		require.NotEmpty(t, u.Permissions.Subscribe.Allow)
		require.Nil(t, u.Permissions.Response, "a worker answers where it may publish")
	}
	slices.Sort(names)
	require.Equal(t, []string{"publisher", "subscriber", "worker"}, names)
}

// The whole path with these users, on processes as people run them. No user lacks a permission
// anywhere.
func TestTheWholePathWithLeastPrivilege(t *testing.T) {
	t.Parallel()
	s := broker(t)
	database := "DATABASE_URL=" + localpg.Database(t)
	asWorker, asPublisher := environment(identity(s, "worker")), environment(identity(s, "publisher"))
	workers := []*process{startWorker(t, append(asWorker, database)...), startWorker(t, append(asWorker, database)...)}
	check := func(says string, args ...string) {
		t.Helper()
		status, out := publish(t, asPublisher, args...)
		require.Equal(t, 0, status, out)
		require.Contains(t, out, says)
		require.NotContains(t, out, "ermission")
	}
	check("committed: counter 1 is at sequence 1", "request", "counter", "1", "increment", `{"by":1}`)
	check("committed: counter 1 is at sequence 2", "send", "counter", "1", "increment", `{"by":2}`, "--wait")
	check("is stored in MAESTRO_COMMANDS", "send", "counter", "2", "increment", `{"by":3}`)
	check(`"value":3`, "get", "counter", "1")
	check(`{"by":2}`, "history", "counter", "1")

	// Like in docs/operations.md, from a worker's pod: flags take precedence over the worker's
	// environment.
	status, out := publish(t, asWorker, "get", "counter", "1", "--nats-user=publisher", "--nats-password="+passwords["publisher"],
		"--nats-inbox-prefix=_INBOX_publisher")
	require.Equal(t, 0, status, out)

	events := subscribe(t, identity(s, "subscriber"), 3)
	require.ElementsMatch(t, []string{"counter 1 1", "counter 1 2", "counter 2 1"}, events)
	watching := start(t, exec.Command(program(t, "publisher"), "watch", "--from", "start"), environment(identity(s, "subscriber"))...)
	watching.says("counter 2  1 incremented")
	watching.stop()

	trimmed(t, identity(s, "worker"))
	for _, w := range workers {
		w.stop()
		require.NotContains(t, w.out.String(), "ermission")
	}
	republish := start(t, exec.Command(program(t, "worker"), "republish"), append(asWorker, database)...)
	status, out = republish.finish()
	require.Equal(t, 0, status, out)
	require.Contains(t, out, "3 events are in the stream")
}

// subscribe reads events with the library.
func subscribe(t *testing.T, n connect.NATS, count int) (events []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	nc := dial(t, n, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { t.Errorf("the subscriber: %v", err) }))
	err := eventstream.Subscribe(ctx, nc, eventstream.Subscription{Name: "reader"}, func(_ context.Context, e store.Event) error {
		if events = append(events, fmt.Sprint(e.Aggregate.Type, " ", e.Aggregate.ID, " ", e.Sequence)); len(events) == count {
			cancel()
		}
		return nil
	})
	require.NoError(t, err)
	return events
}

// trimmed waits until the workers have removed the handled commands from the command stream.
func trimmed(t *testing.T, n connect.NATS) {
	t.Helper()
	js, err := jetstream.New(dial(t, n))
	require.NoError(t, err)
	eventually(t, "a trimmed stream", func() bool {
		stream, err := js.Stream(t.Context(), "MAESTRO_COMMANDS")
		require.NoError(t, err)
		return stream.CachedInfo().State.Msgs == 1
	})
}

// A worker may write where clients may not. It must not write there in a client's name, although
// the client chooses the subject of an answer.
func TestNobodyWritesThroughAWorker(t *testing.T) {
	t.Parallel()
	s := broker(t)
	worker := startWorker(t, append(environment(identity(s, "worker")), "DATABASE_URL="+localpg.Database(t))...)
	nc := dial(t, identity(s, "publisher"))
	victims := []string{"maestro.evt.0.counter.1.incremented", "maestro.fence.0", "maestro.worker.beat",
		"$JS.API.STREAM.PURGE.MAESTRO_EVENTS", "$JS.API.STREAM.PURGE.MAESTRO_COMMANDS"}
	for _, subject := range victims {
		for _, to := range []string{"maestro.do.counter.1.increment", "maestro.get.counter.1", "maestro.history.counter.1", "maestro.do.wrong",
			"maestro.cmd.wrong"} {
			require.NoError(t, nc.PublishRequest(to, subject, []byte(`{"by":1}`)))
		}
		durable := nats.NewMsg("maestro.cmd.counter.1.increment")
		durable.Header.Set("Maestro-Reply", subject)
		durable.Data = []byte(`{"by":1}`)
		require.NoError(t, nc.PublishMsg(durable))
	}
	require.Len(t, subscribe(t, identity(s, "subscriber"), 2*len(victims)), 2*len(victims), "all commands are handled")
	status, out := publish(t, environment(identity(s, "publisher")), "send", "counter", "1", "increment", `{"by":1}`, "--wait")
	require.Equal(t, 0, status, out)
	js, err := jetstream.New(dial(t, identity(s, "worker")))
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), "MAESTRO_EVENTS")
	require.NoError(t, err)
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	require.NoError(t, err)
	for subject, messages := range info.State.Subjects {
		switch {
		case strings.HasPrefix(subject, "maestro.fence."):
			require.EqualValues(t, 1, messages, subject)
		case strings.HasSuffix(subject, ".counter.1.incremented"):
			require.EqualValues(t, 2*len(victims)+1, messages, subject)
		default:
			t.Errorf("%d messages on %s", messages, subject)
		}
	}
	worker.stop()
}

package tests

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/store"
)

// asking is a set of clients that send requests all the time and remember the answers.
type asking struct {
	*system
	stop    context.CancelFunc
	clients sync.WaitGroup

	mu       sync.Mutex
	answered map[string]verdict // by command id
	unknown  map[string]string  // aggregate id by command id
}

// asking starts n clients. Each of them increments its own counter, one request after the other.
func (s *system) asking(n int) *asking {
	ctx, stop := context.WithCancel(s.Context())
	a := &asking{system: s, stop: stop, answered: map[string]verdict{}, unknown: map[string]string{}}
	for c := range n {
		a.clients.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				a.ask(ctx, fmt.Sprintf("asking-%d", c), fmt.Sprintf("ask-%d-%d", c, k))
			}
		})
	}
	return a
}

// ask sends one request. It uses only what the protocol offers. If there is no answer, or the
// answer is "unavailable", the outcome stays open.
func (a *asking) ask(ctx context.Context, id, command string) {
	a.mu.Lock()
	a.unknown[command] = id
	a.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	answer, err := a.nats.RequestMsgWithContext(ctx, &nats.Msg{Subject: a.namespace.Do("counter", id, "increment"),
		Header: nats.Header{"Maestro-Command-Id": {command}}})
	var o store.Outcome
	if err != nil || json.Unmarshal(answer.Data, &o) != nil || answer.Header.Get("Nats-Service-Error-Code") == "503" {
		<-ctx.Done() // do not ask again in a hurry while the server is away
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.unknown, command)
	a.answered[command] = verdict{Status: o.Status, Sequence: o.Sequence, Code: cmp.Or(o.Error, &store.Error{}).Code}
}

// finish asks again for every outcome that was left open. It then compares all answers with the
// log: every answer was true, and every command took effect once.
func (a *asking) finish() {
	a.Helper()
	a.stop()
	a.clients.Wait()
	require.NotEmpty(a, a.answered)
	a.Logf("%d requests were answered, %d left open", len(a.answered), len(a.unknown))
	sent := len(a.answered) + len(a.unknown)
	for command, id := range a.unknown {
		o, err := a.Request(a.Context(), client.Command{ID: command, Aggregate: "counter", AggregateID: id, Name: "increment"})
		require.NoError(a, err)
		a.answered[command] = verdict{Status: o.Status, Sequence: o.Sequence}
	}
	rows, err := a.pool.Query(a.Context(), `select command_id, status, sequence, coalesce(error->>'code', '') from `+
		a.table("receipts")+` where command_id like 'ask-%'`)
	require.NoError(a, err)
	receipts := map[string]verdict{}
	var id string
	var v verdict
	_, err = pgx.ForEachRow(rows, []any{&id, &v.Status, &v.Sequence, &v.Code}, func() error {
		receipts[id] = v
		return nil
	})
	require.NoError(a, err)
	same(a, "answers and receipts", a.answered, receipts)
	require.EqualValues(a, sent, query[int64](a.system, "select count(*) from "+a.table("events")+" where metadata->>'command_id' like 'ask-%'"))
}

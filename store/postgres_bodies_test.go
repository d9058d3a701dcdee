package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localpg"
)

// bodyForm is a type in which Postgres can keep bodies. It has the casts for writing a body and
// for reading it in SQL.
type bodyForm struct{ name, sent, value string }

var bodyForms = []bodyForm{
	{"jsonb", "unnest($8::text[])::jsonb", "body"},
	{"json", "unnest($8::text[])::json", "body"},
	{"bytea", "unnest($8::bytea[])", "case when codec = 1 then convert_from(body, 'UTF8')::jsonb end"},
}

// BenchmarkBodies compares the forms in turns. It reports the medians of writing a commit's
// events, of a replay, and of SQL over all events.
func BenchmarkBodies(b *testing.B) {
	server, err := localpg.Start(b.Context(), localpg.Options{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, server.Stop()) })
	pool, err := pgxpool.New(b.Context(), server.URL())
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	for _, size := range []struct{ bytes, commit, replay int }{{100, 256, 10_000}, {1000, 256, 10_000}, {100_000, 16, 1000}} {
		name := fmt.Sprintf("bytes=%d/", size.bytes)
		writers := map[string]*bodyWriter{}
		for _, f := range bodyForms {
			writers[f.name] = newBodyWriter(b, pool, f, size.bytes)
		}
		takeTurns(b, fmt.Sprintf("%scommit=%d", name, size.commit), func(f bodyForm) error { return writers[f.name].write(size.commit) })
		for _, f := range bodyForms {
			for w := writers[f.name]; w.position < int64(size.replay); {
				require.NoError(b, w.write(size.commit))
			}
			_, err := pool.Exec(b.Context(), `vacuum analyze bodies.`+f.name)
			require.NoError(b, err)
		}
		takeTurns(b, fmt.Sprintf("%sreplay=%d", name, size.replay), func(f bodyForm) error { return writers[f.name].replay(size.replay) })
		takeTurns(b, fmt.Sprintf("%ssql=%d", name, size.replay), func(f bodyForm) error { return writers[f.name].sum(size.replay) })
	}
}

func takeTurns(b *testing.B, name string, work func(bodyForm) error) {
	b.Run(name, func(b *testing.B) {
		took := map[string][]time.Duration{}
		for b.Loop() {
			for _, f := range bodyForms {
				start := time.Now()
				require.NoError(b, work(f))
				took[f.name] = append(took[f.name], time.Since(start))
			}
		}
		b.ReportMetric(0, "ns/op") // it would be that of all forms together
		for _, f := range bodyForms {
			slices.Sort(took[f.name])
			b.ReportMetric(took[f.name][len(took[f.name])/2].Seconds()*1000, f.name+"-ms")
		}
	})
}

// bodyWriter writes the events of one aggregate into a table of its own.
type bodyWriter struct {
	form     bodyForm
	ctx      context.Context //nolint:containedctx // the benchmark's
	pool     *pgxpool.Pool
	insert   string
	body     []byte
	position int64
}

func newBodyWriter(b *testing.B, pool *pgxpool.Pool, f bodyForm, size int) *bodyWriter {
	table := "bodies." + f.name
	_, err := pool.Exec(b.Context(), `create schema if not exists bodies; drop table if exists `+table+`;
		create table `+table+` (partition smallint, position bigint, aggregate_type text collate "C", aggregate_id text collate "C",
			sequence bigint, type text collate "C", version integer, body `+f.name+`, metadata jsonb, recorded_at timestamptz,
			codec smallint not null default 1,
			primary key (partition, position), unique (aggregate_id, aggregate_type, sequence, partition))`)
	require.NoError(b, err)
	return &bodyWriter{form: f, ctx: b.Context(), pool: pool, body: bodyOf(size),
		insert: `insert into ` + table + ` (partition, position, aggregate_type, aggregate_id, sequence, type, version, body, metadata, recorded_at)
			select unnest($1::smallint[]), unnest($2::bigint[]), unnest($3::text[]), unnest($4::text[]), unnest($5::bigint[]),
				unnest($6::text[]), unnest($7::integer[]), ` + f.sent + `, unnest($9::text[])::jsonb, unnest($10::timestamptz[])`}
}

// bodyOf returns an event with some fields. A large one has many lines as well.
func bodyOf(size int) []byte {
	body := `{"by":12,"customer":"0198c1f0-7b1e-7000-8000-00000000002a","lines":[`
	for n := 0; len(body) < size-60; n++ {
		body += fmt.Sprintf(`{"article":"a-%d","count":%d,"price":%d.5},`, n*7919%10_007, n%9+1, n%1000)
	}
	return []byte(strings.TrimSuffix(body, ",") + "]}")
}

func (w *bodyWriter) write(n int) error {
	var events []Event
	for range n {
		w.position++
		id := fmt.Sprintf("0198c1f0-7b1e-7000-8000-%012x", w.position)
		e := Event{Position: w.position, Aggregate: Key{"counter", "1"}, Metadata: Metadata{CommandID: id}, RecordedAt: time.Now()}
		e.Sequence, e.Type, e.Version, e.Body = w.position, "incremented", 1, w.body
		events = append(events, e)
	}
	args := eventArrays([]*Commit{{Events: events}})
	if w.form.name == "bytea" {
		bodies := make([][]byte, n)
		for i := range bodies {
			bodies[i] = w.body
		}
		args[7] = bodies
	}
	_, err := w.pool.Exec(w.ctx, w.insert, args...)
	return err
}

func (w *bodyWriter) replay(n int) error {
	rows, _ := w.pool.Query(w.ctx, `select 1::bigint, sequence, type, version, body from bodies.`+w.form.name+`
		where partition = 0 and aggregate_id = '1' and aggregate_type = 'counter' and sequence <= $1 order by sequence`, n)
	histories, err := readHistories(rows, make([]Query, 1))
	if err == nil && len(histories[0].Events) != n {
		err = fmt.Errorf("%d events", len(histories[0].Events))
	}
	return err
}

func (w *bodyWriter) sum(n int) error {
	var sum int
	return w.pool.QueryRow(w.ctx, `select sum((`+w.form.value+`->>'by')::int) from bodies.`+w.form.name+` where position <= $1`, n).Scan(&sum)
}

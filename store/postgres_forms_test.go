package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/localpg"
)

// BenchmarkForms compares forms in which events can be sent. The first is statements.events.
func BenchmarkForms(b *testing.B) {
	server, err := localpg.Start(b.Context(), localpg.Options{})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, server.Stop()) })
	pool, err := pgxpool.New(b.Context(), server.URL())
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	s, err := Open(b.Context(), pool, Options{})
	require.NoError(b, err)

	fromClause := `insert into maestro.log (partition, ` + logColumns + `)
		select partition, position, aggregate_type, aggregate_id, sequence, type, version, codec, body, metadata::jsonb, at
		from unnest($1::smallint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::integer[], $8::smallint[], $9::bytea[],
			$10::text[], $11::timestamptz[])
			as e (partition, position, aggregate_type, aggregate_id, sequence, type, version, codec, body, metadata, at)`
	send := func(sql string) func([]Event) error {
		return func(events []Event) error {
			_, err := pool.Exec(b.Context(), sql, eventArrays([]*Commit{{Events: events}})...)
			return err
		}
	}
	position := int64(0)
	for _, form := range []struct {
		name string
		send func([]Event) error
	}{
		{"arrays in the select list", send(s.sql.events)},
		{"arrays in the from clause", send(fromClause)},
		{"copy", func(events []Event) error { return copyEvents(b, pool, events) }},
	} {
		b.Run(form.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				events := someEvents(position, 256)
				position += 256
				b.StartTimer()
				require.NoError(b, form.send(events))
			}
			b.ReportMetric(float64(b.N)*256/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func someEvents(position int64, n int) (events []Event) {
	for i := position + 1; i <= position+int64(n); i++ {
		id := fmt.Sprintf("0198c1f0-7b1e-7000-8000-%012x", i)
		events = append(events, Event{Position: i, Aggregate: Key{Type: "counter", ID: fmt.Sprint(i)},
			Recorded: aggregate.Recorded{Sequence: 1, Type: "incremented", Version: 1, Body: []byte(`{"by":12}`)},
			Metadata: Metadata{CommandID: id, CorrelationID: id}, RecordedAt: time.Now()})
	}
	return events
}

func copyEvents(b *testing.B, pool *pgxpool.Pool, events []Event) error {
	names := strings.Split("partition, "+logColumns, ", ")
	rows := pgx.CopyFromSlice(len(events), func(i int) ([]any, error) {
		e := &events[i]
		return []any{0, e.Position, e.Aggregate.Type, e.Aggregate.ID, e.Sequence, e.Type, e.Version, int16(codecOf(e.Body)), []byte(e.Body), e.Metadata.appendJSON(nil),
			e.RecordedAt}, nil
	})
	_, err := pool.CopyFrom(b.Context(), pgx.Identifier{"maestro", "log"}, names, rows)
	return err
}

package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

// shown are bodies and how the view shows them.
var shown = []struct{ body, want string }{
	{`{"b":1,"a":1e2,"a":2}`, `{"a": 2, "b": 1}`},
	{`{"text":"\u00e4 \ud83d\ude00"}`, `{"text": "ä 😀"}`},
	{`{"text":"a\u0000b"}`, `"{\"text\":\"a\\u0000b\"}"`},
	{`{"text":"\\u0000"}`, `{"text": "\\u0000"}`},
	{`"\ud800"`, `"\"\\ud800\""`},
	{`1e300`, "1" + strings.Repeat("0", 300)},
	{`1e131071`, `"1e131071"`},
	{`[1e999999999999]`, `"[1e999999999999]"`},
	{`0.` + strings.Repeat("1", 20_000), `"0.` + strings.Repeat("1", 20_000) + `"`},
	{strings.Repeat("[", 200) + strings.Repeat("]", 200), strings.Repeat("[", 200) + strings.Repeat("]", 200)},
	{strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999), `"` + strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999) + `"`},
	{`{`, `"7b"`},
	{"\x00\xff", `"00ff"`},
	{"", `""`},
}

// The view shows a body as JSON if jsonb can hold it. It never fails, not even in parallel plans.
func TestTheViewOfTheEventsShowsEveryBody(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	s := open(t, pool, store.Options{Partitions: 1})
	for i, body := range shown {
		c := moved(i)
		c.Events[0].Body = json.RawMessage(body.body)
		require.NoError(t, s.Commit(t.Context(), c))
	}
	for _, parallel := range []bool{false, true} {
		require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			if parallel {
				forceParallel(t, tx)
			}
			for i, body := range shown {
				var got string
				require.NoError(t, tx.QueryRow(t.Context(), `select body::text from maestro.events where position = $1`, i+1).Scan(&got))
				require.Equal(t, body.want, got, "%.50s", body.body)
			}
			var fields int
			require.NoError(t, tx.QueryRow(t.Context(), `select count(body->>'text') from maestro.events`).Scan(&fields))
			require.Equal(t, 2, fields)
			var plan strings.Builder
			rows, _ := tx.Query(t.Context(), `explain select max(length(body::text)) from maestro.events`)
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			fmt.Fprint(&plan, lines)
			require.Equal(t, parallel, strings.Contains(plan.String(), "Gather"), plan.String())
			return nil
		}))
	}
}

func forceParallel(t *testing.T, tx pgx.Tx) {
	t.Helper()
	_, err := tx.Exec(t.Context(), `select set_config(name, case name when 'min_parallel_table_scan_size' then '0' when 'parallel_setup_cost' then '0'
		when 'parallel_tuple_cost' then '0' else 'on' end, true)
		from pg_settings where name in ('force_parallel_mode', 'debug_parallel_query', 'min_parallel_table_scan_size', 'parallel_setup_cost', 'parallel_tuple_cost')`)
	require.NoError(t, err)
}

// An index of the user's own makes a condition on a body quick.
func TestBodiesCanBeIndexed(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	open(t, pool, store.Options{Partitions: 1})
	_, err := pool.Exec(t.Context(), `insert into maestro.log select 0, i, 'counter', i, 1, 'e', 1, 1, convert_to('{"by":' || i || '}', 'UTF8'), '{}', now()
			from generate_series(1, 5000) i;
		create index on maestro.log ((maestro.json(body, codec) ->> 'by'));
		analyze maestro.log`)
	require.NoError(t, err)
	rows, _ := pool.Query(t.Context(), `explain select position from maestro.log where maestro.json(body, codec) ->> 'by' = '7'`)
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Contains(t, strings.Join(plan, "\n"), "log_expr_idx")
	var position int
	require.NoError(t, pool.QueryRow(t.Context(), `select position from maestro.log where maestro.json(body, codec) ->> 'by' = '7'`).Scan(&position))
	require.Equal(t, 7, position)
}

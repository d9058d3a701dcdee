package store_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/store"
)

// A role may have another encoding and date style than ours. All texts and times must come back
// unchanged.
func TestARolesEncodingAndStyleOfDatesDoNotMatter(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]pgx.QueryExecMode{"statements are prepared": pgx.QueryExecModeCacheStatement,
		"nothing is prepared": pgx.QueryExecModeExec, "the simple protocol": pgx.QueryExecModeSimpleProtocol} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := localpg.Database(t)
			admin := localpg.Pool(t, at)
			database := admin.Config().ConnConfig.Database
			for _, sql := range []string{`client_encoding = 'WIN1252'`, `datestyle = 'SQL, DMY'`, `timezone = 'Asia/Kathmandu'`,
				`standard_conforming_strings = off`} {
				_, err := admin.Exec(t.Context(), `alter database `+database+` set `+sql)
				require.NoError(t, err)
			}
			s := open(t, localpg.Pool(t, at, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode }), store.Options{Partitions: 2})
			p, err := s.Acquire(t.Context(), 1, "\u2192 owner")
			require.NoError(t, err)
			require.Equal(t, "\u2192 owner", p.Owner)
			text := "\u2192 \U0001F600 \u0142 \\ '"
			when := time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)
			c := commitOf()
			c.Partition, c.Epoch = 1, p.Epoch
			c.Cursor = store.Cursor{StreamCreated: when, Sequence: 1, Time: when.Add(time.Hour)}
			c.Events[0].Aggregate.ID, c.Events[0].Body, c.Events[0].RecordedAt = text, []byte(`"`+strings.ReplaceAll(text, `\`, `\\`)+`"`), when
			c.Receipts[0] = store.Receipt{Aggregate: store.Key{Type: "counter", ID: text}, CommandID: text, Status: store.Rejected, At: when,
				Error: &store.Error{Code: "no", Message: text}}
			var zone string
			c.Handlers = handling(func(ctx context.Context, tx pgx.Tx) error { return tx.QueryRow(ctx, `show timezone`).Scan(&zone) })
			require.NoError(t, s.Commit(t.Context(), c))
			require.Equal(t, "UTC", zone, "days in a projection's SQL begin as they do elsewhere")
			events, err := s.Log(t.Context(), 1, 0, 10)
			require.NoError(t, err)
			require.Equal(t, text, events[0].Aggregate.ID)
			require.Equal(t, string(c.Events[0].Body), string(events[0].Body))
			require.True(t, when.Equal(events[0].RecordedAt), events[0].RecordedAt)
			receipts, err := s.Receipts(t.Context(), 1, []store.CommandKey{c.Receipts[0].Key()})
			require.NoError(t, err)
			require.Equal(t, text, receipts[c.Receipts[0].Key()].Error.Message)
			p, err = s.Acquire(t.Context(), 1, "another")
			require.NoError(t, err)
			require.True(t, when.Equal(p.Cursor.StreamCreated) && when.Add(time.Hour).Equal(p.Cursor.Time), p.Cursor)
			_, err = s.Load(t.Context(), 1, []store.Query{{Key: store.Key{Type: "counter", ID: text}}})
			require.NoError(t, err)
			require.NoError(t, s.SaveSnapshots(t.Context(), 1, []store.Snapshot{{Aggregate: store.Key{Type: "counter", ID: text},
				Snapshot: aggregate.Snapshot{Sequence: 1, Version: 1, Body: []byte(text)}}}))
		})
	}
}

// A database that cannot hold every text is refused at the start. The error says what to do.
func TestADatabaseOfAnotherEncodingIsRefused(t *testing.T) {
	t.Parallel()
	admin := newPool(t)
	name := admin.Config().ConnConfig.Database + "_euc"
	_, err := admin.Exec(t.Context(), `create database `+name+` encoding 'EUC_JP' lc_collate 'C' lc_ctype 'C' template template0`)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := admin.Exec(context.WithoutCancel(t.Context()), `drop database `+name+` with (force)`)
		require.NoError(t, err)
	})
	at, err := url.Parse(admin.Config().ConnString())
	require.NoError(t, err)
	at.Path = "/" + name
	_, err = store.Open(t.Context(), localpg.Pool(t, at.String()), store.Options{})
	require.ErrorContains(t, err, "the database's encoding is EUC_JP, expected UTF8")
	require.ErrorContains(t, err, "encoding 'UTF8' template template0")
}

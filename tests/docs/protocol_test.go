package docs

import (
	"context"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/store"
)

func protocol(t *testing.T) string {
	t.Helper()
	return read(t, filepath.Join(top, "docs", "protocol.md"))
}

var headerConstant = regexp.MustCompile(`Header\w+ += "([\w-]+)"`)

func TestTheProtocolNamesEveryHeader(t *testing.T) {
	t.Parallel()
	page := protocol(t)
	headers := headerConstant.FindAllStringSubmatch(read(t, filepath.Join(top, "internal", "wire", "wire.go")), -1)
	require.NotEmpty(t, headers)
	for _, header := range headers {
		require.Contains(t, page, "`"+header[1]+"`")
	}
}

// A table of the database has a heading of its own, with the columns in the first column below.
var (
	tableHeading = regexp.MustCompile("(?m)^### `maestro\\.(\\w+)`$")
	tableColumn  = regexp.MustCompile("(?m)^\\| `(\\w+)` \\|")
)

func TestTheProtocolNamesEveryColumn(t *testing.T) {
	t.Parallel()
	pool := localpg.Pool(t, localpg.Database(t))
	require.NoError(t, store.Migrate(t.Context(), pool, store.Options{}))
	page := protocol(t)
	headings := tableHeading.FindAllStringSubmatchIndex(page, -1)
	require.NotEmpty(t, headings)
	for _, at := range headings {
		table, section := page[at[2]:at[3]], page[at[1]:]
		section, _, _ = strings.Cut(section, "\n#")
		var named []string
		for _, match := range tableColumn.FindAllStringSubmatch(section, -1) {
			named = append(named, match[1])
		}
		rows, err := pool.Query(t.Context(), `select column_name::text from information_schema.columns
			where table_schema = 'maestro' and table_name = $1 order by ordinal_position`, table)
		require.NoError(t, err)
		columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.Equal(t, columns, named, "columns of maestro.%s", table)
	}
}

// A command's subject has three parts after "cmd". With fewer or more the stream does not take it,
// and the worker says so.
func TestMisaddressedCommandsAreAnswered(t *testing.T) {
	t.Parallel()
	nc := localnats.ForTest(t).Connect(t)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() {
		stopped <- maestro.Run(ctx, maestro.Config{NATS: nc, Store: store.NewMemory(2),
			Aggregates: []aggregate.Type{counter.Definition}, Logger: slog.New(slog.DiscardHandler)})
	}()
	t.Cleanup(func() { stop(); require.NoError(t, <-stopped) })
	request(t, nc, "maestro.get.counter.42", "") // the worker is there

	for _, address := range []string{"", ".a", ".a.b", ".a.b.c.d", ".a.b.c.d.e", ".a.b.c.d.e.f", ".a.b.c.d.e.f.g"} {
		answer, err := nc.Request("maestro.cmd"+address, nil, patience)
		require.NoError(t, err, address)
		require.Contains(t, string(answer.Data), `"error":{"code":400,"description":"subject \"maestro.cmd`+address+`\": expected`)
	}
	answer, err := nc.Request("maestro.cmd.counter.42.increment", nil, patience)
	require.NoError(t, err)
	require.JSONEq(t, `{"stream":"MAESTRO_COMMANDS","seq":1}`, string(answer.Data))
}

package client_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/localnats"
)

// BenchmarkImport reads and stores b.N commands.
func BenchmarkImport(b *testing.B) {
	s, err := localnats.Start(localnats.Options{Dir: b.TempDir()})
	require.NoError(b, err)
	defer s.Stop()
	_, c := newWorker(b, s, client.Options{})
	var lines bytes.Buffer
	for i := range b.N {
		fmt.Fprintf(&lines, `{"id":"c-%d","aggregate":"counter","aggregate_id":"%d","command":"increment","data":{"by":1}}`+"\n", i, i%10_000)
	}
	b.ReportAllocs()
	b.ResetTimer()
	sum, err := c.Import(b.Context(), client.Commands(&lines), client.ImportOptions{})
	require.NoError(b, err)
	require.Equal(b, b.N, sum.Commands)
	b.ReportMetric(float64(sum.Commands)/b.Elapsed().Seconds(), "commands/s")
}

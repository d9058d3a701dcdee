package declaration_test

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/examples/declaration"
)

// step is a line of the log, in the format of publisher import.
type step struct {
	ID      string          `json:"id"`
	Of      string          `json:"aggregate_id"`
	Command string          `json:"command"`
	Data    json.RawMessage `json:"data"`
}

// The log of a real university covers two years. Replaying it must end as an independent model
// says. The log is not part of the project.
func TestTheRealLogEndsAsItShould(t *testing.T) {
	t.Parallel()
	instances := map[string]aggregate.Instance{}
	committed, rejections := 0, map[string]int{}
	for s := range realLog(t) {
		i, known := instances[s.Of]
		if !known {
			i = declaration.Definition.New(s.Of)
			instances[s.Of] = i
		}
		_, err := i.Execute(s.Command, s.Data, aggregate.Metadata{ID: s.ID})
		if rejection, ok := errors.AsType[*aggregate.Rejection](err); ok {
			rejections[rejection.Code]++
			continue
		}
		require.NoError(t, err)
		committed++
	}
	statuses, paidCents := map[string]int{}, int64(0)
	for _, i := range instances {
		d := i.Root().(aggregate.Root[declaration.Declaration]).State
		statuses[d.Status]++
		if d.Status == "paid" {
			paidCents += d.AmountCents
		}
	}
	require.Equal(t, 55_623, committed)
	require.Equal(t, map[string]int{"not_approved": 2, "payment_not_requested": 3}, rejections)
	require.Equal(t, map[string]int{"paid": 9_909, "rejected": 312, "saved": 135, "approved": 1}, statuses)
	require.EqualValues(t, 89_423_542, paidCents)
}

// realLog yields the steps of the log. The directory above data/declarations.ndjson.gz is given by
// MAESTRO_SHARED.
func realLog(t *testing.T) func(yield func(step) bool) {
	t.Helper()
	path := filepath.Join(cmp.Or(os.Getenv("MAESTRO_SHARED"), "../../../shared"), "data", "declarations.ndjson.gz")
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("the real log is not in the repository: set MAESTRO_SHARED to the directory of data/declarations.ndjson.gz (%s)", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, file.Close()) })
	text, err := gzip.NewReader(file)
	require.NoError(t, err)
	return func(yield func(step) bool) {
		lines := bufio.NewScanner(text)
		for lines.Scan() {
			var s step
			require.NoError(t, json.Unmarshal(lines.Bytes(), &s))
			if !yield(s) {
				return
			}
		}
		require.NoError(t, lines.Err())
	}
}

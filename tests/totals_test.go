package tests

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/store"
)

// publisher runs the command line to its end.
func (s *system) publisher(stdin io.Reader, args ...string) *process {
	s.Helper()
	p := start(s.T, "publisher", s.env(), args, stdin)
	p.statusWithin(5 * patience) // an import takes its time on a busy machine
	return p
}

// imported is an import's own report. Again is how many commands the import sent once more because
// a busy system did not answer. Each of these may have been answered as a duplicate.
type imported struct {
	client.Summary
	again int
}

var sentAgain = regexp.MustCompile(`commands sent again so far: (\d+)`)

// imports sends lines through the command line and returns its summary.
func (s *system) imports(lines []byte) (sum imported) {
	s.Helper()
	p := s.publisher(bytes.NewReader(lines), "import", "-", "--wait")
	require.Zero(s, p.status(), p.out.String())
	require.NoError(s, json.Unmarshal(p.stdout.Bytes(), &sum.Summary), p.stdout.String())
	for _, said := range sentAgain.FindAllStringSubmatch(p.out.String(), -1) {
		again, err := strconv.Atoi(said[1])
		require.NoError(s, err)
		sum.again = again
	}
	return sum
}

// counts returns the part of a summary that does not depend on time.
func counts(commands, committed, rejected, duplicate, failed int) client.Summary {
	return client.Summary{Commands: commands, Committed: committed, Rejected: rejected, Duplicate: duplicate, Failed: failed}
}

func (s *system) sameCounts(want client.Summary, got imported) {
	s.Helper()
	if twice := got.Duplicate - want.Duplicate; twice > 0 {
		require.LessOrEqual(s, twice, got.again)
		refused := want.Rejected - got.Rejected
		require.GreaterOrEqual(s, refused, 0)
		want.Duplicate, want.Rejected, want.Committed = got.Duplicate, got.Rejected, want.Committed-(twice-refused)
	}
	require.Equal(s, want, counts(got.Commands, got.Committed, got.Rejected, got.Duplicate, got.Failed))
	require.Positive(s, got.PerSecond)
	require.Positive(s, got.Seconds)
}

// The generated commands end like a fold in memory says. Sending them a second time changes
// nothing.
func TestGeneratedDeclarationsEndAsTheyShould(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	seed := random(t).Uint32()
	lines := bytes.Clone(s.publisher(nil, "generate", "--commands", fmt.Sprint(many(5000)), "--seed", fmt.Sprint(seed)).stdout.Bytes())
	m, n := newModel(s.partitions), 0
	for c, err := range client.Commands(bytes.NewReader(lines)) {
		require.NoError(t, err)
		m.handle(c)
		n++
	}
	require.Equal(t, many(5000), n)
	committed, rejected := m.total(store.Committed), m.total(store.Rejected)
	require.Positive(t, rejected)

	w := s.start()
	s.sameCounts(counts(n, committed, rejected, 0, 0), s.imports(lines))
	s.checkAgainst(m)
	before := s.readLog()
	s.sameCounts(counts(n, 0, 0, n, 0), s.imports(lines))
	s.stop(w)
	s.start()
	s.sameCounts(counts(n, 0, 0, n, 0), s.imports(lines))
	require.Equal(t, before, s.readLog())
	s.checkAgainst(m)
}

// The real log of a university, two years long, ends as an independent model says. The log is not
// part of the project.
func TestTheRealLogEndsAsItShould(t *testing.T) {
	t.Parallel()
	path := filepath.Join(cmp.Or(os.Getenv("MAESTRO_SHARED"), "../../shared"), "data", "declarations.ndjson.gz")
	packed, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("the real log is not in the repository: set MAESTRO_SHARED to the directory of data/declarations.ndjson.gz (%s)", err)
	}
	require.NoError(t, err)
	_, err = gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	s := newSystem(t)
	s.partitions = 64
	w := s.start()
	s.sameCounts(counts(55_628, 55_623, 5, 0, 0), s.imports(packed))
	require.Equal(t, map[string]string{"paid": "9909", "rejected": "312", "saved": "135", "approved": "1"},
		s.pairs("select status, count(*)::text from "+s.view("declaration_status")+" group by 1"))
	require.EqualValues(t, 89_423_542, query[int64](s, "select sum(amount_cents)::bigint from "+s.view("declaration_status")+" where status = 'paid'"))
	require.EqualValues(t, 55_623, s.events())
	s.stop(w)
	s.check()
}

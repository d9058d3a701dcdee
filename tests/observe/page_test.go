package observe

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The page lists every span of Maestro with its kind, and every attribute of these spans, and
// nothing else.
func TestSpansAreThoseOfThePage(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.worker("worker")
	s.subscriber()
	s.exercise()
	file := filepath.Join(t.TempDir(), "one")
	require.NoError(t, os.WriteFile(file, []byte(`{"aggregate":"counter","aggregate_id":"8","command":"increment"}`+"\n"), 0o600))
	s.publisher("import", file, "--wait")
	s.publisher("send", "counter", "9", "increment", "--correlation-id", "last")
	s.await(t, "of the last", func(s span) bool {
		return s.process == "subscriber" && s.attributes()["messaging.message.conversation_id"] == "last"
	})

	spans, attributes := map[string]string{}, map[string]bool{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range s.spans {
		all := of.attributes()
		if all["db.system.name"] != "" || strings.HasSuffix(of.Name, ".nonsense") {
			continue // pgx's span, or one more of a kind
		}
		spans[of.process+" "+of.Name] = kindOf(of)
		for name := range all {
			attributes[name] = true
		}
	}
	wantSpans, wantAttributes := spansOfThePage(t)
	require.Equal(t, wantSpans, spans)
	require.Equal(t, wantAttributes, attributes)
}

func kindOf(s span) string {
	return strings.ToLower(strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_"))
}

// placeholders of the page are names of the test's command here.
var placeholders = strings.NewReplacer("<type>", "counter", "<command>", "increment", "<event>", "incremented")

var spanName = regexp.MustCompile("^`([a-z].*)`$")

// spansOfThePage returns the spans and attributes of the page. Their rows are
// | `span` | process | kind | meaning | and | `attribute`, ... | unit | meaning |.
func spansOfThePage(t *testing.T) (spans map[string]string, attributes map[string]bool) {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	spans, attributes = map[string]string{}, map[string]bool{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		name := spanName.FindStringSubmatch(cells[0])
		switch {
		case len(cells) == 4 && name != nil:
			spans[cells[1]+" "+placeholders.Replace(name[1])] = cells[2]
		case len(cells) == 3 && slices.Contains([]string{"maestro", "messaging", "error"}, firstWord(cells[0])):
			for _, attribute := range quoted.FindAllStringSubmatch(cells[0], -1) {
				attributes[attribute[1]] = true
			}
		}
	}
	require.NotEmpty(t, spans)
	require.NotEmpty(t, attributes)
	return spans, attributes
}

// firstWord returns the part before the first dot of a name in quotes.
func firstWord(cell string) string {
	word, _, _ := strings.Cut(strings.TrimPrefix(cell, "`"), ".")
	return word
}

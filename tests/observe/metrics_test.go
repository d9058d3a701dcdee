package observe

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const page = "../../docs/observability.md"

// series is a metric as Prometheus sees it.
type series struct {
	kind   string
	labels []string
}

var (
	typeLine   = regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`)
	sampleLine = regexp.MustCompile(`(?m)^([a-z_]+)\{([^}]*)\}`)
	labelName  = regexp.MustCompile(`([a-z_]+)="`)
	// ofOthers are metrics that Prometheus's client and OpenTelemetry add to every Go program.
	ofOthers = regexp.MustCompile(`^(go_|process_|promhttp_|target_info|otel_)`)
)

// The page lists every metric that a worker serves, with its kind and labels, and no other.
func TestMetricsAreThoseOfThePage(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	first := s.start("first", "worker", nil, "MAESTRO_HTTP=127.0.0.1:0")
	url := first.says("msg=console url=") + "/metrics"
	first.says("msg=ready")
	s.exercise()
	s.worker("second") // gets half of the partitions from the first

	want := documented(t)
	var got map[string]series
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		got = scrape(t, url)
		assert.Contains(c, got, "maestro_handover_duration_seconds") // the handover is recorded a moment after the other worker is ready
	}, patience, 50*time.Millisecond)
	require.Equal(t, want, got)

	text := get(t, url)
	for _, line := range []string{
		`maestro_commands_total{maestro_aggregate="counter",maestro_command="increment",maestro_namespace="maestro",maestro_outcome="committed"} 3`,
		`maestro_commands_total{maestro_aggregate="counter",maestro_command="increment",maestro_namespace="maestro",maestro_outcome="duplicate"} 1`,
		`maestro_commands_total{maestro_aggregate="counter",maestro_command="increment",maestro_namespace="maestro",maestro_outcome="rejected"} 1`,
		`maestro_commands_total{maestro_aggregate="counter",maestro_command="_OTHER",maestro_namespace="maestro",maestro_outcome="failed"} 1`,
		`maestro_dead_letters_total{error_type="unknown_command",maestro_namespace="maestro"} 1`,
		`maestro_commit_errors_total{error_type="duplicate",maestro_namespace="maestro"} 1`,
		`maestro_partitions_owned{maestro_namespace="maestro"} 2`,
		`maestro_publication_size_sum{maestro_namespace="maestro"} 3`,
		`maestro_command_duration_seconds_count{maestro_namespace="maestro",maestro_source="request"} 4`,
		`maestro_command_duration_seconds_count{maestro_namespace="maestro",maestro_source="stream"} 2`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.Regexp(t, `maestro_command_duration_seconds_bucket\{[^}]*\} \d+ # \{[^}]*trace_id="[0-9a-f]{32}"`,
		get(t, url, "Accept", "application/openmetrics-text"))
}

func TestProfilesAreServedWhereTheyAreWanted(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for name, want := range map[string]int{"": http.StatusNotFound, "MAESTRO_PPROF=true": http.StatusOK} {
		w := s.start("worker", "worker", nil, "MAESTRO_HTTP=127.0.0.1:0", name)
		answer, err := http.Get(w.says("msg=console url=") + "/debug/pprof/cmdline")
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, want, answer.StatusCode, name)
		w.kill()
	}
}

// exercise makes the worker do each observed thing once.
func (s *system) exercise() {
	s.Helper()
	s.publisher("send", "counter", "42", "increment", "--wait")
	s.publisher("send", "counter", "42", "nonsense", "--wait")
	s.publisher("request", "counter", "42", "increment", "--id", "again")
	s.publisher("request", "counter", "42", "increment", "--id", "again")
	s.publisher("request", "counter", "42", "increment", `{"by": -1}`)
	s.publisher("request", "counter", "7", "increment")
	s.publisher("get", "counter", "42")
	s.publisher("history", "counter", "42")
}

func get(t *testing.T, url string, header ...string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	if len(header) == 2 {
		request.Header.Set(header[0], header[1])
	}
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(text)
}

func scrape(t *testing.T, url string) map[string]series {
	t.Helper()
	text, found := get(t, url), map[string]series{}
	for _, m := range typeLine.FindAllStringSubmatch(text, -1) {
		if !ofOthers.MatchString(m[1]) {
			found[m[1]] = series{kind: m[2]}
		}
	}
	for _, m := range sampleLine.FindAllStringSubmatch(text, -1) {
		name := m[1]
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if whole := strings.TrimSuffix(name, suffix); found[whole].kind == "histogram" {
				name = whole
			}
		}
		if of, is := found[name]; is {
			for _, label := range labelName.FindAllStringSubmatch(m[2], -1) {
				if !slices.Contains(of.labels, label[1]) && label[1] != "le" {
					of.labels = append(of.labels, label[1])
				}
			}
			slices.Sort(of.labels)
			found[name] = of
		}
	}
	return found
}

// documented returns the metrics of the page. A row of the page is
// | `name` | `Prometheus's name` | kind | unit | `attribute`, ... | meaning |
func documented(t *testing.T) map[string]series {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	found := map[string]series{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 6 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		var labels []string
		if strings.Contains(cells[0], "`maestro.") {
			labels = append(labels, "maestro_namespace")
		}
		for _, name := range quoted.FindAllStringSubmatch(cells[4], -1) {
			labels = append(labels, strings.ReplaceAll(name[1], ".", "_"))
		}
		slices.Sort(labels)
		found[quoted.FindStringSubmatch(cells[1])[1]] = series{kind: strings.TrimSpace(cells[2]), labels: labels}
	}
	require.NotEmpty(t, found)
	return found
}

var quoted = regexp.MustCompile("`([^`]+)`")

package main

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func found() *result {
	r := &result{tables: []table{{head: []string{"a", "b"}}}, plots: []plotted{
		{name: "one", x: axis{label: "things", log: true, ticks: []float64{1, 1000}}, y: axis{label: "1/s"},
			lines: []line{{points: []point{{1, 10}, {1000, 2e6}}}}},
		{name: "two", title: "Title", x: axis{label: "rate"}, y: axis{label: "ms", log: true},
			lines: []line{{name: "p50", points: []point{{1, 0.5}, {2, 7}}}, {name: "p99", points: []point{{1, 3}, {2, 900}}}}}}}
	r.notef("%d things.", 5)
	r.tables[0].add("x", "1,000")
	r.footnote("Made now.")
	return r
}

func TestAResultGoesBetweenItsMarks(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	before, after := "# Page\n\nAbove.\n\n<!-- bench: it -->\n", "<!-- bench: end of it -->\n\nBelow.\n"
	require.NoError(t, os.WriteFile(page, []byte(before+"What was there.\n"+after), 0o600))
	for range 2 {
		require.NoError(t, writeResult(page, "it", found()))
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		require.Equal(t, before+"5 things.\n\n| a | b |\n|---|---|\n| x | 1,000 |\n\n![1/s against things](plots/one.svg)\n\n"+
			"![Title: ms against rate](plots/two.svg)\n\n<sub>Made now.</sub>\n"+after, string(text))
	}
	require.ErrorContains(t, writeResult(page, "other", found()), "expected a line <!-- bench: other -->")
}

func TestPlotsAreSmallAndWellFormed(t *testing.T) {
	t.Parallel()
	for _, p := range found().plots {
		file := filepath.Join(t.TempDir(), p.name+".svg")
		require.NoError(t, p.draw(file))
		about, err := os.Stat(file)
		require.NoError(t, err)
		require.Less(t, about.Size(), int64(40<<10))
		drawing, err := os.Open(file)
		require.NoError(t, err)
		for d := xml.NewDecoder(drawing); err == nil; {
			_, err = d.Token()
		}
		require.NoError(t, drawing.Close())
		require.ErrorIs(t, err, io.EOF)
	}
}

// The page has a place for each experiment. Otherwise a run of half an hour would fail at its end.
func TestThePageHasAPlaceForEveryExperiment(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/performance.md")
	require.NoError(t, err)
	for _, e := range suite {
		begin, end := marks(e.name)
		require.Regexp(t, "(?s)"+begin+"\n.*"+end+"\n", string(page))
	}
}

func TestNumbersArePrintedForPeople(t *testing.T) {
	t.Parallel()
	for n, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.8: "1,234,568"} {
		require.Equal(t, want, count(n))
	}
	for n, want := range map[float64]string{0.5: "0.5", 20: "20", 1000: "1k", 65536: "65.54k", 1e7: "10M"} {
		require.Equal(t, want, short(n))
	}
	for n, want := range map[float64]string{0.651: "0.65", 12.34: "12.3", 1234: "1,234"} {
		require.Equal(t, want, millis(n))
	}
	require.Equal(t, "0.95", ratio(95, 100))
	require.Equal(t, "-", ratio(95, 0))
}

func TestExperimentsAreChosenByName(t *testing.T) {
	t.Parallel()
	all, err := choose("")
	require.NoError(t, err)
	require.Len(t, all, len(suite))
	two, err := choose("replay, floor")
	require.NoError(t, err)
	require.Equal(t, []string{"replay", "floor"}, []string{two[0].name, two[1].name})
	_, err = choose("nonsense")
	require.ErrorContains(t, err, `no experiment "nonsense"`)
}

package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// result is the finding of an experiment.
type result struct {
	notes     []string // sentences before the tables
	tables    []table
	plots     []plotted
	footnotes []string
}

// table is a table with a row for each thing that was measured.
type table struct {
	head []string
	rows [][]string
}

// plotted is a plot, in a file of its own.
type plotted struct {
	name, title string
	x, y        axis
	lines       []line
}

// axis is an axis of a plot: linear from 0, or logarithmic.
type axis struct {
	label string
	log   bool
	// ticks are the values that are named. If there are none, the plot chooses them.
	ticks []float64
}

// line is a line of a plot.
type line struct {
	name   string
	points []point
}

type point struct{ x, y float64 }

func (r *result) notef(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}
func (r *result) footnote(s string)  { r.footnotes = append(r.footnotes, s) }
func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// sweep adds the table and the plot of rates against a number.
func (r *result) sweep(name, what string, variants []variant, rates []float64) {
	t := table{head: []string{what, "commands/s"}}
	for i, v := range variants {
		t.add(count(v.x), count(rates[i]))
	}
	r.tables = append(r.tables, t)
	r.plotRates(name, what, variants, rates)
}

func (r *result) plotRates(name, what string, variants []variant, rates []float64) {
	p := plotted{name: name, x: axis{label: what, log: true}, y: axis{label: "commands/s"}, lines: []line{{}}}
	for i, v := range variants {
		p.x.ticks = append(p.x.ticks, v.x)
		p.lines[0].points = append(p.lines[0].points, point{v.x, rates[i]})
	}
	r.plots = append(r.plots, p)
}

// show prints the notes and tables to people.
func (r *result) show(w io.Writer) {
	for _, note := range r.notes {
		fmt.Fprintln(w, note)
	}
	for _, t := range r.tables {
		fmt.Fprintln(w)
		columns := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
		for _, row := range append([][]string{t.head}, t.rows...) {
			fmt.Fprintln(columns, strings.Join(row, "\t"))
		}
		_ = columns.Flush()
	}
	fmt.Fprintln(w)
	for _, note := range r.footnotes {
		fmt.Fprintln(w, note)
	}
}

// count writes a number as people do: 12,345.
func count(n float64) string {
	digits := strconv.FormatFloat(n, 'f', 0, 64)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// ratio writes a as a ratio of b.
func ratio(a, b float64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}

// orNone formats a number, if there is one.
func orNone(n float64, format func(float64) string) string {
	if n == 0 {
		return "-"
	}
	return format(n)
}

package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// writeResult replaces the text between the marks of an experiment in a page, and draws its plots
// into the folder plots beside the page. Everything else stays as it is.
func writeResult(page, name string, r *result) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	begin, end := marks(name)
	before, rest, opened := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !opened || !closed {
		return fmt.Errorf("%s has no place for this: expected a line %s and below it %s", page, begin, end)
	}
	folder := filepath.Join(filepath.Dir(page), plotFolder)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, p := range r.plots {
		if err := p.draw(filepath.Join(folder, p.name+".svg")); err != nil {
			return fmt.Errorf("draw %s: %w", p.name, err)
		}
	}
	return os.WriteFile(page, []byte(before+begin+"\n"+r.markdown()+end+after), 0o644)
}

const plotFolder = "plots"

// marks returns the lines around the results of an experiment.
func marks(name string) (begin, end string) {
	return "<!-- bench: " + name + " -->", "<!-- bench: end of " + name + " -->"
}

// markdown returns the result as a part of a page.
func (r *result) markdown() string {
	var b strings.Builder
	b.WriteString(strings.Join(r.notes, " ") + "\n")
	for _, t := range r.tables {
		b.WriteString("\n" + row(t.head) + strings.Repeat("|---", len(t.head)) + "|\n")
		for _, cells := range t.rows {
			b.WriteString(row(cells))
		}
	}
	for _, p := range r.plots {
		fmt.Fprintf(&b, "\n![%s](%s)\n", p.alternative(), path.Join(plotFolder, p.name+".svg"))
	}
	for _, note := range r.footnotes {
		fmt.Fprintf(&b, "\n<sub>%s</sub>\n", note)
	}
	return b.String()
}

func row(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

// alternative returns the text for readers who do not see the plot.
func (p plotted) alternative() string {
	return strings.TrimPrefix(p.title+": ", ": ") + p.y.label + " against " + p.x.label
}

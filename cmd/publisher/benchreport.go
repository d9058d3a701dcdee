package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/maestro-es/maestro/internal/openloop"
)

// benchLive shows the progress of a load on a terminal: the last second's figures, and a bar that
// follows the time.
type benchLive struct {
	bar *progressbar.ProgressBar // nil without a terminal
}

func newBenchLive(all time.Duration) benchLive {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return benchLive{}
	}
	return benchLive{progressbar.NewOptions64(all.Milliseconds(), progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetWidth(20),
		progressbar.OptionClearOnFinish())}
}

func (l benchLive) show(now openloop.Moment) {
	if l.bar == nil {
		return
	}
	l.bar.Describe(fmt.Sprintf("%d/s, p50 %s, p99 %s, in flight %d, failed %d", now.Answered, inMillis(now.P50.Seconds()*1e3),
		inMillis(now.P99.Seconds()*1e3), now.InFlight, now.Failed))
	_ = l.bar.Set64(min(now.Elapsed.Milliseconds(), l.bar.GetMax64()-1)) // the answers may take longer than the load
}

func (l benchLive) finish() {
	if l.bar != nil {
		_ = l.bar.Finish()
	}
}

// benchInWords returns the report as text with a table.
func benchInWords(r openloop.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d commands in %.1f s: %.0f a second, asked for %g", r.Commands, r.Seconds, r.PerSecond, r.Asked)
	if r.Stopped {
		b.WriteString(", ended early")
	}
	b.WriteString("\n")
	fmt.Fprintf(&b, "committed %d, rejected %d, failed %d, unanswered %d; sent again %d\n",
		r.Committed, r.Rejected, r.Failed, r.Unanswered, r.Resent)
	for _, reason := range slices.Sorted(maps.Keys(r.Reasons)) {
		fmt.Fprintf(&b, "  %s: %d\n", reason, r.Reasons[reason])
	}
	b.WriteString("\n")
	w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tp50\tp90\tp99\tp99.9\tmax\t")
	for _, line := range []struct {
		name string
		q    openloop.Quantiles
	}{{"from due to answered", r.Latency}, {"of it until sent", r.Late}} {
		fmt.Fprintf(w, "%s\t", line.name)
		for _, ms := range []float64{line.q.P50, line.q.P90, line.q.P99, line.q.P999, line.q.Max} {
			fmt.Fprintf(w, "%s\t", inMillis(ms))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	if r.Held == 0 && r.Late.P99 > r.Latency.P99/2 && r.Late.P99 > lateEnough {
		b.WriteString("\nMuch of the latency is this program's own: it came to send commands late. Give it a machine of its own, or\n" +
			"share the rate out among several.\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// lateEnough is the lateness, in milliseconds, from which the report mentions it.
const lateEnough = 1

func inMillis(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.1f ms", ms)
	default:
		return fmt.Sprintf("%.2f s", ms/1e3)
	}
}

// benchFailure returns an error if commands failed, were not answered or could not be sent.
func benchFailure(r openloop.Report, maxInFlight int) error {
	switch {
	case r.Failed+r.Unanswered > 0:
		return fmt.Errorf("commands that failed: %d, without an answer: %d", r.Failed, r.Unanswered)
	case r.Unsent > 0:
		return fmt.Errorf("commands that were due and could not be sent, because %d were in flight: %d. "+
			"The system does not keep up: give a lower --rate, and take no latency from here", maxInFlight, r.Unsent)
	}
	return nil
}

package openloop

import (
	"context"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/maestro-es/maestro/store"
)

// Report is what a load led to, without its warm-up. Times are in milliseconds.
type Report struct {
	// Asked and PerSecond are the rate that was asked for and the rate of the answers.
	Asked     float64 `json:"rate"`
	PerSecond float64 `json:"per_second"`
	Seconds   float64 `json:"seconds"`
	// Commands were sent; each is committed, rejected, failed, or unanswered in time. Unsent ones were due, but too many were in flight
	// until the end.
	Commands   int `json:"commands"`
	Committed  int `json:"committed"`
	Rejected   int `json:"rejected"`
	Failed     int `json:"failed"`
	Unanswered int `json:"unanswered"`
	Unsent     int `json:"unsent"`
	// Held is how many of those that were sent had to wait because too many were in flight.
	Held int `json:"held"`
	// Resent is how often a command was sent again, because a worker asked for it or no answer came.
	Resent int `json:"resent"`
	// Reasons count the codes of what was not committed.
	Reasons map[string]int `json:"reasons,omitempty"`
	// Latency is from when a command was due to its answer. An unanswered one counts with the time for which it was waited for.
	Latency Quantiles `json:"latency_ms"`
	// Late is from when a command was due to when it was sent: the part of the latency that the sender has to answer for.
	Late Quantiles `json:"late_ms"`
	// Stopped says that it was ended before its time.
	Stopped bool `json:"stopped,omitempty"`
}

// Quantiles are latencies in milliseconds: P99 is the one that 99 of 100 commands stay within.
type Quantiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

func quantiles(h *hdrhistogram.Histogram) Quantiles {
	at := func(percentile float64) float64 { return float64(h.ValueAtPercentile(percentile)) / 1e3 }
	return Quantiles{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: at(100)}
}

// report sums up, after the last answer.
func (r *run) report(ctx context.Context, sent int) Report {
	t := r.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	ended := r.start.Add(r.WarmUp + r.Duration)
	stopped := ctx.Err() != nil && sent < r.commands
	if stopped || t.lastOne.After(ended) {
		ended = t.lastOne
	}
	report := Report{
		Asked: r.Rate, Commands: r.measured, Stopped: stopped,
		Committed: t.answers[store.Committed], Rejected: t.answers[store.Rejected],
		Failed: t.answers[store.Failed], Unanswered: t.answers[Unanswered],
		Held: t.held, Resent: t.resent, Reasons: t.reasons, Latency: quantiles(t.latency), Late: quantiles(t.late),
	}
	if !stopped {
		report.Unsent = r.commands - sent
	}
	if r.measured > 0 {
		report.Seconds = ended.Sub(r.began).Seconds()
		report.PerSecond = float64(report.Commands-report.Unanswered) / report.Seconds
	}
	return report
}

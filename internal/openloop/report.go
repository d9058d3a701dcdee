package openloop

import (
	"context"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/maestro-es/maestro/store"
)

// Report is the result of a load, without its warm-up. Times are in milliseconds.
type Report struct {
	// Asked is the rate that was asked for. PerSecond is the rate of the answers.
	Asked     float64 `json:"rate"`
	PerSecond float64 `json:"per_second"`
	Seconds   float64 `json:"seconds"`
	// Commands is how many were sent. Each of them is committed, rejected, failed, or unanswered in
	// time. Unsent commands were due, but too many others were in flight until the end.
	Commands   int `json:"commands"`
	Committed  int `json:"committed"`
	Rejected   int `json:"rejected"`
	Failed     int `json:"failed"`
	Unanswered int `json:"unanswered"`
	Unsent     int `json:"unsent"`
	// Held is how many of the sent commands had to wait because too many were in flight.
	Held int `json:"held"`
	// Resent is how often a command was sent again, because a worker asked for it or no answer
	// came.
	Resent int `json:"resent"`
	// Reasons count the codes of the commands that were not committed.
	Reasons map[string]int `json:"reasons,omitempty"`
	// Latency is the time from when a command was due to its answer. An unanswered command counts
	// with the time that was spent waiting for it.
	Latency Quantiles `json:"latency_ms"`
	// Late is the time from when a command was due to when it was sent. The sender is responsible
	// for this part of the latency.
	Late Quantiles `json:"late_ms"`
	// Stopped is true if the run was ended before its time.
	Stopped bool `json:"stopped,omitempty"`
}

// Quantiles are latencies in milliseconds. 99 of 100 commands stay within P99.
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

// report sums up the run. It is called after the last answer.
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

package openloop

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/maestro-es/maestro/store"
)

// tally counts the answers and keeps their latencies, in microseconds. It is safe for concurrent
// use.
type tally struct {
	mu      sync.Mutex
	latency *hdrhistogram.Histogram // from due to answered
	late    *hdrhistogram.Histogram // from due to sent: what the generator itself adds
	lately  *hdrhistogram.Histogram // latency since the last moment, including the warm-up
	answers map[store.Status]int
	reasons map[string]int
	held    int
	resent  int
	trouble int // failed or unanswered since the start, including the warm-up
	lastOne time.Time
}

// maxLatency is the longest latency that the histograms hold. Longer ones count as maxLatency.
const maxLatency = time.Hour

func newTally() *tally {
	histogram := func() *hdrhistogram.Histogram { return hdrhistogram.New(1, maxLatency.Microseconds(), 3) }
	return &tally{latency: histogram(), late: histogram(), lately: histogram(),
		answers: map[store.Status]int{}, reasons: map[string]int{}}
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d, 0), maxLatency).Microseconds()) // it fits
}

// sent counts a command that was sent late by the given time. held says that it waited because too
// many were in flight.
func (t *tally) sent(late time.Duration, held bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	record(t.late, late)
	if held {
		t.held++
	}
}

// answered counts an answer. It counts for the report only if it is measured.
func (t *tally) answered(measured bool, latency time.Duration, a Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	record(t.lately, latency)
	bad := a.Status != store.Committed && a.Status != store.Rejected
	if bad {
		t.trouble++
	}
	if !measured {
		return
	}
	record(t.latency, latency)
	t.lastOne = time.Now()
	t.answers[a.Status]++
	t.resent += a.Resent
	if a.Reason != "" {
		t.reasons[a.Reason]++
	}
}

// Moment tells how a run goes: the answers since the previous moment.
type Moment struct {
	Elapsed  time.Duration
	Answered int64
	InFlight int
	Failed   int // or unanswered, since the start
	P50, P99 time.Duration
}

// moment returns the Moment since the last call.
func (t *tally) moment() Moment {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := Moment{Answered: t.lately.TotalCount(), Failed: t.trouble,
		P50: quantile(t.lately, 50), P99: quantile(t.lately, 99)}
	t.lately.Reset()
	return m
}

func quantile(h *hdrhistogram.Histogram, percentile float64) time.Duration {
	return time.Duration(h.ValueAtPercentile(percentile)) * time.Microsecond
}

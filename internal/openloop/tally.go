package openloop

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/maestro-es/maestro/store"
)

// tally counts the answers and keeps their latencies, in microseconds. It is safe for concurrent use.
type tally struct {
	mu      sync.Mutex
	latency *hdrhistogram.Histogram // from due to answered
	late    *hdrhistogram.Histogram // from due to sent: what the generator itself adds
	lately  *hdrhistogram.Histogram // latency since the last moment, the warm-up too
	answers map[store.Status]int
	reasons map[string]int
	held    int
	resent  int
	trouble int // failed or unanswered since the start, the warm-up too
	lastOne time.Time
}

// maxLatency is what the histograms can hold; longer ones count as that long.
const maxLatency = time.Hour

func newTally() *tally {
	histogram := func() *hdrhistogram.Histogram { return hdrhistogram.New(1, maxLatency.Microseconds(), 3) }
	return &tally{latency: histogram(), late: histogram(), lately: histogram(),
		answers: map[store.Status]int{}, reasons: map[string]int{}}
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d, 0), maxLatency).Microseconds()) // it fits
}

// sent counts a command that is sent so much later than it was due, because of too many in flight if it was held.
func (t *tally) sent(late time.Duration, held bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	record(t.late, late)
	if held {
		t.held++
	}
}

// answered counts an answer, for the report only if it is measured.
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

// Moment is how it goes: what came in since the moment before.
type Moment struct {
	Elapsed  time.Duration
	Answered int64
	InFlight int
	Failed   int // or unanswered, since the start
	P50, P99 time.Duration
}

// moment is what came in since the last call.
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

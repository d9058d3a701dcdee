package openloop_test

import (
	"context"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/maestro-es/maestro/internal/openloop"
	"github.com/maestro-es/maestro/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// senderFunc is a sender without a network. The test decides its answers.
type senderFunc func(n int, done func(openloop.Answer))

func (f senderFunc) Send(n int, done func(openloop.Answer)) { f(n, done) }

var committed = openloop.Answer{Status: store.Committed}

func TestAPlanThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	good := openloop.Plan{Rate: 100, Duration: time.Second}
	require.NoError(t, good.Check())
	for want, spoil := range map[string]func(*openloop.Plan){
		"rate 0: expected commands per second":    func(p *openloop.Plan) { p.Rate = 0 },
		"rate -1":                                 func(p *openloop.Plan) { p.Rate = -1 },
		"rate NaN":                                func(p *openloop.Plan) { p.Rate = math.NaN() },
		"rate +Inf":                               func(p *openloop.Plan) { p.Rate = math.Inf(1) },
		"duration 0s: expected a time above 0":    func(p *openloop.Plan) { p.Duration = 0 },
		"warm-up -1s: expected a time from 0":     func(p *openloop.Plan) { p.WarmUp = -time.Second },
		"-1 commands in flight at most: expected": func(p *openloop.Plan) { p.MaxInFlight = -1 },
		"not one command is due":                  func(p *openloop.Plan) { p.Rate, p.Duration = 1e-9, time.Nanosecond },
	} {
		p := good
		spoil(&p)
		_, err := openloop.Run(t.Context(), p, senderFunc(nil))
		require.ErrorContains(t, err, want)
	}
}

func TestEveryCommandIsSentOnceAndTheWarmUpIsNotCounted(t *testing.T) {
	t.Parallel()
	var numbers []int
	report, err := openloop.Run(t.Context(), openloop.Plan{Rate: 1000, Duration: 50 * time.Millisecond, WarmUp: 20 * time.Millisecond, Grace: patience},
		senderFunc(func(n int, done func(openloop.Answer)) {
			numbers = append(numbers, n)
			status := []store.Status{store.Committed, store.Rejected, store.Failed, openloop.Unanswered}[n%4]
			done(openloop.Answer{Status: status, Reason: string(status), Resent: 1})
		}))
	require.NoError(t, err)
	require.Len(t, numbers, 70)
	for i, n := range numbers {
		require.Equal(t, i, n)
	}
	require.Equal(t, []int{50, 13, 13, 12, 12, 0, 50}, []int{report.Commands, report.Committed, report.Rejected, report.Failed,
		report.Unanswered, report.Unsent, report.Resent})
	require.Equal(t, 12, report.Reasons["failed"])
	require.False(t, report.Stopped)
}

// All answers come after the last command was sent. A command that was due 199 ms before the last
// one has waited at least 199 ms.
func TestLatencyCountsFromWhenACommandWasDue(t *testing.T) {
	t.Parallel()
	const commands = 200
	var waiting []func(openloop.Answer)
	report, err := openloop.Run(t.Context(), openloop.Plan{Rate: 1000, Duration: commands * time.Millisecond, Grace: patience},
		senderFunc(func(_ int, done func(openloop.Answer)) {
			if waiting = append(waiting, done); len(waiting) == commands {
				for _, done := range waiting {
					done(committed)
				}
			}
		}))
	require.NoError(t, err)
	require.Equal(t, commands, report.Committed)
	require.GreaterOrEqual(t, report.Latency.Max, 198.9)
	require.GreaterOrEqual(t, report.Latency.P50, 99.)
	require.GreaterOrEqual(t, report.Latency.P90, 179.)
}

// The system stands still at the tenth command for 100 ms and answers all others at once. A
// generator that waits for answers would show one slow command. Here the commands that were due
// meanwhile are slow too, and at least half of them by more than 50 ms.
func TestAPauseCountsForAllThatWereDueMeanwhile(t *testing.T) {
	t.Parallel()
	pause := time.Now()
	report, err := openloop.Run(t.Context(), openloop.Plan{Rate: 1000, Duration: 110 * time.Millisecond, Grace: patience},
		senderFunc(func(n int, done func(openloop.Answer)) {
			if n == 10 {
				pause = time.Now().Add(100 * time.Millisecond)
				<-time.After(time.Until(pause))
			}
			done(committed)
		}))
	require.NoError(t, err)
	require.Equal(t, 110, report.Commands)
	require.GreaterOrEqual(t, report.Latency.Max, 99.9)
	require.GreaterOrEqual(t, report.Latency.P90, 80., "10 of 110 waited longer than 90 ms")
	require.GreaterOrEqual(t, report.Late.P90, 80., "it was the sender that came late")
}

func TestWhatCannotBeSentIsTold(t *testing.T) {
	t.Parallel()
	report, err := openloop.Run(t.Context(), openloop.Plan{Rate: 1000, Duration: 50 * time.Millisecond, MaxInFlight: 5},
		senderFunc(func(_ int, done func(openloop.Answer)) {
			time.AfterFunc(2*time.Second, func() { done(committed) })
		}))
	require.NoError(t, err)
	require.Equal(t, 5, report.Commands)
	require.Equal(t, 5, report.Committed)
	require.Zero(t, report.Held, "nobody got a place that was waited for")
	require.Equal(t, 45, report.Unsent)
}

// The warm-up asks for more than can be sent. Commands late by more than the grace are measured,
// because there is nothing else to measure.
func TestAnOverloadIsMeasuredThoughItIsStillInTheWarmUp(t *testing.T) {
	t.Parallel()
	report, err := openloop.Run(t.Context(), openloop.Plan{Rate: 10_000, WarmUp: 100 * time.Millisecond, Duration: 1900 * time.Millisecond},
		senderFunc(func(_ int, done func(openloop.Answer)) {
			<-time.After(20 * time.Millisecond)
			done(committed)
		}))
	require.NoError(t, err)
	require.Positive(t, report.Commands)
	require.Equal(t, report.Commands, report.Committed)
	require.Positive(t, report.PerSecond)
	require.LessOrEqual(t, report.PerSecond, 50.)
	require.Positive(t, report.Unsent)
	require.GreaterOrEqual(t, report.Latency.P50, 999.)
}

func TestStoppedItTellsWhatWasMeasured(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	report, err := openloop.Run(ctx, openloop.Plan{Rate: 1000, Duration: time.Hour},
		senderFunc(func(n int, done func(openloop.Answer)) {
			if n == 19 {
				stop()
			}
			done(committed)
		}))
	require.NoError(t, err)
	require.True(t, report.Stopped)
	require.Equal(t, 20, report.Commands)
	require.Equal(t, 20, report.Committed)
	require.Zero(t, report.Unsent)
	require.Positive(t, report.PerSecond)
}

func TestWatchIsToldHowItGoes(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	var once sync.Once
	var seen openloop.Moment
	_, err := openloop.Run(ctx, openloop.Plan{Rate: 100, Duration: time.Hour, Watch: func(m openloop.Moment) {
		if m.Answered > 0 {
			once.Do(func() { seen = m; stop() })
		}
	}}, senderFunc(func(_ int, done func(openloop.Answer)) { done(openloop.Answer{Status: store.Failed}) }))
	require.NoError(t, err)
	require.Positive(t, seen.Answered)
	require.Positive(t, seen.Failed)
	require.GreaterOrEqual(t, seen.Elapsed, time.Second)
}

// A generator that cannot keep up ends soon after its time, and reports how many commands it did
// not send.
func TestASlowSenderEndsWithItsTime(t *testing.T) {
	t.Parallel()
	report, err := openloop.Run(t.Context(), openloop.Plan{Rate: 1000, Duration: 50 * time.Millisecond},
		senderFunc(func(_ int, done func(openloop.Answer)) {
			<-time.After(100 * time.Millisecond)
			done(committed)
		}))
	require.NoError(t, err)
	require.LessOrEqual(t, report.Commands, 11, "more would need longer than the second of grace")
	require.Equal(t, 50, report.Commands+report.Unsent)
}

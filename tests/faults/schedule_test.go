package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// kind is a way to break something.
type kind string

const (
	killWorker      kind = "worker kill -9"
	terminateWorker kind = "worker SIGTERM"
	freezeWorker    kind = "worker frozen for long"
	blinkWorker     kind = "worker frozen for a moment"
	addWorker       kind = "worker added"
	removeWorker    kind = "worker removed"
	cutNATS         kind = "worker cut from nats"
	holdNATS        kind = "worker's packets to nats held"
	slowNATS        kind = "worker's packets to nats delayed"
	cutPostgres     kind = "worker cut from postgres"
	holdPostgres    kind = "worker's packets to postgres held"
	slowPostgres    kind = "worker's packets to postgres delayed"
	killNATS        kind = "nats kill -9"
	restartNATS     kind = "nats restart"
	freezeNATS      kind = "nats frozen"
	stepDown        kind = "nats leader steps down"
	deleteStreams   kind = "streams deleted"
	wipeNATS        kind = "nats comes back empty"
	rewindNATS      kind = "nats comes back with old files"
	restartPostgres kind = "postgres restart"
	crashPostgres   kind = "postgres immediate shutdown"
	endSessions     kind = "postgres ends all sessions"
	failOver        kind = "postgres failover"
	switchOver      kind = "postgres switchover, and the service is late"
	slowFlush       kind = "standby acknowledges late"
	loseStandby     kind = "standby away"
	killPooler      kind = "pooler kill -9"
	pausePooler     kind = "pooler hands out no connections"

	moveWorkerClock   kind = "worker's clock jumps"
	movePostgresClock kind = "postgres's clock jumps"
)

// fault is a breakage that heals by itself after a length of time.
type fault struct {
	after  time.Duration // since the previous fault began
	kind   kind
	target int // which worker or server
	length time.Duration
}

func (f fault) String() string { return fmt.Sprintf("%s %d for %s", f.kind, f.target, f.length) }

// option is how often a kind of fault occurs, and how long it takes.
type option struct {
	kind    kind
	weight  int
	atLeast time.Duration
	atMost  time.Duration
	needs   func(shape) bool // nil: nothing
}

// The conditions of options.
func alone(s shape) bool      { return s.brokers == 1 }
func clustered(s shape) bool  { return s.brokers > 1 }
func followed(s shape) bool   { return s.standby != noStandby }
func replicated(s shape) bool { return s.standby == synchronous }
func pooled(s shape) bool     { return s.pooler }
func movable(s shape) bool    { return s.clocks }

func (o option) fits(s shape) bool { return o.needs == nil || o.needs(s) }

const ms = time.Millisecond

// duplicateWindow is how long the event stream remembers message ids.
const duplicateWindow = time.Second

// options are all faults that may happen.
var options = slices.Concat(serverOptions, rulesOptions)

// serverOptions lists the takeovers first, then the faults of the servers. The workers' own
// timeouts are 1 s for a silent worker, 1 s for a lock and 5 s for an exchange with JetStream. Some
// freezes and holds are longer than any of these timeouts and than the window for duplicates.
var serverOptions = []option{
	{kind: killWorker, weight: 16, atLeast: 0, atMost: 1500 * ms},
	{kind: terminateWorker, weight: 10, atLeast: 0, atMost: 500 * ms},
	{kind: freezeWorker, weight: 12, atLeast: 1500 * ms, atMost: 14_000 * ms},
	{kind: blinkWorker, weight: 8, atLeast: 10 * ms, atMost: 1200 * ms},
	{kind: addWorker, weight: 8},
	{kind: removeWorker, weight: 6},
	{kind: cutNATS, weight: 6, atLeast: 10 * ms, atMost: 3000 * ms},
	{kind: holdNATS, weight: 8, atLeast: 100 * ms, atMost: 13_000 * ms},
	{kind: slowNATS, weight: 3, atLeast: 500 * ms, atMost: 3000 * ms},
	{kind: cutPostgres, weight: 6, atLeast: 10 * ms, atMost: 4000 * ms},
	{kind: holdPostgres, weight: 8, atLeast: 100 * ms, atMost: 6000 * ms},
	{kind: slowPostgres, weight: 3, atLeast: 500 * ms, atMost: 3000 * ms},
	{kind: killNATS, weight: 6, atLeast: 0, atMost: 2000 * ms},
	{kind: restartNATS, weight: 3, atLeast: 0, atMost: 1000 * ms},
	{kind: freezeNATS, weight: 3, atLeast: 50 * ms, atMost: 2500 * ms},
	{kind: stepDown, weight: 12, needs: clustered},
	{kind: deleteStreams, weight: 4},
	{kind: wipeNATS, weight: 3, atLeast: 0, atMost: 500 * ms, needs: alone},
	{kind: rewindNATS, weight: 4, atLeast: 0, atMost: 500 * ms, needs: alone},
	{kind: restartPostgres, weight: 3, atLeast: 0, atMost: 1000 * ms},
	{kind: crashPostgres, weight: 4, atLeast: 0, atMost: 1000 * ms},
	{kind: endSessions, weight: 4},
	{kind: failOver, weight: 8, atLeast: 0, atMost: 2000 * ms, needs: followed},
	{kind: switchOver, weight: 8, atLeast: 0, atMost: 5000 * ms, needs: followed},
	{kind: slowFlush, weight: 8, atLeast: 1000 * ms, atMost: 8000 * ms, needs: replicated},
	{kind: loseStandby, weight: 4, atLeast: 500 * ms, atMost: 35_000 * ms, needs: replicated},
	{kind: killPooler, weight: 8, atLeast: 0, atMost: 1000 * ms, needs: pooled},
	{kind: pausePooler, weight: 10, atLeast: 100 * ms, atMost: 5000 * ms, needs: pooled},
	{kind: moveWorkerClock, weight: 20, atLeast: 300 * ms, atMost: 8000 * ms, needs: movable},
	{kind: movePostgresClock, weight: 20, atLeast: 100 * ms, atMost: 8000 * ms, needs: movable},
}

// schedule makes the faults of a seed, as many as fit into the duration. If most is not 0, there
// are at most that many.
func schedule(seed uint64, s shape, duration time.Duration, most int) []fault {
	r := rand.New(rand.NewPCG(seed, 0))
	total := 0
	for _, o := range options {
		if o.fits(s) {
			total += o.weight
		}
	}
	var faults []fault
	for at := time.Duration(0); most == 0 || len(faults) < most; {
		f := fault{after: time.Duration(100+r.IntN(1400)) * ms}
		if at += f.after; at > duration {
			break
		}
		f.kind, f.length = choose(r, s, total)
		f.target = r.IntN(1 << 16)
		faults = append(faults, f)
	}
	return faults
}

func choose(r *rand.Rand, s shape, total int) (kind, time.Duration) {
	x := r.IntN(total)
	for _, o := range options {
		if !o.fits(s) {
			continue
		}
		if x -= o.weight; x < 0 {
			return o.kind, o.atLeast + time.Duration(r.Int64N(int64(o.atMost-o.atLeast)+1))
		}
	}
	panic("the weights do not add up")
}

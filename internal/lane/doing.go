package lane

import (
	"sync"
	"time"

	"github.com/maestro-es/maestro/store"
)

// Step names what a lane is doing.
type Step string

// The steps of a lane.
const (
	// Idle: nothing waits.
	Idle Step = ""
	// Loading: it reads aggregates, or receipts, from the store.
	Loading Step = "loading"
	// Deciding: it is in the user's Decide or Evolve, or in the Queue of a projection.
	Deciding Step = "deciding"
	// Projecting: it is in a projection that uses the transaction.
	Projecting Step = "projecting"
	// Committing: it waits for the store to commit.
	Committing Step = "committing"
	// Waiting: its last attempt failed, and it waits before the next.
	Waiting Step = "waiting"
)

// Doing describes what a lane is doing.
type Doing struct {
	Step Step
	// Since is when the step began. For Deciding and Projecting, it is when this command's turn
	// began.
	Since time.Time
	// Aggregate and Command say whose turn it is. Projection is the projection that runs. They are
	// empty if the step is for no single command or projection.
	Aggregate  store.Key
	Command    string
	Projection string
	// Attempts is how many attempts failed since the last success. Problem is the error of the
	// latest failure.
	Attempts int
	Problem  string
}

// doing is a lane's current Doing. Other goroutines read it.
type doing struct {
	mu  sync.Mutex
	now Doing
}

func (d *doing) get() Doing {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// since is when the step began.
func (d *doing) since() time.Time { return d.now.Since } // no lock: only the lane writes it

// begin notes the next step.
func (d *doing) begin(s Step) { d.turn(s, store.Key{}, "", "") }

// turn notes whose turn it is.
func (d *doing) turn(s Step, key store.Key, command, projection string) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now.Step, d.now.Since = s, now
	d.now.Aggregate, d.now.Command, d.now.Projection = key, command, projection
}

// failed notes that an attempt failed.
func (d *doing) failed(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now.Attempts++
	d.now.Problem = err.Error()
}

func (d *doing) succeeded() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now.Attempts, d.now.Problem = 0, ""
}

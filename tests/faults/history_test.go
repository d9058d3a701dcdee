package faults

import (
	"fmt"
	"sync"
	"time"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/store"
)

// operation is a command, however often it was sent, or a read. Its times count from the beginning
// of the world.
type operation struct {
	number  int
	key     store.Key
	command client.Command // without a name for a read
	how     how
	invoked time.Duration // when it was first sent
	// returned is when the first answer came, 0 if none came. Without an answer the operation may
	// have happened at any time since its call.
	returned time.Duration
	outcomes []store.Outcome
	state    client.State // of a read
	// group, if not 0, is shared by operations that one client stored one after the other.
	group    int
	attempts int
	mistakes []string // errors that a client must not get
}

// how is the way in which a command is sent.
type how string

const (
	byRequest how = "request"
	bySend    how = "send"
	byRead    how = "read"
)

// history is what the clients know.
type history struct {
	now func() time.Duration

	mu         sync.Mutex
	operations []*operation
	groups     int
}

// begin records that an operation is sent for the first time.
func (h *history) begin(o operation) *operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	o.number, o.invoked = len(h.operations), h.now()
	o.key = store.Key{Type: o.command.Aggregate, ID: o.command.AggregateID}
	h.operations = append(h.operations, &o)
	return &o
}

// answer records an outcome.
func (h *history) answer(o *operation, outcome store.Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o.returned == 0 {
		o.returned = h.now()
	}
	o.outcomes = append(o.outcomes, outcome)
}

// read records a state.
func (h *history) read(o *operation, state client.State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o.returned, o.state = h.now(), state
}

// mistakef records an error that no fault excuses.
func (h *history) mistakef(o *operation, format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o.mistakes = append(o.mistakes, fmt.Sprintf(format, args...))
}

func (h *history) attempt(o *operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o.attempts++
}

// pick returns one of the operations, nil if there is none yet.
func (h *history) pick(intn func(int) int) *operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.operations) == 0 {
		return nil
	}
	return h.operations[intn(len(h.operations))]
}

// group opens a group of operations that are stored one after the other.
func (h *history) group() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.groups++
	return h.groups
}

// ungroup says that an operation may come before the others of its group.
func (h *history) ungroup(o *operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o.group = 0
}

// all returns every operation so far.
func (h *history) all() []*operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*operation(nil), h.operations...)
}

package client

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/protocol"
)

// inFlight are the commands of an import that were sent and have no outcome yet. One subscription
// gets all outcomes. The last token of an outcome's subject is the number of its command in the
// import.
type inFlight struct {
	inbox string
	sub   *nats.Subscription // nil if the import does not wait for outcomes
	// answered gets a signal after outcomes have come.
	answered chan struct{}

	mu      sync.Mutex
	waiting map[uint64]*nats.Msg
	bytes   int // of the waiting commands' data
	counts  Summary
}

func newInFlight() *inFlight {
	return &inFlight{answered: make(chan struct{}, 1), waiting: map[uint64]*nats.Msg{}}
}

// subscribe opens the inbox. Its limits are off, so that no answer is dropped. The answers waiting
// in it are bounded by the commands in flight.
func (f *inFlight) subscribe(nc *nats.Conn) (err error) {
	f.inbox = nc.NewInbox()
	if f.sub, err = nc.Subscribe(f.inbox+".*", f.answer); err != nil {
		return fmt.Errorf("subscribe to the outcomes: %w", err)
	}
	return f.sub.SetPendingLimits(-1, -1)
}

func (f *inFlight) close() {
	if f.sub != nil {
		_ = f.sub.Unsubscribe()
	}
}

func (f *inFlight) inboxOf(number uint64) string {
	return f.inbox + "." + strconv.FormatUint(number, 10)
}

func (f *inFlight) add(number uint64, msg *nats.Msg) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting[number] = msg
	f.bytes += len(msg.Data)
}

// room returns how many more commands may be in flight.
func (f *inFlight) room() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bytes >= maxInFlightBytes {
		return 0
	}
	return maxInFlight - len(f.waiting)
}

func (f *inFlight) len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiting)
}

// messages returns the unanswered commands in the order of the import.
func (f *inFlight) messages() []*nats.Msg {
	f.mu.Lock()
	defer f.mu.Unlock()
	messages := make([]*nats.Msg, 0, len(f.waiting))
	for _, number := range slices.Sorted(maps.Keys(f.waiting)) {
		messages = append(messages, f.waiting[number])
	}
	return messages
}

// answer takes the outcome of a command. Only the first one counts, because a command that was
// sent again is answered again.
func (f *inFlight) answer(msg *nats.Msg) {
	number, err := strconv.ParseUint(msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:], 10, 64)
	o, unreadable := readOutcome(msg)
	f.mu.Lock()
	defer f.mu.Unlock()
	sent, waits := f.waiting[number]
	if err != nil || !waits || isRetryable(unreadable) {
		return
	}
	if unreadable != nil {
		o = protocol.Outcome{Status: protocol.Failed, CommandID: sent.Header.Get(wire.HeaderCommandID),
			Error: &protocol.Error{Code: "unreadable_answer", Message: unreadable.Error()}}
	}
	delete(f.waiting, number)
	f.bytes -= len(sent.Data)
	f.counts.count(o)
	select {
	case f.answered <- struct{}{}:
	default:
	}
}

func (f *inFlight) tally() Summary {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts
}

func (s *Summary) count(o protocol.Outcome) {
	switch {
	case o.Duplicate:
		s.Duplicate++
		return
	case o.Status == protocol.Committed:
		s.Committed++
		return
	case o.Status == protocol.Rejected:
		s.Rejected++
	default:
		s.Failed++
	}
	if len(s.Refused) < maxRefused {
		s.Refused = append(s.Refused, o)
	}
}

func (s *Summary) answered() int { return s.Committed + s.Rejected + s.Duplicate + s.Failed }

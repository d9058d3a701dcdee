package eventstream

import "time"

// Parse reads an event from the stream. Message writes it there.
var (
	Parse   = parse
	Message = message
)

// Hasten sets how long the server waits for a program that went away.
func Hasten(d time.Duration) { ackWait = d }

// End returns where the stream ended at the last look.
func (w *Watch) End() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.end
}

// SetStuckAfter changes after how many tries an event counts as stuck, until restore is called.
func SetStuckAfter(tries int) (restore func()) {
	before := stuckAfter
	stuckAfter = tries
	return func() { stuckAfter = before }
}

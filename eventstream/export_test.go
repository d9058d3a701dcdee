package eventstream

import "time"

// Parse reads an event from the stream, Message writes it there.
var (
	Parse   = parse
	Message = message
)

// Hasten sets how long the server waits for a program that went away.
func Hasten(d time.Duration) { ackWait = d }

// End is where the stream ended when it was last looked at.
func (w *Watch) End() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.end
}

// SetStuckAfter changes how many tries say that an event is stuck, until it is restored.
func SetStuckAfter(tries int) (restore func()) {
	before := stuckAfter
	stuckAfter = tries
	return func() { stuckAfter = before }
}

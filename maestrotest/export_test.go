package maestrotest

import "testing"

// For is the worker for another test.
func (w *Worker) For(t testing.TB) *Worker {
	other := *w
	other.t = t
	return &other
}

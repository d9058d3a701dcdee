package maestrotest

import "testing"

// For returns the worker for use by another test.
func (w *Worker) For(t testing.TB) *Worker {
	other := *w
	other.t = t
	return &other
}

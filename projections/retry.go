package projections

import "github.com/maestro-es/maestro/store"

// Retry turns an error of an [Each] or [Batch] handler into a fault of the moment. The command is
// neither refused nor answered. It is tried again a little later, without an end, and its
// partition waits meanwhile. Use it for errors that pass by themselves, such as another service
// that is away. Retry returns nil for nil.
//
// Any other error of a handler's Go code refuses the command, even a time-out or a lost connection
// of its own. In a [Queue] handler, Retry refuses like any other error, because queue must not
// wait for anything.
func Retry(err error) error {
	if err == nil {
		return nil
	}
	return &store.RetryError{Err: err}
}

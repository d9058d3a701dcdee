package projections

import "github.com/maestro-es/maestro/store"

// Retry makes an error of an [Each] or [Batch] handler a fault of the moment: the command is
// neither refused nor answered, and is tried again a little later, without an end. Meanwhile its
// partition waits. Use it for what passes by itself, such as another service that is away. Any
// other error of a handler's Go code refuses the command, also a time-out or a lost connection of
// its own. Queue must not wait for anything, so there Retry refuses like any other error. It
// returns nil for nil.
func Retry(err error) error {
	if err == nil {
		return nil
	}
	return &store.RetryError{Err: err}
}

package lane

import (
	"context"
	"errors"
	"log/slog"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// The user's code may end the goroutine that calls it, with runtime.Goexit or with t.FailNow in a
// test. Nothing can prevent that, so the lane works in a goroutine that can be replaced.

// returns runs work in a goroutine, and tells whether work returned.
func returns(work func() error) (is bool, err error) {
	ended := make(chan error, 1)
	go func() {
		defer close(ended)
		ended <- work()
	}()
	err, is = <-ended
	return is, err
}

// hand says which of the user's code the lane is running. task is an index in the tried tasks, or
// severalTasks. projection is set in a projection. key is set, instead of task, while an aggregate
// is read.
type hand struct {
	task       int
	projection string
	key        store.Key
	answering  bool // after the commit
}

// exitedItself is the value of the PanicError for code that has ended its goroutine.
const exitedItself = "it has ended its goroutine (runtime.Goexit): it must return"

// errExited ends a lane whose goroutine ended after a commit, because the lane does not know which
// tasks it has answered. The aggregate's own code that runs after a commit does not cause this,
// because it has its own goroutine; see [encode].
var errExited = errors.New("the goroutine of a partition has been ended (runtime.Goexit) after a commit")

// exited finds the task whose code has ended the lane's goroutine, and refuses it.
func (l *Lane) exited(ctx context.Context) error {
	h, tasks := l.hand, l.tried
	if h.answering || len(tasks) == 0 {
		return errExited
	}
	during := "code of " + l.doing.get().Aggregate.Type
	switch {
	case h.projection != "":
		during = "projection " + h.projection
	case h.task == severalTasks:
		during = "an argument of queued SQL"
	}
	var err error = &aggregate.PanicError{During: during, Value: exitedItself}
	if h.projection != "" || h.task == severalTasks {
		err = &projectionError{projection: h.projection, task: h.task, err: err}
	}
	l.doing.failed(err)
	l.Logger.Log(ctx, l.complained.Level(slog.LevelError), "code of the user's does not return", "partition", l.at.Number, "error", err)
	switch {
	case h.key != store.Key{}:
		l.exits[h.key] = err
	case h.task >= 0:
		tasks[h.task].fail(err)
		l.window = h.task + 1
	case len(tasks) > 1:
		l.window, l.timed = len(tasks)/2, true
	default:
		tasks[0].fail(err)
	}
	return l.recover(ctx, 0, newBackoff())
}

// fail sets the error that the task will end with.
func (t task) fail(err error) {
	if t.command != nil {
		t.command.Refusal = refusalOf(err)
	} else {
		t.read.failed = err
	}
}

package lane

import (
	"context"
	"errors"
	"log/slog"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/store"
)

// Code of the user's may end the goroutine that calls it: runtime.Goexit does, and with it
// t.FailNow of a test. Nothing can stop that, so the lane works in a goroutine that can be
// replaced.

// returns runs work in a goroutine, and tells whether it came to its end.
func returns(work func() error) (is bool, err error) {
	ended := make(chan error, 1)
	go func() {
		defer close(ended)
		ended <- work()
	}()
	err, is = <-ended
	return is, err
}

// hand is in whose code of the user's the lane is: in that of a task, by its place in what is
// tried, or of severalTasks. In a projection it has a name, and while an aggregate is read it has a
// key instead of a task.
type hand struct {
	task       int
	projection string
	key        store.Key
	answering  bool // after the commit
}

// exitedItself is the value of the panic that stands for code that has ended its goroutine.
const exitedItself = "it has ended its goroutine (runtime.Goexit): it must return"

// errExited ends a lane that does not know what it has told to whom. What code of an aggregate's is
// called after a commit has a goroutine of its own; see [encode].
var errExited = errors.New("the goroutine of a partition has been ended (runtime.Goexit) after a commit")

// exited finds the task whose code has ended the goroutine of the lane, and has it refused.
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

// fail has a task end with an error.
func (t task) fail(err error) {
	if t.command != nil {
		t.command.Refusal = refusalOf(err)
	} else {
		t.read.failed = err
	}
}

package lane

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/protocol"
	"github.com/maestro-es/maestro/store"
)

// folds answers duplicates that want the state right after the original command. This requires
// reading the history, which may be long, so it runs beside the lane. All duplicates of one
// aggregate share one fold at a time.
type folds struct {
	lane  *Lane
	ctx   context.Context //nolint:containedctx // the lane's
	end   context.CancelFunc
	group sync.WaitGroup

	mu      sync.Mutex
	waiting map[store.Key][]folding
	count   int
}

// folding is a duplicate that waits for its state.
type folding struct {
	task   task
	result Result
}

const (
	// maxFoldings is how many duplicates of a lane may wait for their state.
	maxFoldings = 1024
	// maxFolds is how many histories a worker reads at a time for duplicates.
	maxFolds = 2
	// foldTimeout bounds a fold.
	foldTimeout = 5 * time.Minute
	// foldPause is the first pause after a passing fault, maxFoldPause the longest.
	foldPause    = 100 * time.Millisecond
	maxFoldPause = 2 * time.Second
)

func (f *folds) start(l *Lane) {
	f.lane, f.waiting = l, map[store.Key][]folding{}
	f.ctx, f.end = context.WithCancel(context.Background())
}

// stop ends the running folds. Their duplicates get the answer that the lane stops.
func (f *folds) stop() {
	f.end()
	f.group.Wait()
}

// add lets a duplicate wait for its state. If too many wait, the duplicate is answered without a
// state.
func (f *folds) add(t task, result Result) {
	if t.command.Done == nil {
		t.command.traceOutcome(&result)
		return
	}
	if !f.wait(folding{t, result}) {
		noState(folding{t, result}, "too many states are asked for: try again")
	}
}

// wait adds a duplicate to the waiting ones. It returns false if there is no room.
func (f *folds) wait(w folding) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == maxFoldings {
		return false
	}
	f.count++
	key := w.task.key()
	_, running := f.waiting[key]
	if f.waiting[key] = append(f.waiting[key], w); !running {
		f.group.Go(func() { f.run(key) })
	}
	return true
}

// run folds the history of an aggregate until nobody waits for its state.
func (f *folds) run(key store.Key) {
	slots := f.lane.Memory.folds
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-f.ctx.Done():
	}
	wanted := f.next(key)
	defer func() { // the user's code may end the goroutine (runtime.Goexit)
		for ; len(wanted) > 0; wanted = f.next(key) {
			for _, w := range wanted {
				noState(w, "code of the aggregate has ended its goroutine (runtime.Goexit): it must return")
			}
		}
	}()
	for ; len(wanted) > 0; wanted = f.next(key) {
		f.fold(key, &wanted)
	}
}

// next takes the duplicates that have come since the last call, by sequence.
func (f *folds) next(key store.Key) []folding {
	f.mu.Lock()
	defer f.mu.Unlock()
	wanted := f.waiting[key]
	f.count -= len(wanted)
	if len(wanted) == 0 {
		delete(f.waiting, key)
		return nil
	}
	f.waiting[key] = nil
	slices.SortStableFunc(wanted, func(a, b folding) int { return cmp.Compare(a.result.Outcome.Sequence, b.result.Outcome.Sequence) })
	return wanted
}

// fold reads the history once and answers each duplicate at its sequence.
func (f *folds) fold(key store.Key, wanted *[]folding) {
	ctx, cancel := context.WithTimeout(f.ctx, foldTimeout)
	defer cancel()
	l := f.lane
	typ := l.Types[key.Type]
	instance := typ.New(key.ID)
	for len(*wanted) > 0 {
		w := (*wanted)[0]
		if sequence := w.result.Outcome.Sequence; instance.Sequence() < sequence {
			if err := f.bring(ctx, typ, instance, sequence); err != nil {
				f.fail(*wanted, err)
				*wanted = nil
				return
			}
		}
		w.result.Instance, w.result.patience = instance.Clone(), l.Budgets.Silence
		*wanted = (*wanted)[1:]
		answer(w)
	}
}

// bring replays an aggregate up to a sequence. It retries after passing faults until ctx ends.
func (f *folds) bring(ctx context.Context, typ aggregate.Type, instance aggregate.Instance, sequence int64) error {
	for pause := foldPause; ; pause = min(2*pause, maxFoldPause) {
		err := f.lane.Memory.replayOn(ctx, f.lane.Store, typ, f.lane.partition, instance, sequence)
		if err == nil || isUnreadable(err) || !store.Judge(err).Passes() {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

func (f *folds) fail(wanted []folding, err error) {
	for _, w := range wanted {
		if f.ctx.Err() != nil {
			w.task.command.traceOutcome(&w.result)
			w.task.command.Done(f.lane.stopped(w.task.command))
			continue
		}
		noState(w, err.Error())
	}
}

// noState answers with the outcome alone.
func noState(f folding, why string) {
	f.result.Outcome.Error = &store.Error{Code: protocol.CodeStateUnavailable, Message: wire.Printable(clip(why))}
	answer(f)
}

func answer(f folding) {
	f.task.command.Done(f.result)
	f.task.command.traceOutcome(&f.result)
}

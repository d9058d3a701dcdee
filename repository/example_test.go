package repository_test

import (
	"context"
	"fmt"

	"github.com/maestro-es/maestro/examples/counter"
	"github.com/maestro-es/maestro/repository"
	"github.com/maestro-es/maestro/store"
)

// As a library Maestro needs no NATS. On Postgres the log is store.Open(ctx, pool,
// store.Options{}).
func ExampleRepository() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if err := count(ctx, store.NewMemory(0)); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 1 [red]
	// counter_at_limit: the counter is at 0, the limit is 0
	// now [red], before its first event []
}

// count is the code in the README.
func count(ctx context.Context, log store.Store) error {
	counters, err := repository.New(ctx, counter.Definition, log, repository.Config{})
	if err != nil {
		return err
	}
	done, err := counters.Evaluate(ctx, "42", counter.AddTag{Tag: "red"}, repository.Evaluation{Return: repository.ReturnState})
	if err != nil {
		return err
	}
	fmt.Println(done.Outcome.Sequence, done.Root.State.Tags)

	_, err = counters.Evaluate(ctx, "42", counter.IncrementIfBelow{Limit: 0}, repository.Evaluation{})
	fmt.Println(err) // an *aggregate.Rejection

	now, err := counters.Fetch(ctx, "42")
	if err != nil {
		return err
	}
	before, err := counters.Replay(ctx, "42", 0)
	fmt.Printf("now %v, before its first event %v\n", now.State.Tags, before.State.Tags)
	return err
}

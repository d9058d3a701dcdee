// Package observe looks at Maestro like an operator: at the spans that its processes send, the
// metrics that a worker serves, and the page that explains them.
package observe

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/recording"
	"github.com/maestro-es/maestro/store"
)

func TestMain(m *testing.M) {
	if os.Getenv("OBSERVE_SUBSCRIBE") != "" {
		if err := subscribe(os.Getenv("NATS_URL")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "maestro-observe-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	scratch = dir
	return m.Run()
}

// subscribe is a downstream program in a process of its own. The process is this binary with
// another environment.
func subscribe(url string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	recorded, err := recording.Setup(ctx, recording.Program{Name: "subscriber", Getenv: os.Getenv})
	if err != nil {
		return err
	}
	defer func() { _ = recorded.Stop(ctx) }()
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	fmt.Println("subscribing")
	return eventstream.Subscribe(ctx, nc, eventstream.Subscription{Name: "observer"}, func(_ context.Context, e store.Event) error {
		fmt.Println("event", e.Type, e.Aggregate.ID)
		return nil
	})
}

var scratch string

// programs builds worker and publisher once, as users get them.
var programs = sync.OnceValues(func() (dir string, err error) {
	dir = filepath.Join(scratch, "bin")
	cmd := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "../../cmd/worker", "../../cmd/publisher")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

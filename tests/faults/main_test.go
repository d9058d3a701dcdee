// Package faults breaks a running system on purpose and checks that no guarantee of
// docs/guarantees.md is broken.
//
// Worker processes share the partitions of a namespace. They use one nats-server process or three,
// and a Postgres of their own, and reach these servers through proxies. A schedule made from a seed
// kills, freezes, cuts off and restarts every part. Meanwhile clients send commands and write down
// every call. Then everything is healed. A checker compares the answers that the clients got with
// the log, the receipts, the event stream and the read models. Replay a failure with
//
//	go test ./tests/faults -run TestFaults -seed 7 -duration 60s
//
// The schedule is the same again, but its effects on the machine may differ a little. Even seeds
// run on three nats-servers that replicate the streams. Odd seeds run on one.
package faults

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	seedFlag      = flag.Uint64("seed", 0, "the seed of a schedule; 0 takes the short fixed set")
	seedsFlag     = flag.Int("seeds", 1, "how many seeds to run, from -seed on")
	durationFlag  = flag.Duration("duration", 60*time.Second, "how long the faults of a seed go on")
	faultsFlag    = flag.Int("faults", 0, "at most so many faults of a seed; 0 for as many as fit into the duration")
	slowFlushFlag = flag.Duration("slowflush", 0, "how long Postgres takes 2 s for each flush; 0 for a short time with longer ones")
	figuresFlag   = flag.Bool("figures", false, "measure takeover and handover, which takes minutes")
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == brokerCommand {
		os.Exit(runBroker(os.Args[2]))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "maestro-faults-")
	if err != nil {
		panic(err)
	}
	scratch = dir
	signal.Ignore(syscall.SIGHUP) // so that a SIGHUP does not end a nats-server that does not listen to it yet
	defer func() { _ = os.RemoveAll(dir) }()
	return m.Run()
}

// scratch is a folder for files that all tests of the binary share.
var scratch string

var (
	building sync.Mutex
	built    = map[string]string{}
)

// program builds the worker, once for each build tag; "" is the worker as users get it. A worker
// that lacks a protection is built without the race detector, because its purpose is to break a
// guarantee.
func program(t *testing.T, tag string) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	if path, done := built[tag]; done {
		return path
	}
	path := filepath.Join(scratch, "worker"+tag)
	args := []string{"build", "-o", path, "-tags", tag}
	if raceDetector && (tag == "" || tag == "maestro_clock") {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "./worker")...).CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("go build: %w\n%s", err, out))
	}
	built[tag] = path
	return path
}

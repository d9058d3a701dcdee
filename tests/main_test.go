// Package tests drives the whole path from outside: worker processes on real servers, clients that
// send commands to them, and checkers that compare what came out, in Postgres and in the event
// stream, with what should have. What holds for every test is in check_test.go.
package tests

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var seedFlag = flag.Uint64("seed", 0, "replay the random choices of a failed test; 0 makes new ones")

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil { // most of the time a test waits for a server
		panic(err)
	}
	if raceDetector {
		if err := flag.Set("rapid.checks", "25"); err != nil { // of 100
			panic(err)
		}
	}
	dir, err := os.MkdirTemp("", "maestro-tests-")
	if err != nil {
		panic(err)
	}
	scratch = dir
	defer func() {
		atTheEnd()
		_ = os.RemoveAll(dir)
	}()
	return m.Run()
}

// scratch is a folder for what all tests of the binary share.
var scratch string

// programs builds worker and publisher as users get them, once, with the race detector where the
// tests have it.
var programs = sync.OnceValues(func() (dir string, err error) {
	dir = filepath.Join(scratch, "bin")
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	if raceDetector {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "../cmd/worker", "../cmd/publisher")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

// program is the path of a built program.
func program(t *testing.T, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// many is how many of something a test has that need not be so many to be a test. With the race
// detector all takes several times as long.
func many(n int) int {
	if raceDetector {
		return n / 4
	}
	return n
}

// random returns a source of random choices whose seed is logged, so that -seed can replay them.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64N(1<<32) + 1
	}
	t.Logf("replay with: go test ./tests -run '^%s$' -seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

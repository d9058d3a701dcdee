// Package tests drives the whole path from outside. Worker processes run on real servers, and
// clients send commands to them. Checkers compare the contents of Postgres and of the event stream
// with what they should be. The checks that hold for every test are in check_test.go.
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
	if err := flag.Set("test.parallel", "4"); err != nil { // a test waits for a server most of the time
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

// scratch is a folder for files that all tests of the binary share.
var scratch string

// programs builds worker and publisher once, as users get them. It uses the race detector if the
// tests do.
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

// program returns the path of a built program.
func program(t *testing.T, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// many returns n, or a quarter of it with the race detector, which makes everything several times
// as slow. It is for numbers that a test can do with less of.
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

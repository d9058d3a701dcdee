//go:build linux

package timerslack

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// asProgram, set in the environment, makes the test binary a program that raises its slack.
const asProgram = "TIMERSLACK_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		program()
		return
	}
	os.Exit(m.Run())
}

// program prints its process id, its arguments and the slack of several threads.
func program() {
	Raise(time.Millisecond)
	fmt.Println(os.Getpid(), os.Args[1:])
	if _, is := os.LookupEnv(raised); is {
		fmt.Println("what it starts would take itself for raised")
	}
	slacks := make([]time.Duration, 8)
	var threads sync.WaitGroup
	ready := make(chan struct{})
	for i := range slacks {
		threads.Go(func() {
			runtime.LockOSThread() // each has its own thread, because all wait for the last
			if i == len(slacks)-1 {
				close(ready)
			}
			<-ready
			slacks[i], _ = get()
		})
	}
	threads.Wait()
	fmt.Println(slacks)
}

func TestAllThreadsHaveTheSlack(t *testing.T) {
	require.Equal(t, strings.Repeat(" 1ms", 8)[1:], slacksOfProgram(t, 0))
}

// An operator may have set a larger slack.
func TestALargerSlackStays(t *testing.T) {
	require.Equal(t, strings.Repeat(" 3ms", 8)[1:], slacksOfProgram(t, 3*time.Millisecond))
}

// slacksOfProgram starts the program from a thread with a slack, 0 for the usual one.
func slacksOfProgram(t *testing.T, slack time.Duration) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "one", "two words")
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		if slack > 0 {
			if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0); err != nil {
				started <- err
				return
			}
		}
		started <- cmd.Start()
	}()
	require.NoError(t, <-started)
	require.NoError(t, cmd.Wait(), out.String())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 2, out.String())
	require.Equal(t, fmt.Sprintf("%d [one two words]", cmd.Process.Pid), lines[0], "it is the same process")
	return strings.Trim(lines[1], "[]")
}

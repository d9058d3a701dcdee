package child

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The goroutine that starts a child ends with its thread, because Go ends the thread of a goroutine
// that has locked it and returns. The child must go on.
func TestAChildOutlivesTheThreadThatAskedForIt(t *testing.T) {
	t.Parallel()
	var place Place
	echo, in, out := cat(t)
	endThread(t, func() { require.NoError(t, place.Start(echo)) })
	defer place.Stop(syscall.SIGKILL, time.Minute)

	_, err := in.Write([]byte("still here\n"))
	require.NoError(t, err)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, "the child has ended")
	require.Equal(t, "still here\n", line)
}

// cat returns a program that repeats its input.
func cat(t *testing.T) (command *exec.Cmd, in io.Writer, out io.Reader) {
	t.Helper()
	command = exec.Command("cat")
	in, err := command.StdinPipe()
	require.NoError(t, err)
	out, err = command.StdoutPipe()
	require.NoError(t, err)
	return command, in, out
}

// endThread runs do in a goroutine whose thread ends with it. It returns when the thread is gone.
func endThread(t *testing.T, do func()) {
	t.Helper()
	gone := make(chan int)
	var begin func()
	begin = func() {
		runtime.LockOSThread() // for ever
		thread := unix.Gettid()
		if thread == os.Getpid() { // Go never ends this one
			go begin()
			select {} // keeps the other goroutine from this thread
		}
		do()
		gone <- thread
	}
	go begin()
	task := fmt.Sprintf("/proc/self/task/%d", <-gone)
	require.Eventually(t, func() bool {
		_, err := os.Stat(task)
		return os.IsNotExist(err)
	}, time.Minute, time.Millisecond)
}

// The test runs itself as another process, which starts a child and is killed.
func TestAChildEndsWithItsParent(t *testing.T) {
	if os.Getenv("CHILD_OF_A_TEST") != "" {
		var place Place
		sleeper := exec.Command("sleep", "infinity")
		sleeper.Stdout = os.Stdout // stays open for as long as the sleeper lives
		require.NoError(t, place.Start(sleeper))
		fmt.Println("started")
		select {}
	}
	t.Parallel()
	parent := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	parent.Env = append(os.Environ(), "CHILD_OF_A_TEST=1")
	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer func() { _ = read.Close() }()
	parent.Stdout = write
	require.NoError(t, parent.Start())
	require.NoError(t, write.Close())
	said := bufio.NewReader(read)
	_, err = said.ReadString('\n')
	require.NoError(t, err)

	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())
	_, err = io.Copy(io.Discard, said) // returns when no process holds the pipe any more
	require.NoError(t, err)
}

func TestAPlaceIsUsedAgain(t *testing.T) {
	t.Parallel()
	var place Place
	place.Signal(syscall.SIGTERM)
	place.Stop(syscall.SIGTERM, time.Minute)
	for range 2 {
		first, _, _ := cat(t)
		require.NoError(t, place.Start(first))
		second, _, _ := cat(t)
		require.NoError(t, place.Start(second))
		require.Nil(t, second.Process, "the first still runs")
		place.Stop(syscall.SIGTERM, time.Minute)
		require.True(t, first.ProcessState.Exited() || first.ProcessState.Sys().(syscall.WaitStatus).Signaled())
	}
	require.Error(t, place.Start(exec.Command("/no/such/program")))
	last, _, _ := cat(t)
	require.NoError(t, place.Start(last), "the place is still empty")
	place.Stop(syscall.SIGKILL, time.Minute)
}

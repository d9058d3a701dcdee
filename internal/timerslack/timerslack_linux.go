// Package timerslack keeps the timers of the Go runtime from waking up the processors all the time.
//
// Go's monitoring thread wakes up every 20 µs in a busy program, up to 14,000 times a second. Linux
// may delay a timer by the slack of its thread, 50 µs by default, so that several timers fire
// together. With a slack of a millisecond, most of these wake-ups go away. On a real processor a
// wake-up costs little. In a virtual machine that has to ask its host for each wake-up, they cost a
// tenth of all work.
package timerslack

import (
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// raised, set in the environment, says that this process has executed itself. Set it by hand to
// keep a program from executing itself, for instance under a debugger, which would lose the
// program.
const raised = "MAESTRO_TIMER_SLACK_RAISED"

// Raise gives all threads of the process a timer slack. Call it first in main, because it executes
// the program again from its beginning, and returns in the new program. This is necessary because a
// thread can only set its own slack, and Go has started other threads before main; the threads of
// the new program inherit the slack. Raise also returns if the slack is already as large, or if it
// cannot be set, because nothing depends on it.
func Raise(slack time.Duration) {
	if _, is := os.LookupEnv(raised); is { //nolint:forbidigo // it is a word to itself, and no setting
		_ = os.Unsetenv(raised)
		return
	}
	runtime.LockOSThread() // this thread becomes the first thread of the new program
	defer runtime.UnlockOSThread()
	before, err := get()
	if err != nil || before >= slack {
		return
	}
	self, err := os.Executable()
	if err != nil {
		return
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0); err != nil {
		return
	}
	_ = unix.Exec(self, os.Args, append(os.Environ(), raised+"=1"))  //nolint:forbidigo // as above
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(before), 0, 0, 0) // the program could not be executed
}

// get returns the slack of this thread.
func get() (time.Duration, error) {
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	return time.Duration(slack), err
}

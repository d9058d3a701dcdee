// Package timerslack keeps the timers of the Go runtime from waking up the processors all the time.
//
// Go's monitoring thread looks after a program that has work every 20 µs, up to 14,000 times a second. Linux lets a timer be late by
// the slack of its thread, 50 µs by default, so that several go off together: with a millisecond, most of these wake-ups go away.
// They cost little where a processor is at hand, and a tenth of all work in a virtual machine that has to ask its host for each.
package timerslack

import (
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// raised in the environment says that this process has executed itself. Whoever sets it keeps a program from that, as for a debugger
// that would lose it.
const raised = "MAESTRO_TIMER_SLACK_RAISED"

// Raise gives all threads of the process a timer slack. A process may only set that of the thread that asks, and Go has started others
// before main: the program is executed anew, from its beginning, and its threads inherit it. Raise is to be called first in main, and
// returns in the new program. It also returns where the slack is as large already, and where it cannot be set: nothing depends on it.
func Raise(slack time.Duration) {
	if _, is := os.LookupEnv(raised); is { //nolint:forbidigo // it is a word to itself, and no setting
		_ = os.Unsetenv(raised)
		return
	}
	runtime.LockOSThread() // which becomes the only thread of the new program
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

// get is the slack of this thread.
func get() (time.Duration, error) {
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	return time.Duration(slack), err
}

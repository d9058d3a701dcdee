package openloop

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// clock waits as exactly as the kernel can. It wakes up in the same way as data from the network.
// Go's own timers are coarser when the process has nothing else to do, because Go then waits in
// whole milliseconds.
type clock struct {
	fd   int
	file *os.File // the same timer as a file, so that Go waits for it together with the network
	read [8]byte
}

func newClock() (*clock, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a timer: %w", err)
	}
	return &clock{fd: fd, file: os.NewFile(uintptr(fd), "timer")}, nil
}

// wait waits for d, which must be above 0.
func (c *clock) wait(d time.Duration) error {
	if err := unix.TimerfdSettime(c.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}, nil); err != nil {
		return fmt.Errorf("set a timer: %w", err)
	}
	_, err := c.file.Read(c.read[:])
	return err
}

func (c *clock) close() { _ = c.file.Close() }

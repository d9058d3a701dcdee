//go:build !linux

package openloop

import "time"

// clock waits with Go's own timers.
type clock struct{}

func newClock() (*clock, error) { return &clock{}, nil }

func (*clock) wait(d time.Duration) error {
	<-time.After(d)
	return nil
}

func (*clock) close() {}

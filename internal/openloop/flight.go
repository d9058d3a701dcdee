package openloop

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/store"
)

// flights are the commands of one connection that have no answer yet. They are safe for concurrent
// use.
type flights struct {
	conn   *nats.Conn
	mu     sync.Mutex
	flying map[int]*flight
}

// flight is a command under way.
type flight struct {
	msg        *nats.Msg
	done       func(Answer)
	first      time.Time // when it was sent first
	last       time.Time // and last
	resent     int
	retryPause time.Duration
}

// The pauses before a command is sent again: the first and the longest after an answer that asks
// for it, and the one without any answer.
const (
	firstRetryPause = 20 * time.Millisecond
	maxRetryPause   = time.Second
	resendAfter     = 5 * time.Second
)

func (f *flights) add(n int, msg *nats.Msg, done func(Answer)) {
	now := time.Now()
	f.mu.Lock()
	f.flying[n] = &flight{msg: msg, done: done, first: now, last: now, retryPause: firstRetryPause}
	f.mu.Unlock()
	if err := f.conn.PublishMsg(msg); err != nil {
		f.land(n, Answer{Status: store.Failed, Reason: "not_sent"})
	}
}

// land ends a flight with an answer. Only the first answer counts, because a command that was sent
// again may be answered again.
func (f *flights) land(n int, a Answer) {
	f.mu.Lock()
	c, ok := f.flying[n]
	delete(f.flying, n)
	f.mu.Unlock()
	if ok {
		a.Resent = c.resent
		c.done(a)
	}
}

// retry sends a command again after a pause. The pause grows.
func (f *flights) retry(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c, ok := f.flying[n]; ok {
		time.AfterFunc(c.retryPause, func() { f.resend(n) })
		c.retryPause = min(2*c.retryPause, maxRetryPause)
	}
}

func (f *flights) resend(n int) {
	f.mu.Lock()
	c, ok := f.flying[n]
	if ok {
		c.last = time.Now()
		c.resent++
	}
	f.mu.Unlock()
	if ok {
		_ = f.conn.PublishMsg(c.msg) // if this fails no answer comes, and the command is sent again
	}
}

// sweep sends commands again that have had no answer for long, and gives up commands that have
// waited for the timeout.
func (f *flights) sweep(timeout time.Duration) {
	var silent, lost []int
	now := time.Now()
	f.mu.Lock()
	for n, c := range f.flying {
		switch {
		case now.Sub(c.first) > timeout:
			lost = append(lost, n)
		case now.Sub(c.last) > resendAfter:
			silent = append(silent, n)
		}
	}
	f.mu.Unlock()
	for _, n := range lost {
		f.land(n, Answer{Status: Unanswered, Reason: "timeout"})
	}
	for _, n := range silent {
		f.resend(n)
	}
}

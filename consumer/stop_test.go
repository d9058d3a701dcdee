package consumer

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

// askAllTheTime asks for outcomes and states until no worker is there. It fails the test for every
// request without an answer. When the last worker ends, "try again" counts as an answer. The
// channel gets a signal for each answer.
func (b *broker) askAllTheTime(group *sync.WaitGroup, last *atomic.Bool) (answered <-chan struct{}) {
	answers := make(chan struct{}, 1)
	for n := range 8 {
		subject := ns.Do("box", strings.Repeat("a", n+1), "put")
		if n%2 == 1 {
			subject = ns.Get("box", strings.Repeat("a", n))
		}
		group.Go(func() {
			for {
				m, err := b.nc.Request(subject, []byte(put(1)), 20*time.Second)
				if errors.Is(err, nats.ErrNoResponders) {
					return
				}
				if err != nil {
					b.Errorf("%s: %v", subject, err)
					return
				}
				if code := m.Header.Get(micro.ErrorCodeHeader); code != "" && (code != "503" || !last.Load()) {
					b.Errorf("%s: %s", subject, m.Data)
					return
				}
				select {
				case answers <- struct{}{}:
				default:
				}
			}
		})
	}
	return answers
}

// A client that asks while the last worker stops gets an outcome, an error, or NATS's answer that
// nobody is there.
func TestNobodyIsLeftWithoutAnAnswerAtTheEnd(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := store.NewMemory(2)
	for range 5 {
		c := b.newConsumer(s, s)
		stop := b.start(c)
		var group sync.WaitGroup
		var last atomic.Bool
		answered := b.askAllTheTime(&group, &last)
		for range 50 {
			<-answered
		}
		last.Store(true)
		stop()
		c.NATS.Close() // like a process that ends
		group.Wait()
	}
}

// A client that asks during a handover does not notice it.
func TestNobodyIsLeftWithoutAnAnswerInAHandover(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	s := store.NewMemory(8)
	old := b.newConsumer(s, s)
	stop := b.start(old)
	var group sync.WaitGroup
	var last atomic.Bool
	answered := b.askAllTheTime(&group, &last)
	for range 4 {
		next := b.newConsumer(s, s)
		stopNext := b.join(next)
		require.Eventually(t, func() bool { return next.Ready() == nil && next.Owned() > 0 }, 20*time.Second, time.Millisecond)
		for range 20 {
			<-answered
		}
		stop()
		old.NATS.Close()
		require.Eventually(t, func() bool { return next.Owned() == 8 }, 20*time.Second, time.Millisecond)
		for range 20 {
			<-answered
		}
		old, stop = next, stopNext
	}
	last.Store(true)
	stop()
	old.NATS.Close()
	group.Wait()
}

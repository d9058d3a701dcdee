package link

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// refusals are subscriptions that the server has refused. One that it took away from a connection,
// because the user's permissions have changed, does not come back by itself when they change again:
// the client believes that it is there. So the server is asked whether it allows the subject, and
// the connection is made anew when it does, which subscribes again.
type refusals struct {
	mine []string // prefixes of the worker's subjects

	mu      sync.Mutex
	last    map[string]time.Time // when each subject was last refused
	asked   time.Time            // when the server was last asked, zero if it was not
	asking  []string             // what it was asked for then
	attempt int
}

const (
	// mostAsked is how many subjects the server is asked for at a time.
	mostAsked = 16
	// eager is how often the server is asked each second, before it is asked every so many seconds.
	eager = 10
)

var subscriptionTo = regexp.MustCompile(`(?i)subscription to "(\S+)"`)

// note takes an error of the connection, and tells whether it is one that is known: it came because
// the server was asked.
func (r *refusals) note(err error) (known bool) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return false
	}
	match := subscriptionTo.FindStringSubmatch(err.Error())
	if match == nil || !slices.ContainsFunc(r.mine, func(prefix string) bool { return strings.HasPrefix(match[1], prefix) }) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, known = r.last[match[1]]
	if r.last == nil {
		r.last = map[string]time.Time{}
	}
	r.last[match[1]] = time.Now()
	return known
}

// allowed returns a subject that was refused and was not any more when the server was last asked,
// "" if there is none. All are forgotten then.
func (r *refusals) allowed() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, subject := range r.asking {
		if r.last[subject].Before(r.asked) {
			r.last, r.asking, r.attempt = nil, nil, 0
			return subject
		}
	}
	r.asking = nil
	return ""
}

// next are the subjects that the server is to be asked for now.
func (r *refusals) next() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.last) == 0 {
		return nil
	}
	if r.attempt++; r.attempt > eager && r.attempt%eager != 0 {
		return nil
	}
	r.asked = time.Now()
	for subject := range r.last { // others the next time: the order is another each time
		if r.asking = append(r.asking, subject); len(r.asking) == mostAsked {
			break
		}
	}
	return r.asking
}

// check says what is refused.
func (r *refusals) check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for subject := range r.last {
		return fmt.Errorf("NATS does not allow the subscription to %s", subject)
	}
	return nil
}

// askRefused asks the server for what it has refused, with a subscription that ends at once. The
// answer is known at the next time.
func (l *Link) askRefused() {
	if subject := l.refused.allowed(); subject != "" {
		l.logger.Warn("NATS allows a subscription again that it had refused: connecting anew", "subject", subject)
		_ = l.nc.ForceReconnect()
		return
	}
	var asked []*nats.Subscription
	for _, subject := range l.refused.next() {
		if s, err := l.nc.SubscribeSync(subject); err == nil {
			asked = append(asked, s)
		}
	}
	_ = l.nc.FlushTimeout(patience)
	for _, s := range asked {
		_ = s.Unsubscribe()
	}
}

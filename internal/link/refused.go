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

// refusals are subscriptions that the server has refused. If the user's permissions change, the
// server takes a subscription away. When the permissions change back, the subscription does not
// return by itself, because the client believes that it still exists. So the server is asked
// whether it allows the subject again. If it does, the connection is made anew, which subscribes
// again.
type refusals struct {
	mine []string // prefixes of the worker's subjects

	mu      sync.Mutex
	last    map[string]time.Time // when each subject was last refused
	asked   time.Time            // when the server was last asked; zero if never
	asking  []string             // the subjects it was asked for then
	attempt int
}

const (
	// mostAsked is the most subjects that the server is asked for at a time.
	mostAsked = 16
	// The server is asked every second for the first eager times, and then every eager seconds.
	eager = 10
)

var subscriptionTo = regexp.MustCompile(`(?i)subscription to "(\S+)"`)

// note records a refused subscription from an error of the connection. It returns true if the
// refusal was known already, because then the error only came because the server was asked.
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

// allowed returns a subject that was refused before but not when the server was last asked, or ""
// if there is none. If it returns a subject, all refusals are forgotten.
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

// next returns the subjects that the server is to be asked for now.
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
	for subject := range r.last { // the random order of the map brings other subjects the next time
		if r.asking = append(r.asking, subject); len(r.asking) == mostAsked {
			break
		}
	}
	return r.asking
}

// check returns an error that names a refused subscription, or nil if there is none.
func (r *refusals) check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for subject := range r.last {
		return fmt.Errorf("NATS does not allow the subscription to %s", subject)
	}
	return nil
}

// askRefused asks the server for refused subjects, with subscriptions that end at once. The next
// call sees the answer.
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

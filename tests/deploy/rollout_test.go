package deploy

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
)

// A rolling update like the Deployment asks for: one new worker is added, and when it is ready, one
// old worker is removed. Commands and requests go on all the time, and none fails.
func TestARollingUpdateFailsNobody(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	workers := c.deploy()
	for _, w := range workers {
		require.NotContains(t, w.version(), newVersion)
	}
	clients := c.traffic()
	clients.more(20)
	c.rollOut(workers, func() { clients.more(20) })
	for _, w := range workers {
		require.Equal(t, newVersion, firstField(w.version()))
	}
	clients.more(20)
	c.exactlyOnce(clients.end())
	for _, w := range workers {
		require.NotContains(t, w.out.String(), "counter", "a worker's log is not for single commands")
	}
}

// deploy starts as many workers as the Deployment has.
func (c *cluster) deploy() (workers []*replica) {
	c.Helper()
	for range *find[*appsv1.Deployment](build(c.T, "base"))[0].Spec.Replicas {
		workers = append(workers, c.start(programs))
	}
	for _, w := range workers {
		w.ready()
	}
	return workers
}

// rollOut replaces old workers by new ones. It calls meanwhile whenever there is one worker more
// than usual.
func (c *cluster) rollOut(workers []*replica, meanwhile func()) {
	c.Helper()
	for i := range workers {
		surge := c.start(newer)
		surge.ready()
		meanwhile()
		workers[i].stop()
		workers[i] = surge
	}
	for _, w := range workers {
		w.ready()
	}
}

func firstField(s string) string { return strings.Fields(s)[0] }

var figures = flag.Bool("figures", false, "measure how long commands wait during a rolling update")

// TestFigures measures by how much longer commands wait during a rolling update than at other
// times:
//
//	go test ./tests/deploy -run TestFigures -figures -v
func TestFigures(t *testing.T) {
	if !*figures {
		t.Skip("it measures for a minute: -figures")
	}
	const rounds, quiet = 5, 10 * time.Second
	c := newCluster(t)
	workers := c.deploy()
	_, err := newer()
	require.NoError(t, err)
	clients := c.traffic()
	clients.more(100)
	began := time.Now()
	select {
	case <-time.After(quiet):
	case <-t.Context().Done():
	}
	undisturbed := [2]time.Time{began, time.Now()}
	for range rounds {
		c.rollOut(workers, func() {})
	}
	updating := [2]time.Time{undisturbed[1], time.Now()}
	c.exactlyOnce(clients.end())
	for kind, durable := range map[string]bool{"requests": false, "durable commands": true} {
		normal, n := clients.p99(durable, undisturbed)
		then, m := clients.p99(durable, updating)
		t.Logf("p99 of %s: undisturbed %s (%d of them), in %d rolling updates of %d workers %s (%d)", kind, normal, n, rounds,
			len(workers), then, m)
	}
}

// p99 returns the 99th percentile of the calls that began in the given time.
func (f *traffic) p99(durable bool, in [2]time.Time) (p99 time.Duration, n int) {
	f.Helper()
	var took []time.Duration
	for _, c := range f.calls {
		if c.durable == durable && c.began.After(in[0]) && c.began.Before(in[1]) {
			took = append(took, c.took)
		}
	}
	require.NotEmpty(f, took)
	slices.Sort(took)
	return took[len(took)*99/100].Round(100 * time.Microsecond), len(took)
}

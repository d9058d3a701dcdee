package deploy

import (
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localpg"
)

// cluster is the surroundings of workers in a cluster: a broker configured like deploy/nats/, and a
// database.
type cluster struct {
	*testing.T
	broker   *server.Server
	database string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	return &cluster{T: t, broker: broker(t), database: localpg.Database(t)}
}

// replica is one of several workers.
type replica struct {
	*process
	url string
}

var consoleLine = regexp.MustCompile(`msg=console url=(\S+)`)

// start starts a worker of a release. It does not wait until the worker is ready.
func (c *cluster) start(release func() (dir string, err error)) *replica {
	c.Helper()
	dir, err := release()
	require.NoError(c, err)
	p := start(c.T, exec.Command(filepath.Join(dir, "worker")), append(environment(identity(c.broker, "worker")),
		"DATABASE_URL="+c.database, "MAESTRO_HTTP=127.0.0.1:0")...)
	p.says("msg=console")
	return &replica{process: p, url: consoleLine.FindStringSubmatch(p.out.String())[1]}
}

// ready waits until the worker says that it is ready, at the address that Kubernetes asks.
func (r *replica) ready() {
	r.t.Helper()
	eventually(r.t, "ready", func() bool {
		status, _ := r.get("/readyz")
		return status == http.StatusOK
	})
}

var versionLabel = regexp.MustCompile(`(?m)^target_info\{[^}]*service_version="([^"]*)"`)

// version returns the build's version according to the worker's metrics.
func (r *replica) version() string {
	r.t.Helper()
	_, metrics := r.get("/metrics")
	found := versionLabel.FindStringSubmatch(metrics)
	require.NotNil(r.t, found, "no version in\n%s", metrics)
	return found[1]
}

func (r *replica) get(path string) (status int, body string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url+path, nil)
	require.NoError(r.t, err)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(r.t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	require.NoError(r.t, err)
	return answer.StatusCode, string(text)
}

package deploy

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/expr-lang/expr"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/maestro-es/maestro/internal/localpg"
)

// figure computes the figure of the ScaledObject in deploy/k8s/overlays/keda like KEDA, with the
// libraries that KEDA uses. It fetches each trigger's URL, finds a number in the answer, and puts
// the numbers into the formula. Source: kedacore/keda, pkg/scalers/metrics_api_scaler.go and
// pkg/scaling/modifiers/formula.go.
func figure(t *testing.T, scaled *scaledObject, s *server.Server) (value float64, active bool) {
	t.Helper()
	metrics := map[string]any{}
	for _, trigger := range scaled.Spec.Triggers {
		require.Equal(t, "metrics-api", trigger.Type)
		address, err := url.Parse(trigger.Metadata["url"])
		require.NoError(t, err)
		require.Equal(t, "nats:8222", address.Host)
		address.Host = s.MonitorAddr().String()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address.String(), nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		number := gjson.GetBytes(body, trigger.Metadata["valueLocation"])
		require.Equal(t, gjson.Number, number.Type, "%s is not in %s", trigger.Metadata["valueLocation"], body)
		metrics[trigger.Name] = number.Num
	}
	modifiers := scaled.Spec.Advanced.ScalingModifiers
	program, err := expr.Compile(modifiers.Formula)
	require.NoError(t, err)
	result, err := expr.Run(program, metrics)
	require.NoError(t, err)
	value, is := result.(float64)
	require.True(t, is, "KEDA takes a float64, this is %T", result)
	activation, err := strconv.ParseFloat(modifiers.ActivationTarget, 64)
	require.NoError(t, err)
	return value, value > activation
}

// The test follows a namespace from its first worker to a backlog that waits without a worker. Each
// time the figure says whether there is something to do.
func TestTheScaledObjectSeesTheBacklog(t *testing.T) {
	t.Parallel()
	s := broker(t)
	scaled := find[*scaledObject](build(t, "overlays/keda"))[0]
	asWorker := append(environment(identity(s, "worker")), "DATABASE_URL="+localpg.Database(t))
	send := func(commands int) {
		t.Helper()
		for range commands {
			status, out := publish(t, environment(identity(s, "publisher")), "send", "counter", "1", "increment", `{"by":1}`)
			require.Equal(t, 0, status, out)
		}
	}
	sees := func(value float64, active bool) {
		t.Helper()
		gotValue, gotActive := figure(t, scaled, s)
		require.InDelta(t, value, gotValue, 0)
		require.Equal(t, active, gotActive)
	}
	work := func(until float64) { // until the figure is this
		t.Helper()
		worker := startWorker(t, asWorker...)
		eventually(t, fmt.Sprint("a figure of ", until), func() bool {
			value, _ := figure(t, scaled, s)
			return value == until
		})
		worker.stop()
	}
	work(0)
	sees(0, false)
	send(1)
	sees(2, true) // no handled command comes before the very first command of the stream
	send(2)
	sees(3, true)
	work(1)
	sees(1, false) // the last handled command stays
	send(1)
	sees(2, true)
	work(1)
	sees(1, false)
}

func TestTheScaledObjectScalesFromZero(t *testing.T) {
	t.Parallel()
	spec := find[*scaledObject](build(t, "overlays/keda"))[0].Spec
	require.Equal(t, "maestro-worker", spec.ScaleTargetRef.Name)
	require.Zero(t, spec.MinReplicaCount)
	require.Greater(t, spec.MaxReplicaCount, int32(1))
	require.Positive(t, spec.InitialCooldownPeriod, "the first workers need time to make the streams")
	require.NotEmpty(t, spec.Advanced.ScalingModifiers.Target)
}

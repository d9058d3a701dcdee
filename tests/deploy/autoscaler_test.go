package deploy

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// autoscaler decides like KEDA and Kubernetes about a ScaledObject. KEDA decides between none and
// one worker. The HorizontalPodAutoscaler that KEDA makes decides between one and the most. The
// autoscaler looks once in each period of the policy for scaling down; these looks are the clock
// here. Sources: kedacore/keda, pkg/scaling/executor/scale_scaledobjects.go; kubernetes/kubernetes,
// pkg/controller/podautoscaler.
type autoscaler struct {
	least, most int
	target      float64 // the figure, for each worker
	cooldown    int     // number of looks without work after which KEDA stops all workers
	window      int     // number of looks whose highest figure counts before workers are removed
	step        int     // how many workers are removed at a time, at most

	idle   int
	wanted []int
}

func newAutoscaler(t *testing.T, o *scaledObject) *autoscaler {
	t.Helper()
	modifiers, down := o.Spec.Advanced.ScalingModifiers, o.Spec.Advanced.HorizontalPodAutoscalerConfig.Behavior.ScaleDown
	target, err := strconv.ParseFloat(modifiers.Target, 64)
	require.NoError(t, err)
	require.Equal(t, autoscalingv2.AverageValueMetricType, modifiers.MetricType)
	require.Len(t, down.Policies, 1)
	policy := down.Policies[0]
	require.Equal(t, autoscalingv2.PodsScalingPolicy, policy.Type)
	return &autoscaler{least: int(o.Spec.MinReplicaCount), most: int(o.Spec.MaxReplicaCount), target: target,
		cooldown: int(o.Spec.CooldownPeriod / policy.PeriodSeconds), window: int(*down.StabilizationWindowSeconds / policy.PeriodSeconds),
		step: int(policy.Value)}
}

// tolerance is the difference that the HorizontalPodAutoscaler ignores.
const tolerance = 0.1

// look returns the wanted number of workers.
func (a *autoscaler) look(workers int, figure float64, active bool) int {
	if a.idle++; active {
		a.idle = 0
	}
	switch {
	case workers == 0 && !active:
		return a.least
	case workers == 0:
		a.wanted = nil
		return max(1, a.least)
	case a.idle > a.cooldown && a.least == 0:
		return 0
	}
	wanted := workers
	if math.Abs(figure/(a.target*float64(workers))-1) > tolerance {
		wanted = int(math.Ceil(figure / a.target))
	}
	wanted = min(max(wanted, a.least, 1), a.most)
	a.wanted = append(a.wanted, wanted)
	if wanted < workers {
		return max(slices.Max(a.wanted[max(0, len(a.wanted)-a.window):]), workers-a.step)
	}
	return min(wanted, max(workers+4, 2*workers)) // Kubernetes' own policy for scaling up
}

// A test of the test.
func TestTheAutoscalerIsThatOfKubernetes(t *testing.T) {
	t.Parallel()
	a := &autoscaler{most: 8, target: 100, cooldown: 2, window: 3, step: 1}
	workers := 0
	for _, look := range []struct {
		figure float64
		active bool
		want   int
		why    string
	}{
		{0, false, 0, "nothing to do"},
		{450, true, 1, "KEDA starts one"},
		{450, true, 5, "four more at once"},
		{545, true, 5, "a tenth more is nothing"},
		{2000, true, 8, "the most"},
		{101, true, 8, "two looks ago it was eight"},
		{101, true, 8, "still"},
		{101, true, 7, "one fewer at a time"},
		{101, true, 6, "and another"},
		{1, false, 5, "nothing to do, for a look"},
		{1, false, 4, "for two"},
		{1, false, 0, "KEDA stops all"},
		{100, true, 1, "and starts one again"},
	} {
		workers = a.look(workers, look.figure, look.active)
		require.Equal(t, look.want, workers, look.why)
	}
}

package deploy

import (
	"errors"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// pods are the templates of all pods, by name.
func pods(objects []runtime.Object) map[string]corev1.PodTemplateSpec {
	found := map[string]corev1.PodTemplateSpec{}
	for _, d := range find[*appsv1.Deployment](objects) {
		found[d.Name] = d.Spec.Template
	}
	for _, s := range find[*appsv1.StatefulSet](objects) {
		found[s.Name] = s.Spec.Template
	}
	for _, j := range find[*batchv1.Job](objects) {
		found[j.Name] = j.Spec.Template
	}
	return found
}

// forEach runs a check on every overlay as it is built.
func forEach(t *testing.T, check func(t *testing.T, objects []runtime.Object)) {
	t.Helper()
	t.Parallel()
	for _, overlay := range overlays {
		t.Run(strings.ReplaceAll(overlay, "/", "_"), func(t *testing.T) {
			t.Parallel()
			check(t, build(t, overlay))
		})
	}
}

// Pods meet the standard that Kubernetes calls restricted, and more: no token, no disk, pinned
// images, bounded resources.
func TestPodsHaveNoRights(t *testing.T) {
	forEach(t, func(t *testing.T, objects []runtime.Object) {
		all := pods(objects)
		require.Contains(t, all, "maestro-worker")
		require.Contains(t, all, "maestro-migrate")
		for name, pod := range all {
			spec := pod.Spec
			require.False(t, *spec.AutomountServiceAccountToken, name)
			require.False(t, spec.HostNetwork || spec.HostPID || spec.HostIPC, name)
			require.True(t, *spec.SecurityContext.RunAsNonRoot, name)
			require.Positive(t, *spec.SecurityContext.RunAsUser, name)
			require.Positive(t, *spec.SecurityContext.RunAsGroup, name)
			require.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, spec.SecurityContext.SeccompProfile.Type, name)
			for _, v := range spec.Volumes {
				require.Nil(t, v.HostPath, name)
			}
			require.Empty(t, spec.InitContainers, name)
			for _, c := range spec.Containers {
				require.False(t, *c.SecurityContext.AllowPrivilegeEscalation, name)
				require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem, name)
				require.Equal(t, &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}, c.SecurityContext.Capabilities, name)
				require.Nil(t, c.SecurityContext.RunAsUser, "%s: the pod says who it is", name)
				require.Nil(t, c.SecurityContext.RunAsNonRoot, name)
				for _, resource := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
					request, limit := c.Resources.Requests[resource], c.Resources.Limits[resource]
					require.Equal(t, 1, request.Sign(), "%s requests no %s", name, resource)
					require.GreaterOrEqual(t, limit.Cmp(request), 0, "%s has no limit of %s", name, resource)
				}
			}
		}
	})
}

var pinned = regexp.MustCompile(`^[a-z/.-]+:v?\d+\.\d+(\.\d+)?$`)

func TestImagesArePinned(t *testing.T) {
	forEach(t, func(t *testing.T, objects []runtime.Object) {
		broker := regexp.MustCompile(`nats-server/v2 v(\S+)`).FindStringSubmatch(read(t, "go.mod"))[1]
		for name, pod := range pods(objects) {
			for _, c := range pod.Spec.Containers {
				require.Regexp(t, pinned, c.Image, name)
				if name == "nats" {
					require.Equal(t, "nats:"+broker, c.Image, "the version that the tests run")
				}
			}
		}
	})
}

func TestWhatServesHasProbes(t *testing.T) {
	forEach(t, func(t *testing.T, objects []runtime.Object) {
		for name, pod := range pods(objects) {
			if name == "maestro-migrate" {
				continue
			}
			for _, c := range pod.Spec.Containers {
				for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
					require.NotNil(t, probe, name)
					require.NotEqual(t, corev1.ProbeHandler{}, probe.ProbeHandler, name)
				}
			}
		}
		worker := pods(objects)["maestro-worker"].Spec.Containers[0]
		require.Equal(t, "/healthz", worker.LivenessProbe.HTTPGet.Path)
		require.Equal(t, "/readyz", worker.ReadinessProbe.HTTPGet.Path)
		require.EqualValues(t, 8080, worker.Ports[0].ContainerPort)
		require.Equal(t, worker.Ports[0].Name, worker.ReadinessProbe.HTTPGet.Port.StrVal)
	})
}

// Everything that a pod refers to must be there, under the name that kustomize gave it.
func TestNothingIsMissing(t *testing.T) {
	forEach(t, func(t *testing.T, objects []runtime.Object) {
		there := map[string]map[string]string{}
		for _, c := range find[*corev1.ConfigMap](objects) {
			there["config "+c.Name] = c.Data
		}
		for _, s := range find[*corev1.Secret](objects) {
			there["secret "+s.Name] = map[string]string{}
			for k, v := range s.Data {
				there["secret "+s.Name][k] = string(v)
			}
		}
		for name, pod := range pods(objects) {
			environment := map[string]string{}
			for _, from := range pod.Spec.Containers[0].EnvFrom {
				var source string
				if from.ConfigMapRef != nil {
					source = "config " + from.ConfigMapRef.Name
				} else {
					source = "secret " + from.SecretRef.Name
				}
				require.Contains(t, there, source, name)
				maps.Copy(environment, there[source])
			}
			for _, v := range pod.Spec.Volumes {
				if v.ConfigMap != nil {
					require.Contains(t, there, "config "+v.ConfigMap.Name, name)
				}
				if v.Secret != nil && (v.Secret.Optional == nil || !*v.Secret.Optional) {
					require.Contains(t, there, "secret "+v.Secret.SecretName, name)
				}
			}
			if strings.HasPrefix(name, "maestro") {
				for _, variable := range []string{"DATABASE_URL", "NATS_URL", "NATS_USER", "NATS_PASSWORD", "NATS_INBOX_PREFIX"} {
					require.NotEmpty(t, environment[variable], "%s lacks %s", name, variable)
				}
				require.Equal(t, "0.0.0.0:8080", environment["MAESTRO_HTTP"])
			}
		}
	})
}

func TestWorkersAreRolledOverAndDrainedOneByOne(t *testing.T) {
	forEach(t, func(t *testing.T, objects []runtime.Object) {
		deployments := find[*appsv1.Deployment](objects)
		require.Len(t, deployments, 1)
		d := deployments[0]
		require.Equal(t, 0, d.Spec.Strategy.RollingUpdate.MaxUnavailable.IntValue())
		require.Equal(t, 1, d.Spec.Strategy.RollingUpdate.MaxSurge.IntValue())
		require.Len(t, d.Spec.Template.Spec.TopologySpreadConstraints, 2)
		for _, c := range d.Spec.Template.Spec.TopologySpreadConstraints {
			require.True(t, selects(t, c.LabelSelector, d.Spec.Template.Labels))
		}
		scaled := len(find[*autoscalingv2.HorizontalPodAutoscaler](objects)) + len(find[*scaledObject](objects))
		require.Equal(t, scaled == 0, d.Spec.Replicas != nil, "either a person or an autoscaler says how many workers there are")

		budgets := find[*policyv1.PodDisruptionBudget](objects)
		require.Len(t, budgets, 1)
		require.Equal(t, 1, budgets[0].Spec.MaxUnavailable.IntValue())
		require.True(t, selects(t, budgets[0].Spec.Selector, d.Spec.Template.Labels))
		for _, s := range find[*corev1.Service](objects) {
			if s.Name == d.Name {
				require.True(t, labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(d.Spec.Template.Labels)))
				require.Equal(t, "http", s.Spec.Ports[0].TargetPort.StrVal)
			}
		}
	})
}

func TestTheGracePeriodIsLongerThanADrain(t *testing.T) {
	worst := worstDrain(t)
	forEach(t, func(t *testing.T, objects []runtime.Object) {
		grace := time.Duration(*pods(objects)["maestro-worker"].Spec.TerminationGracePeriodSeconds) * time.Second
		require.Greater(t, grace, worst+10*time.Second)
	})
}

// worstDrain returns how long the last worker may take to publish the rest of all partitions, at
// their default number.
func worstDrain(t *testing.T) time.Duration {
	t.Helper()
	moves := constantOf(t, "internal/ownership/steward.go", "maxMoves")
	flush := constantOf(t, "internal/ownership/steward.go", "lastFlushTimeout")
	partitions := constantOf(t, "store/postgres.go", "defaultPartitions")
	return time.Duration((partitions + moves - 1) / moves * flush)
}

// constantOf reads a constant from a source file.
func constantOf(t *testing.T, file, name string) int64 {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, filepath.Join(top, file), nil, 0)
	require.NoError(t, err)
	// Other things that the file refers to do not matter, and are not looked for.
	config := types.Config{Importer: durations{importer.ForCompiler(set, "source", nil)}, Error: func(error) {}}
	found, _ := config.Check(parsed.Name.Name, set, []*ast.File{parsed}, nil)
	value, is := found.Scope().Lookup(name).(*types.Const)
	require.True(t, is, "%s has no constant %s", file, name)
	number, exact := constant.Int64Val(value.Val())
	require.True(t, exact)
	return number
}

// durations imports only package time.
type durations struct{ types.Importer }

func (d durations) Import(path string) (*types.Package, error) {
	if path != "time" {
		return nil, errors.New("not needed")
	}
	return d.Importer.Import(path)
}

// Each pod is in a network policy that says what may come in and go out.
func TestEveryPodHasANetworkPolicy(t *testing.T) {
	forEach(t, func(t *testing.T, objects []runtime.Object) {
		for name, pod := range pods(objects) {
			covered := false
			for _, p := range find[*networkingv1.NetworkPolicy](objects) {
				if selects(t, &p.Spec.PodSelector, pod.Labels) {
					covered = true
					require.Equal(t, []networkingv1.PolicyType{"Ingress", "Egress"}, p.Spec.PolicyTypes)
					for _, rule := range p.Spec.Egress {
						require.NotEmpty(t, rule.Ports, "%s goes anywhere", name)
					}
					for _, rule := range p.Spec.Ingress {
						require.NotEmpty(t, rule.Ports, "%s takes anything", name)
					}
				}
			}
			require.True(t, covered, name)
		}
	})
}

func selects(t *testing.T, s *metav1.LabelSelector, of map[string]string) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	require.NoError(t, err)
	return selector.Matches(labels.Set(of))
}

// The overlay for trials stands alone. It contains everything that its pods talk to, under the
// names they use.
func TestTheTrialNeedsNothingElse(t *testing.T) {
	t.Parallel()
	objects := build(t, "overlays/dev")
	names := map[string]bool{}
	for _, s := range find[*corev1.Service](objects) {
		names[s.Name] = true
		matches := 0
		for _, pod := range pods(objects) {
			if labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(pod.Labels)) {
				matches++
			}
		}
		require.Equal(t, 1, matches, "%s leads to one kind of pod", s.Name)
	}
	require.Equal(t, map[string]bool{"maestro-worker": true, "nats": true, "postgres": true}, names)
	require.Len(t, find[*corev1.Namespace](objects), 1)
	for _, o := range objects {
		if _, is := o.(*corev1.Namespace); !is {
			require.Equal(t, "maestro", reflect.ValueOf(o).Elem().FieldByName("Namespace").String())
		}
	}
	var server corev1.Secret
	for _, s := range find[*corev1.Secret](objects) {
		if strings.HasPrefix(s.Name, "nats-passwords-") {
			server = *s
		}
	}
	require.Len(t, server.Data, len(passwords))
	for _, s := range find[*corev1.Secret](objects) {
		if strings.HasPrefix(s.Name, "maestro-") {
			require.Equal(t, string(server.Data["MAESTRO_WORKER_PASSWORD"]), string(s.Data["NATS_PASSWORD"]))
		}
	}
}

// An outage makes all workers unready. Their metrics and console must still be reachable, and nodes
// can still be drained.
func TestWorkersThatAreNotReadyAreReachableAndCanBeEvicted(t *testing.T) {
	forEach(t, func(t *testing.T, objects []runtime.Object) {
		for _, s := range find[*corev1.Service](objects) {
			if s.Name == "maestro-worker" {
				require.True(t, s.Spec.PublishNotReadyAddresses)
			}
		}
		budgets := find[*policyv1.PodDisruptionBudget](objects)
		require.NotEmpty(t, budgets)
		for _, b := range budgets {
			require.NotNil(t, b.Spec.UnhealthyPodEvictionPolicy)
			require.Equal(t, policyv1.AlwaysAllow, *b.Spec.UnhealthyPodEvictionPolicy)
		}
	})
}

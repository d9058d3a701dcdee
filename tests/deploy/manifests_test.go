package deploy

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const manifests = "deploy/k8s"

// overlays are the folders that people apply.
var overlays = []string{"base", "overlays/dev", "overlays/hpa", "overlays/keda"}

// decode reads a manifest like Kubernetes, and refuses unknown and repeated fields.
func decode(t *testing.T, manifest []byte) runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{appsv1.AddToScheme, autoscalingv2.AddToScheme, batchv1.AddToScheme,
		corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme} {
		require.NoError(t, add(scheme))
	}
	scheme.AddKnownTypeWithName(schema.GroupVersionKind{Group: "keda.sh", Version: "v1alpha1", Kind: "ScaledObject"}, &scaledObject{})
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	object, _, err := decoder.Decode(manifest, nil, nil)
	require.NoError(t, err, "%s", manifest)
	return object
}

// scaledObject has the fields of KEDA's ScaledObject that are used here. Source: kedacore/keda,
// apis/keda/v1alpha1.
type scaledObject struct {
	metav1.TypeMeta
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ScaleTargetRef struct {
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
		PollingInterval       int32 `json:"pollingInterval"`
		InitialCooldownPeriod int32 `json:"initialCooldownPeriod"`
		CooldownPeriod        int32 `json:"cooldownPeriod"`
		MinReplicaCount       int32 `json:"minReplicaCount"`
		MaxReplicaCount       int32 `json:"maxReplicaCount"`
		Advanced              struct {
			ScalingModifiers struct {
				Formula          string                         `json:"formula"`
				Target           string                         `json:"target"`
				ActivationTarget string                         `json:"activationTarget"`
				MetricType       autoscalingv2.MetricTargetType `json:"metricType"`
			} `json:"scalingModifiers"`
			HorizontalPodAutoscalerConfig struct {
				Behavior autoscalingv2.HorizontalPodAutoscalerBehavior `json:"behavior"`
			} `json:"horizontalPodAutoscalerConfig"`
		} `json:"advanced"`
		Triggers []struct {
			Type     string            `json:"type"`
			Name     string            `json:"name"`
			Metadata map[string]string `json:"metadata"`
		} `json:"triggers"`
	} `json:"spec"`
}

// DeepCopyObject is required by Kubernetes; nothing here copies an object.
func (s *scaledObject) DeepCopyObject() runtime.Object { return s }

// Every file is read, including those that no overlay uses.
func TestEveryManifestIsWhatKubernetesKnows(t *testing.T) {
	t.Parallel()
	count := 0
	err := filepath.WalkDir(filepath.Join(top, "deploy"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		if d.Name() == "kustomization.yaml" {
			var k types.Kustomization
			require.NoError(t, yaml.UnmarshalStrict(text, &k), path)
			return nil
		}
		for part := range bytes.SplitSeq(text, []byte("\n---\n")) {
			decode(t, part)
			count++
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, count, 10)
}

// A test of the test: fields that Kubernetes does not know are refused.
func TestAWrongManifestIsFound(t *testing.T) {
	t.Parallel()
	good := read(t, manifests+"/base/deployment.yaml")
	for wrong, right := range map[string]string{"readOnlyRootFileSystem": "readOnlyRootFilesystem", "replicas: three": "replicas: 3"} {
		text := strings.Replace(good, right, wrong, 1)
		require.NotEqual(t, good, text)
		scheme := runtime.NewScheme()
		require.NoError(t, appsv1.AddToScheme(scheme))
		_, _, err := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer().Decode([]byte(text), nil, nil)
		require.Error(t, err, wrong)
	}
}

// build returns the objects that `kubectl apply -k` would send.
func build(t *testing.T, overlay string) (objects []runtime.Object) {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(top, manifests, overlay))
	require.NoError(t, err)
	for _, resource := range built.Resources() {
		text, err := resource.AsYAML()
		require.NoError(t, err)
		objects = append(objects, decode(t, text))
	}
	require.NotEmpty(t, objects)
	return objects
}

// find returns the objects of a type.
func find[T runtime.Object](objects []runtime.Object) (found []T) {
	for _, o := range objects {
		if one, is := o.(T); is {
			found = append(found, one)
		}
	}
	return found
}

package deploy

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/localpg"
)

const ownModule = "examples/own"

// own copies the module examples/own out of this repository, like a user would. The copy has a path
// in place of the release that is not published yet.
func own(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "own")
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(top, ownModule))))
	maestro, err := filepath.Abs(top)
	require.NoError(t, err)
	runIn(t, dir, "go mod edit -replace github.com/maestro-es/maestro="+maestro)
	return dir
}

// runIn runs a command in a folder and returns its output.
func runIn(t *testing.T, dir, command string, environment ...string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), environment...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", command, out)
	return string(out)
}

// ownWorker builds the program of a copy with the line of its Dockerfile.
func ownWorker(t *testing.T, dir string) string {
	t.Helper()
	dockerfile, err := os.ReadFile(filepath.Join(dir, "Dockerfile"))
	require.NoError(t, err)
	line := buildLine.FindSubmatch(dockerfile)
	require.NotNil(t, line, "the Dockerfile has no line like %s", buildLine)
	program := filepath.Join(t.TempDir(), "worker")
	runIn(t, dir, strings.Replace(string(line[1]), "-o /out/worker", "-o "+program, 1), "CGO_ENABLED=0")
	return program
}

// A user's own module compiles without our internal packages. Its tests pass with the servers that
// they start.
func TestAnOwnModuleIsTestedFromOutside(t *testing.T) {
	t.Parallel()
	dir := own(t)
	runIn(t, dir, "go vet ./... && go test ./...")
	require.NotContains(t, runIn(t, dir, "go list -f '{{join .Imports \" \"}} {{join .TestImports \" \"}} {{join .XTestImports \" \"}}' ./..."),
		"github.com/maestro-es/maestro/internal")
}

// A user gets what the module's README shows.
func TestAnOwnWorkerOfAnAfternoon(t *testing.T) {
	t.Parallel()
	dir := own(t)
	worker := start(t, exec.Command(ownWorker(t, dir), "--dev"), "PATH="+os.Getenv("PATH"), "MAESTRO_HTTP=127.0.0.1:0")
	worker.says("msg=ready")
	url := regexp.MustCompile(`msg=ready nats=(\S+)`).FindStringSubmatch(worker.out.String())[1]
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	require.NoError(t, err)
	sessions := regexp.MustCompile("(?s)```console\n(.*?)```").FindAllSubmatch(readme, -1)
	require.NotEmpty(t, sessions)
	tool, err := localnats.Tool(top)
	if err != nil {
		t.Skip(err)
	}
	path := "PATH=" + filepath.Dir(tool) + string(filepath.ListSeparator) + os.Getenv("PATH")
	for _, session := range sessions {
		for _, step := range strings.Split("\n"+string(session[1]), "\n$ ")[1:] {
			command, shown, _ := strings.Cut(step, "\n")
			require.Contains(t, runIn(t, dir, command, "NATS_URL="+url, path), strings.TrimSpace(shown), command)
		}
	}
	worker.stop()
}

// With the user's servers, the program has everything that a worker has: migrations, probes,
// metrics and a clean end.
func TestAnOwnWorkerHasEverythingOfAWorker(t *testing.T) {
	t.Parallel()
	program, broker := ownWorker(t, own(t)), localnats.ForTest(t)
	environment := []string{"DATABASE_URL=" + localpg.Database(t), "NATS_URL=" + broker.URL(), "MAESTRO_HTTP=127.0.0.1:0"}
	status, out := start(t, exec.Command(program, "migrate"), environment...).finish()
	require.Zero(t, status, out)
	worker := start(t, exec.Command(program), environment...)
	worker.says("msg=ready")
	answer, err := broker.Connect(t).Request("maestro.do.account.42.open", []byte(`{"owner":"ada"}`), patience)
	require.NoError(t, err)
	require.Contains(t, string(answer.Data), `"status":"committed"`)
	console := regexp.MustCompile(`msg=console url=(\S+)`).FindStringSubmatch(worker.out.String())
	require.NotNil(t, console)
	for path, says := range map[string]string{"/healthz": "", "/readyz": "", "/metrics": "maestro_"} {
		eventually(t, path, func() bool {
			response, err := http.Get(console[1] + path)
			require.NoError(t, err)
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			return response.StatusCode == http.StatusOK && strings.Contains(string(body), says)
		})
	}
	worker.stop()
}

// The overlay renders on the base, whether the base is read from Maestro's repository or from a
// copy.
func TestAnOwnOverlayRenders(t *testing.T) {
	t.Parallel()
	const remote = "https://github.com/maestro-es/maestro//deploy/k8s/base?ref=v0.1.0"
	dir := own(t)
	overlay := filepath.Join(dir, "deploy")
	require.NoError(t, os.CopyFS(filepath.Join(overlay, "base"), os.DirFS(filepath.Join(top, manifests, "base"))))
	runIn(t, overlay, "cp secrets.env.example secrets.env")
	file := filepath.Join(overlay, "kustomization.yaml")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(text), remote)
	// The copy stands in for the repository, which this machine may not reach.
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), remote, "base", 1)), 0o600))
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), overlay)
	require.NoError(t, err)
	workers := 0
	for _, resource := range built.Resources() {
		text, err := resource.AsYAML()
		require.NoError(t, err)
		switch object := decode(t, text).(type) {
		case *appsv1.Deployment:
			workers++
			require.Equal(t, "example.com/own:0.1.0", object.Spec.Template.Spec.Containers[0].Image)
			require.Equal(t, "accounts", object.Namespace)
		case *corev1.ConfigMap:
			require.Equal(t, "accounts", object.Data["MAESTRO_NAMESPACE"])
			require.Equal(t, "0.0.0.0:8080", object.Data["MAESTRO_HTTP"])
		}
	}
	require.Equal(t, 1, workers)
}

// The images of both Dockerfiles are built with the same Go.
func TestTheOwnImageIsBuiltWithTheSameGo(t *testing.T) {
	t.Parallel()
	from := regexp.MustCompile(`(?m)^FROM golang:\S+`)
	require.Equal(t, from.FindString(read(t, "Dockerfile")), from.FindString(read(t, ownModule+"/Dockerfile")))
}

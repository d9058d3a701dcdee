package docs

import (
	"go/format"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/localpg"
)

// guides are the pages of docs/guides, in the order in which a newcomer reads them.
var guides = []string{"aggregate", "read-model", "testing", "evolving-events", "subscribing", "deploying"}

func guide(name string) string { return filepath.Join(top, "docs", "guides", name+".md") }

func TestTheReadmeLeadsToEveryGuide(t *testing.T) {
	t.Parallel()
	found, err := filepath.Glob(guide("*"))
	require.NoError(t, err)
	require.Len(t, found, len(guides), "a guide is missing from the list of guides")
	readme := read(t, filepath.Join(top, "README.md"))
	for _, name := range guides {
		require.Contains(t, readme, "](docs/guides/"+name+".md)")
	}
}

// nameOfBlock matches the file's name in the comment on a block's first line.
var nameOfBlock = regexp.MustCompile(`^(?://|#) ([\w./-]+)\n`)

// guidesFiles returns the blocks of all guides that begin with the name of a file, by that name.
// Every block of Go must begin so.
func guidesFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, name := range guides {
		for _, block := range fenced.FindAllStringSubmatch(read(t, guide(name)), -1) {
			language, source := block[1], block[2]
			file := nameOfBlock.FindStringSubmatch(source)
			if language == "go" {
				require.NotNil(t, file, "%s: a block of Go begins without the name of a file", name)
				formatted, err := format.Source([]byte(source))
				require.NoError(t, err, file[1])
				require.Equal(t, string(formatted), source)
			}
			if file != nil {
				require.NotContains(t, files, file[1])
				files[file[1]] = source
			}
		}
	}
	require.NotEmpty(t, files)
	return files
}

// guidesNames returns the names of the guides' files and folders. The folders' names end with a
// slash.
func guidesNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for file := range guidesFiles(t) {
		names[file] = true
		for i, c := range file {
			if c == '/' {
				names[file[:i+1]] = true
			}
		}
	}
	return names
}

// The guides' files form one module, which passes its tests. Its worker answers like the guides
// show, and its tables take the guides' SQL.
func TestTheGuidesModule(t *testing.T) {
	t.Parallel()
	dir := module(t, "example.com/library", guidesFiles(t))
	runIn(t, dir, "go vet ./... && go test ./... && go build -o worker .")

	broker, database := localnats.ForTest(t), localpg.Database(t)
	start(t, filepath.Join(dir, "worker"), []string{"NATS_URL=" + broker.URL(), "DATABASE_URL=" + database, "MAESTRO_HTTP="})
	request(t, broker.Connect(t), "maestro.get.book.1", "") // the worker is there
	pool := localpg.Pool(t, database)
	for _, name := range guides {
		for _, sql := range blocksOf(t, guide(name), "sql") {
			_, err := pool.Exec(t.Context(), sql)
			require.NoError(t, err, "%s: %s", name, sql)
		}
	}
	tool, err := localnats.Tool(top)
	if err != nil {
		t.Skip(err)
	}
	for _, name := range guides {
		for _, session := range blocksOf(t, guide(name), "console") {
			for _, step := range steps(session) {
				command, shown, _ := strings.Cut(step, "\n")
				out := run(t, command, atNATS(broker.URL(), tool)...)
				for line := range strings.Lines(shown) {
					require.Contains(t, out, strings.TrimSpace(line), command)
				}
			}
		}
	}
}

// The overlays render on the base. This repository's base replaces the base of the release, which
// is read from the network.
func TestTheGuidesOverlaysRender(t *testing.T) {
	t.Parallel()
	const remote = "https://github.com/maestro-es/maestro//deploy/k8s/base?ref=v0.1.0"
	files := guidesFiles(t)
	require.Contains(t, files["deploy/kustomization.yaml"], remote)
	files["deploy/kustomization.yaml"] = strings.Replace(files["deploy/kustomization.yaml"], remote, "base", 1)
	base, err := filepath.Glob(filepath.Join(top, "deploy", "k8s", "base", "*.yaml"))
	require.NoError(t, err)
	for _, file := range base {
		files["deploy/base/"+filepath.Base(file)] = read(t, file)
	}
	dir := module(t, "example.com/library", files)
	for _, overlay := range []string{"deploy", "deploy/by-copy"} {
		built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(dir, overlay))
		require.NoError(t, err, overlay)
		text, err := built.AsYaml()
		require.NoError(t, err)
		require.Contains(t, string(text), "image: example.com/library:0.1.0", overlay)
		require.Contains(t, string(text), "namespace: library", overlay)
		require.NotContains(t, string(text), "image: maestro", overlay)
	}
}

// The guide's Dockerfile is the Dockerfile of examples/own, which tests/deploy builds from.
func TestTheGuidesImageIsThatOfTheExample(t *testing.T) {
	t.Parallel()
	_, example, _ := strings.Cut(read(t, filepath.Join(top, "examples", "own", "Dockerfile")), "\n")
	_, ours, _ := strings.Cut(guidesFiles(t)["Dockerfile"], "\n")
	require.Equal(t, example, ours)
}

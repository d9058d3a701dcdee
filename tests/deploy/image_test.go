package deploy

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// stage finds the lines that begin a stage. user finds the line that says who runs the programs.
var (
	stage = regexp.MustCompile(`(?m)^FROM (\S+)`)
	user  = regexp.MustCompile(`(?m)^USER (\S+)$`)
)

func TestTheImageIsPinnedAndHasNoRoot(t *testing.T) {
	t.Parallel()
	dockerfile := read(t, "Dockerfile")
	stages := stage.FindAllStringSubmatch(dockerfile, -1)
	require.Len(t, stages, 2, "one stage builds, one is the image")
	language := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(read(t, "go.mod"))
	require.Equal(t, "golang:"+language[1], stages[0][1])
	require.Equal(t, "scratch", stages[1][1])
	users := user.FindAllStringSubmatch(dockerfile, -1)
	require.Len(t, users, 1)
	require.Equal(t, "65532:65532", users[0][1], "a number, which Kubernetes can tell from root's")
	require.Contains(t, dockerfile, "\nENV CGO_ENABLED=0\n")
}

// Every file that git tracks must be in the image's sources. Otherwise the version in the image
// says that the sources were changed.
func TestTheImageIsBuiltFromAllThatGitTracks(t *testing.T) {
	t.Parallel()
	if _, err := commit(); err != nil {
		t.Skip("these sources came without git: ", err)
	}
	for line := range strings.Lines(read(t, ".dockerignore")) {
		pattern := strings.TrimSpace(line)
		if pattern == "" || pattern[0] == '#' {
			continue
		}
		glob := ":(glob)" + pattern
		cmd := exec.Command("git", "ls-files", "--", glob, glob+"/**")
		cmd.Dir, cmd.Env = top, append(os.Environ(), gitTrust...)
		out, err := cmd.Output()
		require.NoError(t, err)
		require.Empty(t, string(out), "%s hides files that git tracks", pattern)
	}
}

func TestTheProgramsAreStatic(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"worker", "publisher"} {
		file, err := elf.Open(program(t, name))
		require.NoError(t, err)
		libraries, err := file.ImportedLibraries()
		require.NoError(t, err)
		require.Empty(t, libraries, "%s needs libraries, which the image lacks", name)
		require.NoError(t, file.Close())
	}
}

func TestTheProgramsKnowTheirCommit(t *testing.T) {
	t.Parallel()
	head, err := commit()
	if err != nil {
		t.Skip("these sources came without git: ", err)
	}
	for _, name := range []string{"worker", "publisher"} {
		out, err := exec.Command(filepath.Clean(program(t, name)), "--version").Output()
		require.NoError(t, err)
		require.Regexp(t, `^v\d+\.\d+\.\d+\S* `+head+`\n$`, string(out))
	}
}

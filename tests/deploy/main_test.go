// Package deploy tests what runs outside a laptop: the manifests of deploy/k8s/ as Kubernetes reads
// them, and the programs as the Dockerfile builds them, in a place as bare as a container. It also
// tests the demands of servers: TLS, credentials, users with few rights.
package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const top = "../.."

func TestMain(m *testing.M) {
	if os.Getenv(jailVariable) != "" {
		enterJail() // in a process that jail_test.go has started
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "maestro-deploy-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o755); err != nil { // for the users of jails
		panic(err)
	}
	scratch = dir
	for user, password := range passwords {
		if err := os.Setenv("MAESTRO_"+strings.ToUpper(user)+"_PASSWORD", password); err != nil {
			panic(err)
		}
	}
	return m.Run()
}

// scratch is a folder for files that all tests of the binary share.
var scratch string

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, file))
	require.NoError(t, err)
	return string(text)
}

var buildLine = regexp.MustCompile(`(?m)^RUN (go build .*)$`)

// programs builds both programs once, with the exact command of the Dockerfile. newer builds the
// same programs with a newer version.
var (
	programs = sync.OnceValues(func() (dir string, err error) { return builtAs("") })
	newer    = sync.OnceValues(func() (dir string, err error) { return builtAs(newVersion) })
)

const newVersion = "v99.1.0"

// builtAs builds the programs like the Dockerfile does if it is given a version.
func builtAs(version string) (dir string, err error) {
	dockerfile, err := os.ReadFile(filepath.Join(top, "Dockerfile"))
	if err != nil {
		return "", err
	}
	line := buildLine.FindSubmatch(dockerfile)
	if line == nil {
		return "", fmt.Errorf("the Dockerfile has no line like %s", buildLine)
	}
	dir = filepath.Join(scratch, "bin"+version)
	command := strings.Replace(string(line[1]), "-o /out/", "-o "+dir+"/", 1)
	if _, err := commit(); err != nil {
		command = strings.Replace(command, "-buildvcs=true", "-buildvcs=false", 1)
	}
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = top
	cmd.Env = append(os.Environ(), append(gitTrust, "CGO_ENABLED=0", "VERSION="+version)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	return dir, nil
}

// program returns the path of a built program.
func program(t *testing.T, name string) string {
	t.Helper()
	dir, err := programs()
	require.NoError(t, err)
	return filepath.Join(dir, name)
}

// gitTrust makes git answer whoever owns the clone.
var gitTrust = []string{"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}

// commit returns the checked-out commit, or an error if the sources came without git.
func commit() (string, error) {
	cmd := exec.Command("git", "rev-parse", "HEAD")
	cmd.Dir = top
	cmd.Env = append(os.Environ(), gitTrust...)
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

package localpg

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// minVersion is the oldest major version of Postgres that Maestro works with.
const minVersion = 14

// ErrNotInstalled: this machine has no programs of Postgres of a sufficient version.
var ErrNotInstalled = errors.New("no PostgreSQL server of version 14 or later on this machine")

// binaries returns the directory of initdb, pg_ctl and postgres. This is dir if it is given,
// otherwise the directory of the newest installed version.
func binaries(dir string) (string, error) {
	if dir != "" {
		_, err := version(dir)
		return dir, err
	}
	candidates, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // Debian keeps them out of PATH
	if path, err := exec.LookPath("postgres"); err == nil {
		candidates = append(candidates, filepath.Dir(path))
	}
	newest, found := 0, ""
	problem := errors.New("none in /usr/lib/postgresql/*/bin nor in PATH")
	for _, candidate := range candidates {
		v, err := version(candidate)
		if err != nil {
			problem = err
		} else if v > newest {
			newest, found = v, candidate
		}
	}
	if found == "" {
		return "", fmt.Errorf("%w: %w; install one (apt-get install postgresql) or give the directory of its binaries",
			ErrNotInstalled, problem)
	}
	return found, nil
}

var majorVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// version asks the server in dir for its major version, and refuses versions that are too old.
func version(dir string) (int, error) {
	for _, tool := range []string{"initdb", "pg_ctl"} {
		if _, err := exec.LookPath(filepath.Join(dir, tool)); err != nil {
			return 0, err
		}
	}
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0, fmt.Errorf("%s/postgres --version: %w", dir, err)
	}
	match := majorVersion.FindSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("%s/postgres --version: not understood: %q", dir, out)
	}
	v, err := strconv.Atoi(string(match[1]))
	if err != nil || v < minVersion {
		return 0, fmt.Errorf("%s has version %s of PostgreSQL, expected %d or later", dir, match[1], minVersion)
	}
	return v, nil
}

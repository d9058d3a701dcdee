package localnats

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
)

// Tool returns the path of the stock command line of NATS: the program that NATS_CLI names, or the
// one that make puts into .bin of the module's top folder, or the one in PATH.
func Tool(top string) (path string, err error) {
	for _, file := range []string{os.Getenv("NATS_CLI"), filepath.Join(top, ".bin", "nats"), "nats"} { //nolint:forbidigo // tests look for it
		if found, err := exec.LookPath(file); err == nil {
			return filepath.Abs(found)
		}
	}
	return "", errors.New("there is no nats command line on this machine: `make test` builds it into .bin, or set NATS_CLI to one")
}

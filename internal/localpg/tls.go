package localpg

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/maestro-es/maestro/internal/localca"
)

// demandTLS puts a certificate into a cluster's directory. It returns the settings with which the
// server refuses clients without TLS, and the part of a client's URL that makes the client trust
// the server.
func demandTLS(dir string, owner *syscall.Credential) (settings, query string, err error) {
	files, err := localca.Write(dir)
	if err != nil {
		return "", "", err
	}
	rules := filepath.Join(dir, "rules")
	err = os.WriteFile(rules, []byte("hostssl all postgres 127.0.0.1/32 scram-sha-256\n"), 0o600)
	if owner != nil {
		for _, file := range []string{files.CA, files.Cert, files.Key, rules} {
			err = errors.Join(err, os.Chown(file, int(owner.Uid), int(owner.Gid)))
		}
	}
	return fmt.Sprintf(" -c ssl=on -c ssl_cert_file=%s -c ssl_key_file=%s -c hba_file=%s", files.Cert, files.Key, rules),
		url.Values{"sslmode": {"verify-full"}, "sslrootcert": {files.CA}}.Encode(), err
}

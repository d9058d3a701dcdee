package localpg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// serverUser is the user that runs the server in place of root, nil for everybody else.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, errors.New("root may not run Postgres, and there is no user postgres or nobody to run it: add one")
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// makeDir makes the directory of a cluster, with the file in which initdb finds the password.
func makeDir(owner *syscall.Credential, password string) (string, error) {
	dir, err := os.MkdirTemp("", "maestro-pg-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "password")
	err = os.WriteFile(file, []byte(password+"\n"), 0o600)
	if owner != nil {
		err = errors.Join(err, os.Chown(file, int(owner.Uid), int(owner.Gid)), os.Chown(dir, int(owner.Uid), int(owner.Gid)),
			enterable(owner, dir))
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// enterable tells whether the owner of dir can get there.
func enterable(owner *syscall.Credential, dir string) error {
	cmd := exec.Command("/bin/sh", "-c", `cd "$0"`, dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("user id %d, which runs Postgres for root, cannot enter %s: set TMPDIR to a directory that it can",
			owner.Uid, dir)
	}
	return nil
}

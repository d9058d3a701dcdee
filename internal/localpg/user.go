package localpg

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/google/uuid"
)

// serverUser returns the user that runs the server in place of root, and nil if this process is not
// root.
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

// freshPasswordFile is where initdb finds the password of a new cluster. passwordFile is the name
// of that file once the cluster is complete.
const freshPasswordFile, passwordFile = "password.new", "password"

// makeDir makes the server's directory, a temporary one if none is given, and returns the password
// of the cluster in it.
func (s *Server) makeDir(given string) (password string, err error) {
	if s.dir, s.kept = given, given != ""; s.kept {
		if s.dir, err = filepath.Abs(given); err != nil {
			return "", err
		}
		err = os.MkdirAll(s.dir, 0o700)
	} else {
		s.dir, err = os.MkdirTemp("", "maestro-pg-")
	}
	if err != nil {
		return "", err
	}
	if found, err := os.ReadFile(filepath.Join(s.dir, passwordFile)); err == nil {
		return strings.TrimSpace(string(found)), s.free()
	}
	password = uuid.NewString()
	file := filepath.Join(s.dir, freshPasswordFile)
	err = os.WriteFile(file, []byte(password+"\n"), 0o600)
	if s.user != nil {
		uid, gid := int(s.user.Uid), int(s.user.Gid)
		err = errors.Join(err, os.Chown(file, uid, gid), os.Chown(s.dir, uid, gid), enterable(s.user, s.dir))
	}
	if err != nil {
		return "", errors.Join(err, s.removeDir())
	}
	return password, nil
}

// free returns an error if a server runs on the data already.
func (s *Server) free() error {
	if process, err := s.postmaster(); err == nil && syscall.Kill(process, 0) == nil {
		return fmt.Errorf("another Postgres, process %d, runs on the data in %s", process, s.dir)
	}
	return nil
}

// removeDir removes the server's directory, unless the directory is to stay.
func (s *Server) removeDir() error {
	if s.kept {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// enterable tells whether the owner can enter dir.
func enterable(owner *syscall.Credential, dir string) error {
	cmd := exec.Command("/bin/sh", "-c", `cd "$0"`, dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("user id %d, which runs Postgres for root, cannot enter %s: choose a directory that it can enter, "+
			"or with TMPDIR one for temporary files", owner.Uid, dir)
	}
	return nil
}

package deploy

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localpg"
)

// A jail is to a program what a container is, and is made of the same parts of the kernel. It has a
// read-only root file system with only the program, and a user without rights. The test binary
// starts itself in new namespaces, changes the root, and becomes the program.
const (
	jailVariable = "MAESTRO_TEST_JAIL" // the folder that becomes the root
	jailUser     = 65532
)

// jail prepares a program to run in a root file system that has only the programs. If writable
// names a folder, that folder is there too, and can be written.
func jail(t *testing.T, writable, name string, args ...string) *exec.Cmd {
	t.Helper()
	needNamespaces(t)
	root := filepath.Join(t.TempDir(), "root")
	require.NoError(t, os.MkdirAll(filepath.Join(root, writable), 0o755))
	for _, name := range []string{"worker", "publisher"} {
		require.NoError(t, os.Link(program(t, name), filepath.Join(root, name)))
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, append([]string{"/" + name}, args...)...)
	cmd.Env = []string{jailVariable + "=" + root, "JAIL_WRITABLE=" + writable}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.Env = append(cmd.Env, "JAIL_USERNS=1") // root in the jail is this user, who has no rights
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return cmd
}

// needNamespaces skips the test if the kernel does not let this user make namespaces, like in a
// container without privileges.
func needNamespaces(t *testing.T) {
	t.Helper()
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
	if err := cmd.Run(); errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skip("the kernel lets this user make no mount namespace: ", err)
	}
}

// enterJail turns this process into the program of the command line.
func enterJail() {
	err := becomeProgram(os.Getenv(jailVariable), os.Getenv("JAIL_WRITABLE"), os.Args[1:])
	fmt.Fprintln(os.Stderr, "jail:", err)
	os.Exit(125)
}

func becomeProgram(root, writable string, args []string) error {
	const private, readOnly = syscall.MS_REC | syscall.MS_PRIVATE, syscall.MS_BIND | syscall.MS_REMOUNT | syscall.MS_RDONLY | syscall.MS_NOSUID
	if err := syscall.Mount("", "/", "", private, ""); err != nil {
		return fmt.Errorf("keep mounts to oneself: %w", err)
	}
	if err := syscall.Mount(root, root, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount the root: %w", err)
	}
	if err := syscall.Mount("", root, "", readOnly, ""); err != nil {
		return fmt.Errorf("make the root read-only: %w", err)
	}
	if writable != "" {
		if err := syscall.Mount("tmpfs", filepath.Join(root, writable), "tmpfs", syscall.MS_NOSUID|syscall.MS_NOEXEC, "mode=1777"); err != nil {
			return fmt.Errorf("mount %s: %w", writable, err)
		}
	}
	if err := errors.Join(os.Chdir(root), syscall.PivotRoot(".", "."), syscall.Unmount(".", syscall.MNT_DETACH), os.Chdir("/")); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	if os.Getenv("JAIL_USERNS") == "" { // root outside: give up all groups and rights
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(jailUser), syscall.Setuid(jailUser)); err != nil {
			return fmt.Errorf("become user %d: %w", jailUser, err)
		}
	}
	var environment []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "JAIL_") && !strings.HasPrefix(v, jailVariable) {
			environment = append(environment, v)
		}
	}
	return syscall.Exec(args[0], args, environment)
}

// unprivileged checks from outside that the process has no rights.
func unprivileged(t *testing.T, p *process) {
	t.Helper()
	proc := "/proc/" + strconv.Itoa(p.cmd.Process.Pid)
	status, err := os.ReadFile(proc + "/status")
	require.NoError(t, err)
	if os.Getuid() == 0 {
		require.Regexp(t, `(?m)^Uid:\t65532\t65532\t65532\t65532$`, string(status))
		require.Regexp(t, `(?m)^CapEff:\t0+$`, string(status))
	} else {
		require.NotRegexp(t, `(?m)^Uid:\t0\t`, string(status))
	}
	mounts, err := os.ReadFile(proc + "/mountinfo")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^\d+ \d+ \S+ \S+ / ro,`, string(mounts), "the root is read-only")
}

func TestTheProgramsRunInAnEmptyReadOnlyRoot(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{"worker": "Usage: worker <command>", "publisher": "Usage: publisher <command>"} {
		status, out := start(t, jail(t, "", name, "--help")).finish()
		require.Equal(t, 0, status, out)
		require.Contains(t, out, says)
		status, out = start(t, jail(t, "", name, "--version")).finish()
		require.Equal(t, 0, status, out)
		require.NotEmpty(t, out)
	}
	status, out := start(t, jail(t, "", "worker", "--dev")).finish()
	require.Equal(t, 1, status)
	require.Contains(t, out, "worker: --dev: ", "there is no place for its files")
}

// The Deployment runs a worker that writes to no disk. The commands also come from a jail.
func TestAWorkerNeedsNoDisk(t *testing.T) {
	t.Parallel()
	s := broker(t)
	worker := start(t, jail(t, "", "worker"), append(environment(identity(s, "worker")),
		"DATABASE_URL="+localpg.Database(t), "MAESTRO_HTTP=127.0.0.1:0")...)
	worker.says("msg=ready")
	unprivileged(t, worker)
	publisher := start(t, jail(t, "", "publisher", "request", "counter", "1", "increment", `{"by":1}`), environment(identity(s, "publisher"))...)
	status, out := publisher.finish()
	require.Equal(t, 0, status, out)
	require.Contains(t, out, "committed: counter 1 is at sequence 1")
	worker.stop()
}

func TestATrialNeedsOneFolder(t *testing.T) {
	t.Parallel()
	worker := start(t, jail(t, "data", "worker", "--dev", "--data-dir=/data", "--http="))
	worker.says("msg=ready")
	unprivileged(t, worker)
	worker.stop()
}

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/maestro-es/maestro/internal/localnats"
)

// serveArgument makes this program a nats-server.
const serveArgument = "serve"

// natsServer is a nats-server in a process of its own, as it is in production: what a client does with its memory is not the server's.
type natsServer struct {
	cmd *exec.Cmd
	url string
}

// natsEnvironment is what docs/operations.md asks of a nats-server that is to answer evenly.
var natsEnvironment = []string{"GOGC=800", "GOMEMLIMIT=2GiB"}

// startNATS starts a server that keeps its streams in a folder, and returns when it takes connections.
func startNATS(ctx context.Context, dir string) (*natsServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, serveArgument, dir)
	cmd.Env = append(os.Environ(), natsEnvironment...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the suite, which then stops the server
	if _, err := cmd.StdinPipe(); err != nil {            // open as long as the suite lives
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Process.Kill()
		return nil, fmt.Errorf("the nats-server process did not begin: %w", err)
	}
	return &natsServer{cmd: cmd, url: strings.TrimSpace(url)}, nil
}

// stop ends the server.
func (s *natsServer) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// serve is the nats-server process. It prints its URL, and ends with the process that started it.
func serve(dir string) {
	server, err := localnats.Start(localnats.Options{Dir: dir})
	must(err)
	fmt.Println(server.URL())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
	}
	server.Stop()
}

package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/child"
)

// brokerCommand makes the test binary a nats-server, so that a test has a process to kill.
const brokerCommand = "nats-server"

// runBroker is the nats-server process. It reads its configuration file again at a SIGHUP, and ends
// with SIGTERM.
func runBroker(file string) int {
	again := make(chan os.Signal, 1) // set up before the server starts, because a SIGHUP must not end the process
	signal.Notify(again, syscall.SIGHUP)
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		panic(err)
	}
	options.NoSigs = true
	s, err := server.NewServer(options)
	if err != nil {
		panic(err)
	}
	s.ConfigureLogger()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s.Start()
	for {
		select {
		case <-again:
			if err := s.Reload(); err != nil {
				s.Errorf("reload: %v", err)
			}
		case <-ctx.Done():
			s.Shutdown()
			s.WaitForShutdown()
			return 0
		}
	}
}

// broker is one nats-server process. After a restart it has the same port and the same files.
type broker struct {
	name, dir, saved string
	port, between    int    // between is the port where the servers of a cluster find each other, 0 for a server alone
	routes           string // to all servers of the cluster
	log              *os.File

	process child.Place
}

// startBrokers starts one nats-server, or several that form a cluster.
func startBrokers(t *testing.T, n int, r rules) []*broker {
	t.Helper()
	brokers := make([]*broker, n)
	var routes []string
	for i := range brokers {
		name := fmt.Sprintf("nats%d", i)
		dir := filepath.Join(t.TempDir(), name)
		brokers[i] = &broker{name: name, dir: dir, saved: dir + ".saved", port: freePort(t)}
		if n > 1 {
			brokers[i].between = freePort(t)
			routes = append(routes, "nats://127.0.0.1:"+strconv.Itoa(brokers[i].between))
		}
	}
	for _, b := range brokers {
		b.routes = strings.Join(routes, ", ")
		log, err := os.Create(b.dir + ".log")
		require.NoError(t, err)
		b.log = log
		require.NoError(t, b.obey(r))
		require.NoError(t, b.start())
		t.Cleanup(func() { b.stop(syscall.SIGKILL); _ = log.Close() })
	}
	return brokers
}

func (b *broker) url() string { return "nats://127.0.0.1:" + strconv.Itoa(b.port) }

func (b *broker) start() error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(executable, brokerCommand, b.dir+".conf")
	cmd.Stdout, cmd.Stderr = b.log, b.log
	return b.process.Start(cmd)
}

// stop ends the server with a signal and waits until it is gone. If that takes long, stop uses
// force.
func (b *broker) stop(s syscall.Signal) { b.process.Stop(s, patience/3) }

func (b *broker) signal(s syscall.Signal) { b.process.Signal(s) }

// save keeps a copy of the files of a stopped server. restore puts the copy back, like a disk that
// forgets the latest writes.
func (b *broker) save() error {
	if err := os.RemoveAll(b.saved); err != nil {
		return err
	}
	return os.CopyFS(b.saved, os.DirFS(b.dir))
}

func (b *broker) restore() error {
	if _, err := os.Stat(b.saved); err != nil {
		return nil // nothing was kept yet
	}
	if err := os.RemoveAll(b.dir); err != nil {
		return err
	}
	return os.CopyFS(b.dir, os.DirFS(b.saved))
}

func (b *broker) wipe() error { return os.RemoveAll(b.dir) }

// awaitBroker waits until JetStream answers on a connection.
func awaitBroker(ctx context.Context, nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return poll(ctx, func() bool {
		try, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := js.AccountInfo(try)
		return err == nil
	})
}

// poll checks a condition that gives no signal, until it holds or ctx ends.
func poll(ctx context.Context, holds func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// pause waits for d, or less if ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

package faults

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// brokerCommand makes the test binary a nats-server, so that there is a process to kill.
const brokerCommand = "nats-server"

// runBroker is that nats-server: name, folder, port, and for a cluster the port and the routes of the servers to each other. It
// ends with a signal, or with the process that started it.
func runBroker(args []string) int {
	port, err := strconv.Atoi(args[2])
	if err != nil {
		panic(err)
	}
	options := &server.Options{ServerName: args[0], StoreDir: args[1], Host: "127.0.0.1", Port: port, JetStream: true, NoSigs: true,
		DisableJetStreamBanner: true}
	if len(args) > 3 {
		between, err := strconv.Atoi(args[3])
		if err != nil {
			panic(err)
		}
		options.Cluster = server.ClusterOpts{Name: "faults", Host: "127.0.0.1", Port: between, NoAdvertise: true}
		options.Routes = server.RoutesFromStr(args[4])
	}
	s, err := server.NewServer(options)
	if err != nil {
		panic(err)
	}
	s.ConfigureLogger()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); stop() }()
	s.Start()
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return 0
}

// broker is one nats-server process, which comes back at the same port with the same files.
type broker struct {
	name, dir, saved string
	port             int
	args             []string
	log              *os.File

	mu    sync.Mutex
	cmd   *exec.Cmd
	stdin io.Closer
}

// startBrokers starts one nats-server, or several that form a cluster.
func startBrokers(t *testing.T, n int) []*broker {
	t.Helper()
	brokers := make([]*broker, n)
	var routes []string
	for i := range brokers {
		name := fmt.Sprintf("nats%d", i)
		dir := filepath.Join(t.TempDir(), name)
		brokers[i] = &broker{name: name, dir: dir, saved: dir + ".saved", port: freePort(t)}
		brokers[i].args = []string{brokerCommand, name, dir, strconv.Itoa(brokers[i].port)}
		if n > 1 {
			between := strconv.Itoa(freePort(t))
			brokers[i].args = append(brokers[i].args, between)
			routes = append(routes, "nats://127.0.0.1:"+between)
		}
	}
	for _, b := range brokers {
		if n > 1 {
			b.args = append(b.args, strings.Join(routes, ","))
		}
		log, err := os.Create(b.dir + ".log")
		require.NoError(t, err)
		b.log = log
		require.NoError(t, b.start())
		t.Cleanup(func() { b.stop(syscall.SIGKILL); _ = log.Close() })
	}
	return brokers
}

func (b *broker) url() string { return "nats://127.0.0.1:" + strconv.Itoa(b.port) }

func (b *broker) start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cmd != nil {
		return nil
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(executable, b.args...)
	cmd.Stdout, cmd.Stderr = b.log, b.log
	if b.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	b.cmd = cmd
	return nil
}

// stop ends the server with a signal, by force if that takes long, and waits until it is gone.
func (b *broker) stop(s syscall.Signal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Signal(s)
	_ = b.stdin.Close()
	force := time.AfterFunc(patience/3, func() { _ = b.cmd.Process.Kill() })
	_ = b.cmd.Wait()
	force.Stop()
	b.cmd = nil
}

func (b *broker) signal(s syscall.Signal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cmd != nil {
		_ = b.cmd.Process.Signal(s)
	}
}

// save keeps a copy of the files of a stopped server, restore puts it back: so a disk forgets what was written to it last.
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

// poll looks until something holds that gives no signal, or ctx ends.
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

// pause lets time pass, less if ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

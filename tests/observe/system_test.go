package observe

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/localpg"
)

// system is a broker, a database, and the processes that use them and send their spans.
type system struct {
	*testing.T
	*receiver
	js       jetstream.JetStream
	database string
	env      []string
}

func newSystem(t *testing.T) *system {
	t.Helper()
	broker := localnats.ForTest(t)
	js, err := jetstream.New(broker.Connect(t))
	require.NoError(t, err)
	database := localpg.Database(t)
	return &system{T: t, receiver: newReceiver(t), js: js, database: database,
		env: []string{"NATS_URL=" + broker.URL(), "MAESTRO_PARTITIONS=4", "DATABASE_URL=" + database}}
}

// worker starts a worker under a name and waits until it is working.
func (s *system) worker(name string, env ...string) *process {
	s.Helper()
	p := s.start(name, "worker", nil, append([]string{"MAESTRO_HTTP="}, env...)...)
	p.says("msg=ready")
	return p
}

// publisher runs the publisher to its end.
func (s *system) publisher(args ...string) string { return s.publisherReading(nil, args...) }

func (s *system) publisherReading(stdin io.Reader, args ...string) string {
	s.Helper()
	p := s.startReading(stdin, "publisher", "publisher", args)
	<-p.ended
	return p.out.String()
}

func (s *system) subscriber() *process {
	s.Helper()
	p := s.start("subscriber", "", nil, "OBSERVE_SUBSCRIBE=1")
	p.says("subscribing")
	return p
}

// start starts a program, or this binary if program is empty. The program's spans go to the
// receiver under a name.
func (s *system) start(name, program string, args []string, env ...string) *process {
	s.Helper()
	return s.startReading(nil, name, program, args, env...)
}

func (s *system) startReading(stdin io.Reader, name, program string, args []string, env ...string) *process {
	s.Helper()
	path, err := os.Executable()
	require.NoError(s, err)
	if program != "" {
		dir, err := programs()
		require.NoError(s, err)
		path = filepath.Join(dir, program)
	}
	p := &process{T: s.T, name: name, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.out.wrote = make(chan struct{})
	p.cmd.Env = slices.Concat([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, s.env, s.receiver.env(name), env)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, &p.out, &p.out
	require.NoError(s, p.cmd.Start())
	go func() { _ = p.cmd.Wait(); close(p.ended) }()
	s.Cleanup(func() {
		p.kill()
		if s.Failed() {
			s.Logf("%s said:\n%s", name, p.out.String())
		}
	})
	return p
}

// process is a program that runs.
type process struct {
	*testing.T
	name  string
	cmd   *exec.Cmd
	out   output
	ended chan struct{}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// says waits until the process has written a text, and returns the rest of the line.
func (p *process) says(text string) (rest string) {
	p.Helper()
	late := time.After(patience)
	for {
		said, wrote := p.out.read()
		if _, after, found := strings.Cut(said, text); found {
			if line, _, whole := strings.Cut(after, "\n"); whole {
				return line
			}
		}
		select {
		case <-wrote:
		case <-p.ended:
			p.Fatalf("%s ended without saying %q", p.name, text)
		case <-late:
			p.Fatalf("%s does not say %q", p.name, text)
		}
	}
}

// output is the output of a process.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{} // closed and replaced at every write
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.wrote)
	o.wrote = make(chan struct{})
	return o.text.Write(b)
}

func (o *output) read() (said string, wrote <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.wrote
}

func (o *output) String() string {
	said, _ := o.read()
	return said
}

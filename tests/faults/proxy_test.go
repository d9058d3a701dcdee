package faults

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxy is the wire from one worker to one server, which can be cut, held and slowed down.
type proxy struct {
	listener net.Listener

	mu      sync.Mutex
	target  string
	links   map[net.Conn]struct{}
	refuses bool
	delay   [2]time.Duration
	gates   [2]chan struct{} // closed while bytes pass
}

// The two directions of a wire.
const (
	toServer = iota
	toWorker
)

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{target: target, listener: listener, links: map[net.Conn]struct{}{}}
	for i := range p.gates {
		p.gates[i] = make(chan struct{})
		close(p.gates[i])
	}
	go p.accept()
	t.Cleanup(func() { _ = listener.Close(); p.cut(); p.heal() })
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		worker, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.serve(worker)
	}
}

func (p *proxy) serve(worker net.Conn) {
	defer func() { _ = worker.Close() }()
	if !p.add(worker) {
		return
	}
	defer p.remove(worker)
	server, err := net.Dial("tcp", p.leads())
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var both sync.WaitGroup
	both.Go(func() { p.pipe(server, worker, toServer) })
	both.Go(func() { p.pipe(worker, server, toWorker) })
	both.Wait()
}

func (p *proxy) pipe(to, from net.Conn, direction int) {
	defer func() { _ = to.Close(); _ = from.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.pass(direction)
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// pass waits while the direction is held, and for the delay.
func (p *proxy) pass(direction int) {
	p.mu.Lock()
	gate, delay := p.gates[direction], p.delay[direction]
	p.mu.Unlock()
	<-gate
	if delay > 0 {
		<-time.After(delay)
	}
}

func (p *proxy) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.refuses {
		p.links[c] = struct{}{}
	}
	return !p.refuses
}

func (p *proxy) remove(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, c)
}

// cut breaks all connections and refuses new ones.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = true
	for c := range p.links {
		_ = c.Close()
	}
}

// hold keeps back the data of the given directions without breaking connections, like a network
// that loses packets.
func (p *proxy) hold(directions ...int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range directions {
		select {
		case <-p.gates[d]:
			p.gates[d] = make(chan struct{})
		default:
		}
	}
}

// slow delays every packet in the directions.
func (p *proxy) slow(by time.Duration, directions ...int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range directions {
		p.delay[d] = by
	}
}

// point makes new connections go to another server.
func (p *proxy) point(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

func (p *proxy) leads() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

// heal repairs the wire, and lets through the data that were held.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses, p.delay = false, [2]time.Duration{}
	for _, gate := range p.gates {
		select {
		case <-gate:
		default:
			close(gate)
		}
	}
}

// freePort finds a free port below those that systems give to outgoing connections.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.IntN(22_000)
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
	t.Fatal("no free port on 127.0.0.1")
	return 0
}

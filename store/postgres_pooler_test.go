package store_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/store"
)

// scriptedPooler passes all messages on between clients and a server, until the test tells it to
// answer something else.
type scriptedPooler struct {
	listener net.Listener
	server   string

	mu     sync.Mutex
	answer []pgproto3.BackendMessage // replaces the next answer
}

func newScriptedPooler(t *testing.T, server string) *scriptedPooler {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &scriptedPooler{listener: listener, server: server}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { p.pass(client) })
		}
	})
	t.Cleanup(group.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	return p
}

// say sets the answer to the next exchange. If the answer does not end with ReadyForQuery, the
// connection ends after it.
func (p *scriptedPooler) say(answer ...pgproto3.BackendMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *scriptedPooler) next() (answer []byte, last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answer == nil {
		return nil, false
	}
	for _, message := range p.answer {
		answer, _ = message.Encode(answer)
	}
	_, ready := p.answer[len(p.answer)-1].(*pgproto3.ReadyForQuery)
	p.answer = nil
	return answer, !ready
}

func (p *scriptedPooler) pass(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(client, server) })
	p.copy(server, client)
	_ = server.Close()
	back.Wait()
}

// copy passes on the client's messages, or sends the answer that is set.
func (p *scriptedPooler) copy(server io.Writer, client net.Conn) {
	buffer := make([]byte, 1<<20)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if answer, last := p.next(); answer != nil {
			_, _ = client.Write(answer)
			if last {
				_ = client.Close()
				return
			}
			continue
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func said(severity, state, text string) *pgproto3.ErrorResponse {
	return &pgproto3.ErrorResponse{Severity: severity, SeverityUnlocalized: severity, Code: state, Message: text}
}

// Errors of a pooler, or of a server that ends a session, are faults of the moment. They do not
// mean that somebody's data is bad.
func TestWhatAPoolerSaysPasses(t *testing.T) {
	t.Parallel()
	direct := localpg.Database(t)
	at, err := url.Parse(direct)
	require.NoError(t, err)
	p := newScriptedPooler(t, at.Host)
	at.Host = p.listener.Addr().String()
	pool := localpg.Pool(t, at.String())
	s := open(t, pool, store.Options{})
	ready := &pgproto3.ReadyForQuery{TxStatus: 'I'}
	for name, answer := range map[string][]pgproto3.BackendMessage{
		"query_wait_timeout":      {said("FATAL", "08P01", "query_wait_timeout")},
		"server conn crashed":     {said("FATAL", "08P01", "server conn crashed?")},
		"no more connections":     {said("FATAL", "08P01", "no more connections allowed (max_client_conn)")},
		"an error, and it stays":  {said("ERROR", "08P01", "bouncer config error"), ready},
		"all servers are down":    {said("ERROR", "58000", "all servers down"), ready},
		"admin shutdown":          {said("FATAL", "57P01", "terminating connection due to administrator command")},
		"crash shutdown":          {said("FATAL", "57P02", "terminating connection because of crash of another server process")},
		"the database is dropped": {said("FATAL", "57P04", "the database was dropped")},
		"a warning, then nothing": {&pgproto3.NoticeResponse{Severity: "WARNING", Message: "going"}},
	} {
		require.NoError(t, s.Commit(t.Context(), &store.Commit{}), "a connection that is made") // it moves nothing
		p.say(answer...)
		err := s.Commit(t.Context(), commitOf())
		require.Error(t, err, name)
		require.True(t, store.Judge(err).Passes(), "%s: %v", name, err)
		require.NotErrorAs(t, err, new(*store.DataError), name)
		require.NoError(t, s.Commit(t.Context(), &store.Commit{}), "%s: nothing was committed", name)
	}
}

// A connection that takes no writes, or that has forgotten its prepared statements, is closed. The
// next try uses another one.
func TestAConnectionWithSomethingWrongIsClosed(t *testing.T) {
	t.Parallel()
	pool := newPool(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	s := open(t, pool, store.Options{})
	require.NoError(t, s.Commit(t.Context(), &store.Commit{}))
	for _, sql := range []string{`set default_transaction_read_only = on`, `deallocate all`} {
		_, err := s.Work().Exec(t.Context(), sql)
		require.NoError(t, err)
		err = s.Commit(t.Context(), &store.Commit{})
		require.Equal(t, store.Evict, store.Judge(err), "%s: %v", sql, err)
		require.NoError(t, s.Commit(t.Context(), &store.Commit{}), sql)
	}
}

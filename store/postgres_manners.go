package store

import (
	"regexp"
	"slices"
	"sync"
)

// Queued SQL shares a transaction with the commits of others, in a session that others use next.
// Only statements that neither end the transaction nor leave anything in the session may do so.
// All other statements run step by step in a transaction of their own, after which the session is
// reset. These are commands such as "set", "listen" and "create", code ("do", "call"), and queries
// with calls that change a session. This check cannot see what the functions do that a statement
// calls.

// leavesSomething matches a query that may leave something behind after its transaction: settings,
// locks of the session, temporary tables.
var leavesSomething = regexp.MustCompile(`(?i)\bset_config\b|\bpg_settings\b|\bpg_(try_)?advisory_lock|\binto\s+temp(orary)?\s`)

// goesAlong tells whether a statement may share the transaction and the session with others.
func goesAlong(sql string) bool {
	switch firstWord(sql) {
	case "insert", "update", "delete", "merge", "with", "select", "values", "table", "truncate", "lock", "notify":
		return !leavesSomething.MatchString(sql)
	}
	return false
}

// maxManners is how many texts are remembered.
const maxManners = 4096

// manners remembers, by text, which statements may share.
type manners struct {
	mu    sync.RWMutex
	known map[string]bool
}

func (m *manners) goesAlong(sql string) bool {
	m.mu.RLock()
	goes, known := m.known[sql]
	m.mu.RUnlock()
	if known {
		return goes
	}
	goes = goesAlong(sql)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) == maxManners { // a projection puts values into the text
		m.known = map[string]bool{}
	}
	m.known[sql] = goes
	return goes
}

// allGoAlong tells whether all statements may share a transaction and session with others.
func (m *manners) allGoAlong(statements []Statement) bool {
	return !slices.ContainsFunc(statements, func(s Statement) bool { return !m.goesAlong(s.Query.SQL) })
}

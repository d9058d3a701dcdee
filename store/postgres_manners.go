package store

import (
	"regexp"
	"slices"
	"sync"
)

// Queued SQL goes along with commits of others, in a session that others have next. So only those
// statements do that neither end the transaction nor leave anything in the session. All others get
// a transaction of their own, step by step, after which the session is made as a fresh one:
// commands such as "set", "listen" and "create", code ("do", "call"), and queries that call what
// changes a session. What functions do that a statement calls cannot be seen from here.

// leavesSomething finds in a query what outlives its transaction: settings, locks of the session,
// temporary tables.
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

// manners remember which statements go along, by their text.
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
	if m.known == nil || len(m.known) == maxManners { // somebody puts values into the text
		m.known = map[string]bool{}
	}
	m.known[sql] = goes
	return goes
}

// allGoAlong tells whether statements may go along with their commit.
func (m *manners) allGoAlong(statements []Statement) bool {
	return !slices.ContainsFunc(statements, func(s Statement) bool { return !m.goesAlong(s.Query.SQL) })
}

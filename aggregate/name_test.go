package aggregate_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/aggregate"
)

var (
	nameRule = regexp.MustCompile(`\A[a-z][a-z0-9_]{0,63}\z`)
	idRule   = regexp.MustCompile(`\A[A-Za-z0-9_~:=+@-]{1,128}\z`)
)

func FuzzCheckName(f *testing.F) {
	for _, name := range []string{"", "a", "counter_2", "2a", "_a", "A", "a.b", "a b", "a>", "ä", "a\n", "\xff",
		strings.Repeat("a", 64), strings.Repeat("a", 65)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		checkAgainst(t, nameRule, name, aggregate.CheckName("event", name))
	})
}

func FuzzCheckID(f *testing.F) {
	for _, id := range []string{"", "42", "a.b", "a b", "*", ">", "A~:=+@-_", "ä", "1\n", "\x00", "\xff",
		strings.Repeat("9", 128), strings.Repeat("9", 129)} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		checkAgainst(t, idRule, id, aggregate.CheckID(id))
	})
}

// checkAgainst compares a check with its documented rule. It also checks that the error is short
// enough for an answer.
func checkAgainst(t *testing.T, rule *regexp.Regexp, s string, err error) {
	require.Equal(t, rule.MatchString(s), err == nil, "%q: %v", s, err)
	if err != nil {
		require.Less(t, len(err.Error()), 600)
	}
}

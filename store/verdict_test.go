package store

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// classes are all classes of SQLSTATE in Postgres's documentation, appendix A, and our own class.
const classes = "00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44 53 54 55 57 58 72 F0 HV P0 XX ME"

func TestEveryClassOfSQLSTATEHasAVerdict(t *testing.T) {
	t.Parallel()
	for class := range strings.FieldsSeq(classes) {
		require.Contains(t, ownStates, class)
		require.Contains(t, userStates, class)
	}
	for _, table := range []map[string]Verdict{ownStates, userStates} {
		for state := range table {
			require.True(t, len(state) < 2 || strings.Contains(classes, state[:2]), state)
		}
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for class := range strings.FieldsSeq(classes) {
		state := class + "0ZZ"
		require.NotContains(t, []Verdict{Refuse, Repair, Slow, Stop}, judge(OwnSQL, state, Alive), "own SQL refuses nobody: %s", class)
		require.NotContains(t, []Verdict{Halve, Stop}, judge(UserSQL, state, Alive), "somebody's SQL ends no lane: %s", class)
		require.Equal(t, Refuse, judge(UserCode, state, Alive), class)
		for _, from := range []Origin{OwnSQL, UserSQL, UserCode, Connection} {
			require.Equal(t, Wait, judge(from, state, Lost), "%s %s", from, class)
		}
		require.Equal(t, Wait, judge(Connection, state, Alive), class)
		require.Equal(t, Wait, judge(OwnSQL, state, Expired), class)
		require.Equal(t, Slow, judge(UserSQL, state, Expired), class)
		require.Equal(t, Slow, judge(UserCode, state, Expired), class)
	}
	for _, c := range []struct {
		state     string
		own, user Verdict
	}{
		{"", Halve, Refuse}, {"QQ123", Wait, Refuse}, {"1", Wait, Refuse},
		{"08P01", Evict, Repair}, {"25006", Evict, Refuse}, {"25P02", Evict, Refuse}, {"26000", Evict, Evict}, {"0A000", Evict, Repair},
		{"22021", Halve, Refuse}, {"23505", Halve, Refuse}, {"54000", Halve, Refuse}, {"P0001", Halve, Refuse},
		{"40P01", Wait, Wait}, {"40001", Wait, Wait}, {"55P03", Wait, Wait}, {"55006", Wait, Wait}, {"55000", Wait, Repair},
		{"42P01", Wait, Repair}, {"42501", Evict, Repair}, {"42703", Wait, Repair}, {"42883", Wait, Repair}, {"42601", Wait, Refuse},
		{"53100", Wait, Repair}, {"57014", Evict, Slow}, {"57P01", Wait, Repair}, {"58P01", Wait, Repair},
		{"XX000", Wait, Refuse}, {"XX001", Wait, Repair},
		{"ME001", Stop, Refuse}, {"ME002", Wait, Refuse}, {"ME003", Wait, Refuse},
	} {
		require.Equal(t, c.own, judge(OwnSQL, c.state, Alive), c.state)
		require.Equal(t, c.user, judge(UserSQL, c.state, Alive), c.state)
	}
}

func TestVerdictsSayWhetherTheSameMaySucceedLater(t *testing.T) {
	t.Parallel()
	passes := map[Verdict]bool{Wait: true, Evict: true, Repair: true, Slow: true}
	for v := Wait; v <= Stop; v++ {
		require.Equal(t, passes[v], v.Passes(), v)
		require.NotEmpty(t, v.String())
	}
}

package maestro

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A worker is ready as soon as it can be. After that, a change counts only when it has lasted.
func TestReadinessChangesWhenItHasLasted(t *testing.T) {
	t.Parallel()
	var r readiness
	trouble, another := errors.New("trouble"), errors.New("another")
	start := time.Now()
	for _, step := range []struct {
		after float64
		found error
		want  error
	}{
		{0, trouble, trouble},
		{0.1, another, another},
		{0.2, nil, nil}, // the first time
		{1.0, trouble, nil},
		{2.9, trouble, nil},
		{3.0, nil, nil}, // the trouble was brief
		{3.1, trouble, nil},
		{4.0, another, nil},
		{5.2, another, another},
		{5.3, trouble, trouble},
		{6.0, nil, trouble},
		{7.0, trouble, trouble},
		{7.1, nil, trouble},
		{9.0, nil, trouble},
		{9.2, nil, nil},
	} {
		r.note(start.Add(time.Duration(step.after*float64(time.Second))), step.found)
		require.Equal(t, step.want, r.get(), "after %v s", step.after)
	}
}

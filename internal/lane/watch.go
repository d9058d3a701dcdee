package lane

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// String describes in a line what a lane is doing.
func (d Doing) String() string {
	if d.Step == Idle {
		return "idle"
	}
	var s strings.Builder
	s.WriteString(string(d.Step))
	if d.Command != "" {
		s.WriteString(" command " + d.Command)
	}
	if d.Aggregate.Type != "" {
		s.WriteString(" of " + d.Aggregate.Type + " " + d.Aggregate.ID)
	}
	if d.Projection != "" {
		s.WriteString(" in projection " + d.Projection)
	}
	fmt.Fprintf(&s, " since %s", d.Since.UTC().Format(time.RFC3339))
	if d.Attempts > 0 {
		fmt.Fprintf(&s, ", %d attempts failed: %s", d.Attempts, d.Problem)
	}
	return s.String()
}

// inUserCode tells whether the lane waits for the user's code to return.
func (d Doing) inUserCode() bool { return d.Step == Deciding || d.Step == Projecting }

// watch logs handlers that do not return, until stop is called. It has its own goroutine, because a
// lane that waits for a handler cannot log.
func (l *Lane) watch() (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(l.Budgets.Silence / 4)
		defer tick.Stop()
		named := time.Time{} // when the last line was written
		for {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			d := l.doing.get()
			if d.inUserCode() && time.Since(d.Since) > l.Budgets.Silence && time.Since(named) > 3*l.Budgets.Silence {
				named = time.Now()
				l.nameSilent(d)
			}
		}
	}()
	return func() { close(end); <-ended }
}

func (l *Lane) nameSilent(d Doing) {
	attributes := []any{slog.Int("partition", l.partition), slog.String("aggregate", d.Aggregate.Type), slog.String("id", d.Aggregate.ID)}
	if d.Command != "" {
		attributes = append(attributes, slog.String("command", d.Command))
	}
	if d.Projection != "" {
		attributes = append(attributes, slog.String("projection", d.Projection))
	}
	l.Logger.Error("a handler does not come back, its partition stands still", append(attributes, slog.Time("since", d.Since))...)
}

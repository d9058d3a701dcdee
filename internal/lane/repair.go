package lane

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/maestro-es/maestro/store"
)

// A missing table or privilege has one of two causes. If a person has changed the database, all
// commands of a projection fail, and they wait until the database is repaired. If the projection
// works for other commands meanwhile, the single command is at fault: for instance, the projection
// takes the name of a table from the command.

// Worked tells the lanes of a worker when any of them last made a commit with a given projection.
type Worked struct{ last sync.Map } // from the projection's name to a span

// span is when a commit began and when it was made.
type span struct{ began, ended time.Time }

// note records that a commit was made with its projections.
func (w *Worked) note(c *store.Commit, began time.Time) {
	if len(c.Statements)+len(c.Handlers) == 0 {
		return
	}
	made := span{began, time.Now()}
	var before *store.ReadModel
	for _, s := range c.Statements {
		if s.Model != before {
			w.last.Store(s.Model.Name, made)
			before = s.Model
		}
	}
	for _, h := range c.Handlers {
		w.last.Store(h.Model.Name, made)
	}
}

// between tells whether a commit with a projection was begun and made between two moments.
func (w *Worked) between(projection string, from, to time.Time) bool {
	made, known := w.last.Load(projection)
	return known && made.(span).began.After(from) && made.(span).ended.Before(to)
}

// repair is a command whose projection cannot work, since when, and whether that was logged.
type repair struct {
	command *Command
	since   time.Time
	said    bool
}

// mendRepair deals with a projection that cannot work as the database is, and tells whether the
// next try may come at once. The tasks before the command are committed first, because their commit
// may show that the projection works for others. began is when the attempt began.
func (l *Lane) mendRepair(err error, of *projectionError, tasks []task, began time.Time) bool {
	if of == nil || of.task == severalTasks {
		if len(tasks) > 1 {
			l.window = len(tasks) / 2
			return true
		}
		if of == nil || tasks[0].command == nil {
			return false
		}
	}
	culprit := max(of.task, 0)
	command := tasks[culprit].command
	if l.repair.command != command {
		l.repair = repair{command: command, since: began}
	}
	switch {
	case culprit > 0:
		l.window = culprit
		return true
	case l.Worked.between(of.projection, l.repair.since, began):
		command.Refusal, l.repair = refusalOf(err), repair{}
		l.window = 1
		return true
	case !l.repair.said:
		l.repair.said = true
		l.logRepair(err)
	}
	l.window = 1
	return false
}

func (l *Lane) logRepair(err error) {
	l.Logger.Log(context.Background(), slog.LevelError, "commands wait for a projection that cannot work as the database is: "+
		"repair what the error names", "partition", l.at.Number, "error", err)
}

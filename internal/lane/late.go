package lane

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/maestro-es/maestro/store"
)

// isLate tells whether an exchange with the store took longer than it may, by our clock or by Postgres's.
func isLate(err error) bool {
	const queryCanceled = "57014"
	server, is := errors.AsType[*pgconn.PgError](err)
	return is && server.Code == queryCanceled || errors.Is(err, context.DeadlineExceeded)
}

// lateProjection is the failure of a projection that took longer than it may, if that is what an attempt has failed by.
func lateProjection(err error) (late *projectionError, is bool) {
	late, is = errors.AsType[*projectionError](err)
	return late, is && verdictOf(err) == store.Slow
}

// mendLate makes the next batch smaller where projections took too long, and tells whether they did. What alone takes too long is held,
// while others go on.
func (l *Lane) mendLate(err error, tasks []task) bool {
	late, is := lateProjection(err)
	switch {
	case !is:
	case late.task > 0:
		l.window = max(1, late.task/2) // what comes before it is in time, and half of that is soon done
	case late.task == severalTasks && len(tasks) > 1:
		l.window = len(tasks) / 2
	default:
		l.hold(tasks[0].key(), true, err)
	}
	return is
}

package lane

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/maestro-es/maestro/store"
)

// queryCanceled is the SQLSTATE of a statement that a time-out in Postgres, or a person, has
// cancelled.
const queryCanceled = "57014"

// isLate tells whether an exchange with the store exceeded its time, by our clock or by Postgres's.
func isLate(err error) bool {
	if fault, is := errors.AsType[*store.Fault](err); is {
		return fault.Condition == store.Expired || fault.Condition == store.Alive && fault.Origin == store.OwnSQL && isCanceled(fault.Err)
	}
	return errors.Is(err, context.DeadlineExceeded)
}

// isCanceled tells whether Postgres has ended a statement.
func isCanceled(err error) bool {
	server, is := errors.AsType[*pgconn.PgError](err)
	return is && server.Code == queryCanceled
}

package repository

import (
	"context"
	"fmt"

	"github.com/maestro-es/maestro/internal/engine"
	"github.com/maestro-es/maestro/store"
)

// ProjectionsError says that others keep read models in the transactions of their commits, and that
// a repository was not given these. Its events would be missing there.
type ProjectionsError struct {
	// Missing are the read models, each in its newest version.
	Missing []store.ReadModel
	// Namespace is where they are kept.
	Namespace string
}

func (e *ProjectionsError) Error() string {
	return fmt.Sprintf("workers of namespace %[1]q keep %[2]s in the transactions of their commits, and the repository's events would be "+
		"missing there: give them in repository.Config.Projections. Where nobody keeps one any more, delete its rows from the table "+
		"%[1]s.projections", e.Namespace, engine.Names(e.Missing))
}

// checkKept refuses to work beside read models that the repository was not given. An owner sets its
// own up before it acquires a partition, which ends the repository's lane there; the next lane
// begins with this check, so it misses none.
func (r *Repository[S]) checkKept(ctx context.Context) error {
	log, is := r.store.(*store.Postgres)
	if !is {
		return nil
	}
	without, err := engine.Missing(ctx, log, r.config)
	if err != nil {
		return err
	}
	if len(without) > 0 {
		return &ProjectionsError{Missing: without, Namespace: log.Namespace()}
	}
	return nil
}

package repository

import (
	"context"
	"fmt"

	"github.com/maestro-es/maestro/internal/engine"
	"github.com/maestro-es/maestro/store"
)

// ProjectionsError says that workers keep read models in the transactions of their commits, and
// that the repository was not given these read models. The repository's events would be missing
// there.
type ProjectionsError struct {
	// Missing are the read models, each in its newest version.
	Missing []store.ReadModel
	// Namespace is the namespace that keeps them.
	Namespace string
}

func (e *ProjectionsError) Error() string {
	return fmt.Sprintf("workers of namespace %[1]q keep %[2]s in the transactions of their commits, and the repository's events would be "+
		"missing there: give them in repository.Config.Projections. Where nobody keeps one any more, delete its rows from the table "+
		"%[1]s.projections", e.Namespace, engine.Names(e.Missing))
}

// checkKept returns an error if the database has read models that the repository was not given. It
// misses none: an owner sets up its read models before it acquires a partition, acquiring ends the
// repository's lane there, and the next lane begins with this check.
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

package maestro

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/projections"
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
		"missing there: give them in RepositoryConfig.Projections. Where nobody keeps one any more, delete its rows from the table "+
		"%[1]s.projections", e.Namespace, names(e.Missing))
}

// names lists projections for people.
func names(models []store.ReadModel) string {
	all := make([]string, len(models))
	for i, m := range models {
		all[i] = fmt.Sprintf("projection %q, version %d", m.Name, m.Version)
	}
	return strings.Join(all, ", ")
}

// missing are those of the read models that take events of the aggregate types, and are not given.
func missing(kept []store.ReadModel, given []lane.Projection, takes func(aggregateType string) bool) []store.ReadModel {
	return slices.DeleteFunc(kept, func(m store.ReadModel) bool {
		return !slices.ContainsFunc(m.Aggregates, takes) || slices.ContainsFunc(given, func(p lane.Projection) bool {
			return p.Name() == m.Name && p.Model().Version == m.Version
		})
	})
}

// warnOfOthers says which read models other workers keep and this one does not.
func warnOfOthers(ctx context.Context, log *store.Postgres, c lane.Config, logger *slog.Logger) error {
	kept, err := log.ReadModels(ctx)
	if err != nil {
		return err
	}
	others := missing(kept, c.Projections, func(name string) bool { return c.Types[name] != nil })
	if len(others) > 0 {
		logger.Warn("read models were set up that this program does not keep in this version: what it commits will be missing there, unless "+
			"nobody keeps them any more", "projections", names(others))
	}
	return nil
}

// setUp prepares the read models.
func setUp(ctx context.Context, log *store.Postgres, all []*projections.Projection) error {
	for _, p := range all {
		err := p.Err()
		if err == nil {
			err = log.Setup(ctx, p.Model())
		}
		if err != nil {
			return fmt.Errorf("set up projection %q: %w", p.Name(), err)
		}
	}
	return nil
}

// checkKept refuses to work beside read models that the repository was not given. An owner sets its
// own up before it acquires a partition, which ends the repository's lane there; the next lane
// begins with this check, so it misses none.
func (r *Repository[S]) checkKept(ctx context.Context) error {
	log, is := r.store.(*store.Postgres)
	if !is {
		return nil
	}
	kept, err := log.ReadModels(ctx)
	if err != nil {
		return err
	}
	if without := missing(kept, r.config.Projections, func(name string) bool { return name == r.definition.Name() }); len(without) > 0 {
		return &ProjectionsError{Missing: without, Namespace: log.Namespace()}
	}
	return nil
}

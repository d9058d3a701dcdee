package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/projections"
	"github.com/maestro-es/maestro/store"
)

// SetUp prepares the read models in the log's database.
func SetUp(ctx context.Context, log *store.Postgres, all []*projections.Projection) error {
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

// Missing returns the read models that are set up in the log's database and take events of the
// lanes' aggregate types, but that the lanes do not keep in the same version.
func Missing(ctx context.Context, log *store.Postgres, lanes lane.Config) ([]store.ReadModel, error) {
	kept, err := log.ReadModels(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(kept, func(m store.ReadModel) bool {
		takes := slices.ContainsFunc(m.Aggregates, func(name string) bool { return lanes.Types[name] != nil })
		return !takes || slices.ContainsFunc(lanes.Projections, func(p lane.Projection) bool {
			return p.Name() == m.Name && p.Model().Version == m.Version
		})
	}), nil
}

// Names lists read models for people.
func Names(models []store.ReadModel) string {
	all := make([]string, len(models))
	for i, m := range models {
		all[i] = fmt.Sprintf("projection %q, version %d", m.Name, m.Version)
	}
	return strings.Join(all, ", ")
}

package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// settings are what a namespace was created with, its schema's version, and what is under way that
// keeps workers out.
type settings struct {
	version, leastProgram       int
	partitions, eventPartitions int
	maintenance                 string // "" if nothing is
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// readSettings returns the zero value for a namespace that does not exist.
func readSettings(ctx context.Context, db querier, namespace string) (found settings, err error) {
	err = db.QueryRow(ctx, `select version, least_program, partitions, event_partitions, maintenance from `+
		versionTable(namespace)+`, `+pgx.Identifier{namespace, "settings"}.Sanitize(),
	).Scan(&found.version, &found.leastProgram, &found.partitions, &found.eventPartitions, &found.maintenance)
	var missing *pgconn.PgError
	if errors.As(err, &missing) && missing.Code == codeUndefinedTable {
		return settings{}, nil
	}
	if err != nil {
		return settings{}, fmt.Errorf("read the settings of namespace %q: %w", namespace, own(err))
	}
	return found, nil
}

// usable tells whether the namespace is what the options ask for, and whole.
func (found settings) usable(o Options) error {
	if err := found.check(o); err != nil || found.maintenance == "" {
		return err
	}
	return found.unfinished(o.Namespace)
}

// check tells whether the namespace is what the options ask for, and one that this program can use.
// A newer schema is, if its last step says so.
func (found settings) check(o Options) error {
	switch known := len(o.schema()); {
	case found.leastProgram > known:
		return &SchemaError{Namespace: o.Namespace, Version: found.version, LeastProgram: found.leastProgram, Known: known}
	case o.Partitions != 0 && o.Partitions != found.partitions:
		return &PartitionsError{Namespace: o.Namespace, Found: found.partitions, Requested: o.Partitions}
	case o.EventPartitions != 0 && o.EventPartitions != found.eventPartitions:
		return fmt.Errorf("namespace %q has %d event partitions, not %d: the number is fixed when a namespace is created; "+
			"leave it out, or choose another namespace", o.Namespace, found.eventPartitions, o.EventPartitions)
	}
	return nil
}

package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// settings are the numbers that a namespace was created with, the version of its schema, and the
// maintenance that keeps workers out.
type settings struct {
	version, leastProgram       int
	partitions, eventPartitions int
	maintenance                 string // "" for none
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// readSettings returns the settings of a namespace, or the zero value if the namespace does not
// exist.
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

// usable returns an error if the namespace does not match the options or is under maintenance.
func (found settings) usable(o Options) error {
	if err := found.check(o); err != nil || found.maintenance == "" {
		return err
	}
	return found.unfinished(o.Namespace)
}

// check returns an error if the namespace does not match the options, or if this program cannot
// use its schema. A newer schema can be used if its last step allows that.
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

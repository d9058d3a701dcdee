package workercmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/maestro-es/maestro/internal/engine"
	"github.com/maestro-es/maestro/store"
)

// migrateCommand is `worker migrate`.
type migrateCommand struct {
	database
	EventPartitions int  `env:"MAESTRO_EVENT_PARTITIONS" placeholder:"N" help:"Divide the big tables of a new namespace into N by hash, for logs of hundreds of millions of events. 0 for plain tables."`
	Print           bool `env:"MAESTRO_MIGRATE_PRINT" help:"Print the SQL and change nothing."`
}

// Help is shown by --help below the usage.
func (*migrateCommand) Help() string {
	return `A worker migrates at its start, and prepares its read models; this command does it beforehand, or shows what would be done.

Examples:
  worker migrate --database-url postgres://maestro@db/orders
  worker migrate --event-partitions 16 --partitions 256 --database-url postgres://maestro@db/orders
  worker migrate --print > schema.sql`
}

// Run migrates.
func (m *migrateCommand) Run(ctx context.Context, p *Program) error {
	options := m.options()
	options.EventPartitions = m.EventPartitions
	if m.Print {
		sql, err := store.MigrationSQL(options)
		if err != nil {
			return err
		}
		fmt.Print(sql)
		return nil
	}
	if m.DatabaseURL == memoryURL {
		return errors.New("the in-memory store has nothing to migrate")
	}
	pool, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	log, err := store.Open(ctx, pool, options)
	if err != nil {
		return err
	}
	defer log.Close()
	if err := engine.SetUp(ctx, log, p.Projections); err != nil {
		return err
	}
	fmt.Printf("schema %q is up to date, with %d partitions and %d read models\n", m.Namespace, log.Partitions(), len(p.Projections))
	return nil
}

package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/tern/v2/migrate"
)

//go:embed migrations/*.sql
var embedded embed.FS

// migrations are the steps, latest is the number of the last.
var migrations, latest = func() (fs.FS, int) {
	steps, err := fs.Sub(embedded, "migrations")
	if err != nil {
		panic(err)
	}
	names, err := migrate.FindMigrations(steps)
	if err != nil {
		panic(err)
	}
	return steps, len(names)
}()

// Migrate creates a namespace or brings it up to date. Many may do so at the same moment. It takes a session of its own,
// which locks; a connection pooler in transaction mode (PgBouncer) has to be bypassed for it. The role needs to create
// the schema, or to own it where it exists.
func Migrate(ctx context.Context, pool *pgxpool.Pool, o Options) error {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return err
	}
	pooled, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("migrate namespace %q: %w", o.Namespace, own(err))
	}
	conn := pooled.Hijack() // tern resets the session's settings, and the lock ends with the session
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := migrateWith(ctx, conn, o); err != nil {
		return fmt.Errorf("migrate namespace %q: %w", o.Namespace, own(err))
	}
	found, err := readSettings(ctx, conn, o.Namespace)
	if err != nil {
		return err
	}
	return found.check(o)
}

func migrateWith(ctx context.Context, conn *pgx.Conn, o Options) error {
	if _, err := conn.Exec(ctx, `select pg_catalog.pg_advisory_lock(
		pg_catalog.hashtextextended('maestro:' || $1::text, 0::bigint))`, o.Namespace); err != nil {
		return err
	}
	if err := createSchema(ctx, conn, o.Namespace); err != nil {
		return err
	}
	for _, name := range []string{"pg_advisory_lock", "pg_advisory_unlock"} { // tern's own calls name no schema
		if _, err := conn.Prepare(ctx, "select "+name+"($1)", "select pg_catalog."+name+"($1)"); err != nil {
			return err
		}
	}
	migrator, err := newMigrator(ctx, conn, o)
	if err != nil {
		return err
	}
	version, err := migrator.GetCurrentVersion(ctx)
	if err != nil {
		return err
	}
	if int(version) > latest {
		return nil // readSettings and check say what is wrong
	}
	return migrator.Migrate(ctx)
}

// createSchema leaves an existing one alone: a role that may not create schemas can use one that was made for it.
func createSchema(ctx context.Context, conn *pgx.Conn, namespace string) error {
	var comment string
	err := conn.QueryRow(ctx, `select coalesce(pg_catalog.obj_description(oid, 'pg_namespace'), '') from pg_catalog.pg_namespace
		where nspname = $1`,
		namespace).Scan(&comment)
	switch {
	case err == nil && strings.HasPrefix(comment, ourComment):
		return fmt.Errorf("schema %q belongs to a read model (%s): choose another namespace", namespace, comment)
	case !errors.Is(err, pgx.ErrNoRows):
		return err
	}
	_, err = conn.Exec(ctx, `create schema `+pgx.Identifier{namespace}.Sanitize())
	return err
}

// newMigrator reads the migrations for a namespace. It needs no connection just to look at them.
func newMigrator(ctx context.Context, conn *pgx.Conn, o Options) (*migrate.Migrator, error) {
	if o.Partitions == 0 {
		o.Partitions = defaultPartitions
	}
	migrator, err := migrate.NewMigrator(ctx, conn, versionTable(o.Namespace))
	if err != nil {
		return nil, err
	}
	partitionBy := ""
	if o.EventPartitions > 0 {
		partitionBy = " partition by hash (partition)"
	}
	migrator.Data = map[string]any{
		"schema":          pgx.Identifier{o.Namespace}.Sanitize(),
		"partitions":      o.Partitions,
		"eventPartitions": o.EventPartitions,
		"partitionBy":     partitionBy,
	}
	return migrator, migrator.LoadMigrations(migrations)
}

func versionTable(namespace string) string {
	return pgx.Identifier{namespace, "schema_version"}.Sanitize()
}

// MigrationSQL returns the SQL that creates a namespace from nothing, as one transaction, for those who want to read it
// or run it themselves.
func MigrationSQL(o Options) (string, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return "", err
	}
	migrator, err := newMigrator(context.Background(), nil, o)
	if err != nil {
		return "", err
	}
	version := versionTable(o.Namespace)
	var b strings.Builder
	fmt.Fprintf(&b, "begin;\n\ncreate schema if not exists %s;\n", pgx.Identifier{o.Namespace}.Sanitize())
	fmt.Fprintf(&b, "create table %s (version integer not null);\n", version)
	for _, m := range migrator.Migrations {
		fmt.Fprintf(&b, "\n-- %s\n\n%s\n", m.Name, m.UpSQL)
	}
	fmt.Fprintf(&b, "\ninsert into %s (version) values (%d);\n\ncommit;\n", version, len(migrator.Migrations))
	return b.String(), nil
}

// settings are what a namespace was created with, and what is under way that keeps workers out.
type settings struct {
	version, partitions, eventPartitions int
	maintenance                          string // "" if nothing is
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// readSettings returns the zero value for a namespace that does not exist.
func readSettings(ctx context.Context, db querier, namespace string) (found settings, err error) {
	err = db.QueryRow(ctx, `select version, partitions, event_partitions, maintenance from `+
		versionTable(namespace)+`, `+pgx.Identifier{namespace, "settings"}.Sanitize(),
	).Scan(&found.version, &found.partitions, &found.eventPartitions, &found.maintenance)
	var missing *pgconn.PgError
	if errors.As(err, &missing) && missing.Code == codeUndefinedTable {
		return settings{}, nil
	}
	if err != nil {
		return settings{}, fmt.Errorf("read the settings of namespace %q: %w", namespace, own(err))
	}
	return found, nil
}

// prepare reads the settings of a namespace, which it creates or brings up to date first where that is needed.
func prepare(ctx context.Context, pool *pgxpool.Pool, o Options) (settings, error) {
	found, err := readSettings(ctx, pool, o.Namespace)
	if err != nil || found.version >= latest {
		return found, err
	}
	if err := Migrate(ctx, pool, o); err != nil {
		return found, err
	}
	return readSettings(ctx, pool, o.Namespace)
}

// usable tells whether the namespace is what the options ask for, and whole.
func (found settings) usable(o Options) error {
	if err := found.check(o); err != nil || found.maintenance == "" {
		return err
	}
	return found.unfinished(o.Namespace)
}

// check tells whether the namespace is what the options ask for.
func (found settings) check(o Options) error {
	switch {
	case found.version > latest:
		return fmt.Errorf("namespace %q has version %d of the schema, this program knows 1 to %d: deploy a newer one",
			o.Namespace, found.version, latest)
	case o.Partitions != 0 && o.Partitions != found.partitions:
		return &PartitionsError{Namespace: o.Namespace, Found: found.partitions, Requested: o.Partitions}
	case o.EventPartitions != 0 && o.EventPartitions != found.eventPartitions:
		return fmt.Errorf("namespace %q has %d event partitions, not %d: the number is fixed when a namespace is created; "+
			"leave it out, or choose another namespace", o.Namespace, found.eventPartitions, o.EventPartitions)
	}
	return nil
}

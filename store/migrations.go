package store

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed migrations/*.sql
var embedded embed.FS

// steps lead from nothing to the newest schema. The first step makes version 1. Each further step
// adds 1.
type steps []step

type step struct {
	name string
	// version is the version of the schema after the step. From then on, a program that knows fewer
	// than least steps cannot use the schema.
	version, least int
	text           *template.Template
}

// migrations are the steps that this program knows.
var migrations = func() steps {
	files, err := fs.Sub(embedded, "migrations")
	if err == nil {
		var known steps
		if known, err = readSteps(files); err == nil {
			return known
		}
	}
	panic(err)
}()

// leastProgram matches the first line of each step.
var leastProgram = regexp.MustCompile(`^-- least program: (\d+)\n`)

// readSteps reads files named 001_create.sql, 002_... Each file begins with the line "-- least
// program: N".
func readSteps(files fs.FS) (all steps, err error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for i, name := range names {
		version := i + 1
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		if prefix := fmt.Sprintf("%03d_", version); !strings.HasPrefix(name, prefix) {
			return nil, fmt.Errorf("migration %s: expected a name that begins with %s", name, prefix)
		}
		match := leastProgram.FindSubmatch(text)
		if match == nil {
			return nil, fmt.Errorf(`migration %s: expected the first line "-- least program: N"`, name)
		}
		least, err := strconv.Atoi(string(match[1]))
		if err != nil || least < 1 || least > version {
			return nil, fmt.Errorf("migration %s: least program %s: expected 1 to %d", name, match[1], version)
		}
		parsed, err := template.New(name).Parse(string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, step{name: name, version: version, least: least, text: parsed})
	}
	return all, nil
}

// sql returns the step's SQL for a namespace that has, or will have, the settings found.
func (s step) sql(namespace string, found settings) (string, error) {
	partitionBy := ""
	if found.eventPartitions > 0 {
		partitionBy = " partition by hash (partition)"
	}
	var b strings.Builder
	err := s.text.Execute(&b, map[string]any{
		"schema":          pgx.Identifier{namespace}.Sanitize(),
		"partitions":      found.partitions,
		"eventPartitions": found.eventPartitions,
		"partitionBy":     partitionBy,
	})
	if err != nil {
		return "", fmt.Errorf("migration %s: %w", s.name, err)
	}
	fmt.Fprintf(&b, "\n;update %s set version = %d, least_program = %d;\n", versionTable(namespace), s.version, s.least)
	return b.String(), nil
}

func versionTable(namespace string) string {
	return pgx.Identifier{namespace, "schema_version"}.Sanitize()
}

// alone wraps a step in a transaction that only one program runs at a time, and only once. The
// whole transaction is one exchange. It therefore needs no session of its own, which a pooler
// would not give it, and a process that freezes meanwhile holds nobody up.
func alone(namespace string, before int, lockTimeout time.Duration, step string) string {
	return `set transaction isolation level read committed;
		select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), pg_catalog.set_config('statement_timeout', '0', true),
			pg_catalog.set_config('lock_timeout', '` + strconv.FormatInt(lockTimeout.Milliseconds(), 10) + `ms', true);
		` + do(`
		declare
			comment text;
			found integer := 0;
		begin
			if not pg_try_advisory_xact_lock(hashtextextended('maestro:' || $namespace, 0::bigint)) then
				raise exception 'another program migrates namespace "%"', $namespace using errcode = 'ME011';
			end if;
			select coalesce(obj_description(oid, 'pg_namespace'), '') into comment from pg_namespace where nspname = $namespace;
			if comment is null then
				execute format('create schema %I', $namespace);
			elsif starts_with(comment, $ours) then
				raise exception 'schema "%" belongs to a read model (%): choose another namespace', $namespace, comment using errcode = 'ME010';
			end if;
			if to_regclass($table) is not null then
				execute 'select version from ' || $table into found;
			end if;
			if found is distinct from $before::integer then
				raise exception 'namespace "%" has version % of the schema, not %', $namespace, found, $before using errcode = 'ME012';
			end if;
		end`, "$namespace", namespace, "$ours", ourComment, "$table", versionTable(namespace), "$before", strconv.Itoa(before)) + step
}

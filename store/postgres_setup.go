package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Setup prepares a read model, and records that the namespace keeps it. It creates the model's
// schema, runs the model's SQL there, and then makes a view for readers of each table and view in
// the schema. All of this is one transaction, which only one program runs at a time. Setup runs at
// each start, so the model's SQL must allow that: "create table if not exists".
//
// If a schema of that name exists and is not the model's own, Setup returns an error and leaves
// the schema as it is. If the role may not create schemas, the error says what a person with that
// privilege has to do.
//
// Even "create index if not exists" waits for everybody who writes to its table. A process that
// was frozen in the middle of its projections would hold it up forever. After a second, Setup
// therefore ends the sessions that are in the middle of a commit, as [Postgres.Acquire] does. If
// any other session holds the lock, Setup returns an error after half a minute.
func (s *Postgres) Setup(ctx context.Context, m *ReadModel) error {
	if err := m.Check(s.namespace); err != nil {
		return err
	}
	return s.explainSetup(m, s.evicting(ctx, func(lockTimeout string) error {
		_, err := s.pool.Exec(ctx, s.setupSQL(m, lockTimeout))
		return err
	}))
}

// evicting calls work with a short limit on each wait for a lock. If that is not enough, it ends
// the sessions that are in the middle of a commit, and calls work once more with a long limit.
func (s *Postgres) evicting(ctx context.Context, work func(lockTimeout string) error) error {
	err := work("1s")
	if isLocked(err) {
		if _, err := s.control.Exec(ctx, s.sql.evict, nil); err != nil {
			return fmt.Errorf("end the sessions that stand still in a commit: %w", err)
		}
		err = work("30s")
	}
	return err
}

// setupSQL returns the SQL of Setup. It is sent in one round trip, so that a process that freezes
// meanwhile leaves no open transaction.
func (s *Postgres) setupSQL(m *ReadModel, lockTimeout string) string {
	own := `select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);`
	return own + `
		select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(` + literal("maestro setup "+s.namespace) + `, 0::bigint));
		select pg_catalog.set_config('lock_timeout', '` + lockTimeout + `', true);
		` + claimSQL(m.Schema(s.namespace), m.comment(s.namespace)) + claimSQL(ReadSchema(s.namespace), commentOfReaders(s.namespace)) + `
		select pg_catalog.set_config('search_path', ` + literal(m.path(s.namespace)) + `, true);
		` + m.Setup + `
		;` + own + viewsSQL(s.namespace, m) + recordSQL(s.namespace, m)
}

// recordSQL records that this read model is kept. Everybody who reads the log can see the record.
func recordSQL(namespace string, m *ReadModel) string {
	aggregates := make([]string, len(m.Aggregates))
	for i, name := range m.Aggregates {
		aggregates[i] = literal(name)
	}
	return fmt.Sprintf(`insert into %s (name, version, aggregates, set_up_at) values (%s, %d, array[%s]::text[], clock_timestamp())
		on conflict (name, version) do update set aggregates = excluded.aggregates, set_up_at = excluded.set_up_at;`,
		pgx.Identifier{namespace, "projections"}.Sanitize(), literal(m.Name), m.Version, strings.Join(aggregates, ", "))
}

// ReadModels returns the newest version of each read model that somebody has set up in the
// namespace, by name. The read models have no SQL.
func (s *Postgres) ReadModels(ctx context.Context) ([]ReadModel, error) {
	rows, _ := s.control.Query(ctx, qualify(s.namespace, `select distinct on (name) name, version, aggregates from maestro.projections
		order by name, version desc`)) // its error is that of the rows
	models, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m ReadModel, err error) {
		return m, row.Scan(&m.Name, &m.Version, &m.Aggregates)
	})
	if err != nil {
		return nil, fmt.Errorf("read the projections of namespace %q: %w", s.namespace, own(err))
	}
	return models, nil
}

// claimSQL creates a schema with a comment. If the schema exists, it makes sure that the schema
// has that comment.
func claimSQL(schema, comment string) string {
	return do(`
		declare
			found text;
		begin
			select coalesce(obj_description(n.oid, 'pg_namespace'), '') into found from pg_namespace n where n.nspname = $schema;
			if found is null then
				execute format('create schema %I', $schema);
				execute format('comment on schema %I is %L', $schema, $comment);
			elsif found <> $comment then
				raise exception 'schema "%" is not ours: its comment is "%", and not "%". It is left as it is: choose another name for '
					'the projection or the namespace, or rename that schema', $schema, found, $comment using errcode = 'ME010';
			end if;
		end`, "$schema", schema, "$comment", comment)
}

// viewsSQL makes the views for readers. It does not make a view again that shows its table
// correctly already, because that would wait for everybody who reads the view.
func viewsSQL(namespace string, m *ReadModel) string {
	return do(`
		declare
			made record;
			shown regclass;
			other text;
		begin
			for made in select c.oid, c.relname, string_agg(quote_ident(a.attname), ', ' order by a.attnum) as columns,
					array_agg((a.attname, a.atttypid, a.atttypmod)::text order by a.attnum) as shape
				from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
				where c.relnamespace = to_regnamespace(quote_ident($schema)) and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
				group by c.oid, c.relname order by c.relname
			loop
				shown := to_regclass(format('%I.%I', $read, made.relname));
				select n.nspname into other from pg_depend d join pg_rewrite r on r.oid = d.objid
					join pg_class c on c.oid = d.refobjid join pg_namespace n on n.oid = c.relnamespace
					where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and r.ev_class = shown
						and d.refobjid <> shown and not starts_with(coalesce(obj_description(n.oid, 'pg_namespace'), ''), $ours)
					limit 1;
				if shown is not null and other is not null then
					raise exception 'view "%.%" shows a table of schema "%": two projections may not have tables of one name, rename one of them',
						$read, made.relname, other using errcode = 'ME010';
				end if;
				continue when made.shape = (select array_agg((a.attname, a.atttypid, a.atttypmod)::text order by a.attnum)
						from pg_attribute a where a.attrelid = shown and a.attnum > 0 and not a.attisdropped)
					and exists (select from pg_depend d join pg_rewrite r on r.oid = d.objid
						where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and r.ev_class = shown
							and d.refobjid = made.oid);
				execute format('create or replace view %I.%I as select %s from %I.%I', $read, made.relname, made.columns, $schema, made.relname);
			end loop;
		end`, "$schema", m.Schema(namespace), "$read", ReadSchema(namespace), "$ours", m.commentOfAny(namespace))
}

// do returns a "do" statement with the code, in which literals replace the variables.
func do(code string, variables ...string) string {
	for i := 1; i < len(variables); i += 2 {
		variables[i] = literal(variables[i])
	}
	return "do " + literal(strings.NewReplacer(variables...).Replace(code)) + ";\n"
}

// explainSetup adds to the error of a failed Setup what to do about it.
func (s *Postgres) explainSetup(m *ReadModel, err error) error {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return err
	}
	switch server.Code {
	case codeInsufficientPrivilege:
		return fmt.Errorf("%w. Let a role that may create schemas run this once: %s", err, s.schemaSQL(m))
	case codeInvalidTableDefinition:
		return fmt.Errorf("%w: a view in schema %q shows columns that version %d does not have, and readers may use them: drop the view "+
			"(grants on it go with it), or make that a projection of another name", err, ReadSchema(s.namespace), m.Version)
	}
	return err
}

// schemaSQL returns the SQL that creates the schemas of a read model for the role that works here.
func (s *Postgres) schemaSQL(m *ReadModel) string {
	role := pgx.Identifier{s.pool.Config().ConnConfig.User}.Sanitize()
	one := func(schema, comment string) string {
		name := pgx.Identifier{schema}.Sanitize()
		return fmt.Sprintf("create schema if not exists %s authorization %[2]s; comment on schema %[1]s is %[3]s;", name, role, literal(comment))
	}
	return one(m.Schema(s.namespace), m.comment(s.namespace)) + " " + one(ReadSchema(s.namespace), commentOfReaders(s.namespace))
}

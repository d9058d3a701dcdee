package store

import (
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// lockTimeout sets the limit on each wait for a lock, for the rest of the transaction.
const lockTimeout = `select pg_catalog.set_config('lock_timeout', '1s', true)`

// These settings hold for the SQL of projections, for the rest of the transaction. setPath says
// where the SQL finds its tables. takeLock waits for the turn of a contended read model. impatient
// limits the wait for a lock, so that the statement of one partition does not hold up the others
// in the transaction.
const (
	setPath   = `select pg_catalog.set_config('search_path', $1, true)`
	takeLock  = `select pg_catalog.pg_advisory_xact_lock($1)`
	impatient = `select pg_catalog.set_config('lock_timeout', '100ms', true)`
)

// setDurability is the last statement of a commit that shares its transaction with SQL of
// projections.
const setDurability = `select pg_catalog.set_config('` + durabilitySetting + `', $1, true)`

const readOnlySetting = `select pg_catalog.current_setting('transaction_read_only')`

// statements are the SQL of one namespace. Every call of a Postgres function names the schema of
// the function. Without the schema, Postgres would take the function that fits best, which could
// be one that somebody made in schema public for exactly these types. unnest with several
// arguments has no schema, because it is syntax and not a function.
type statements struct {
	partition, rows, acquire, evict               string
	advance, receipts, events, snapshots, dead    string
	lend, takeBack                                string
	ends, load, history, log, find, prune, redate string
}

const partitionColumns = `partition, owner, epoch, layout, position, published_position, event_stream, command_stream,
	command_cursor, cursor_time, recorded_at, pg_catalog.clock_timestamp()`

// eventColumns are read. logColumns are written.
const eventColumns = `position, aggregate_type, aggregate_id, sequence, type, version, body, metadata, recorded_at`

const logColumns = `position, aggregate_type, aggregate_id, sequence, type, version, codec, body, metadata, recorded_at`

func newStatements(namespace string) statements {
	in := func(sql string) string { return qualify(namespace, sql) }
	return statements{
		// A process that opened the namespace with another partition count gets no row, so it can
		// neither acquire nor commit.
		partition: in(`select ` + partitionColumns + ` from maestro.partitions
			where partition = $1 and exists (select from maestro.settings where partitions = $2)
				and pg_catalog.current_setting('transaction_read_only') = 'off'`),
		rows: in(`select ` + partitionColumns + ` from maestro.partitions
			where exists (select from maestro.settings where partitions = $1) order by partition`),
		// The lock on the settings row makes a maintenance command wait for this statement before it
		// sets its mark, and makes this statement see the mark. A time from the future is corrected,
		// because the next owner would go on from there.
		acquire: in(`update maestro.partitions set owner = $2, epoch = epoch + 1,
				recorded_at = case when recorded_at > pg_catalog.clock_timestamp() + interval '1 minute'
					then pg_catalog.clock_timestamp() + interval '1 minute' else recorded_at end
			where partition = $1 and exists (select from maestro.settings where partitions = $3 and maintenance = '' for share)
			returning ` + partitionColumns),
		// The xmax that others see in a row is the transaction that is changing the row. Null stands for
		// all partitions.
		evict: in(`select pg_catalog.pg_terminate_backend(l.pid) from maestro.partitions p
			join pg_catalog.pg_locks l on l.locktype = 'transactionid' and l.transactionid = p.xmax
				and l.mode = 'ExclusiveLock' and l.granted
			where p.partition = $1 or $1 is null`),

		advance: in(advanceStatement),
		// unnest in the select list needs no intermediate table, unlike unnest in the from clause. It is
		// 5 to 10% quicker.
		lend:     in(`select maestro.lend($1, $2)`),
		takeBack: in(`select maestro.take_back($1, $2)`),
		receipts: in(`insert into maestro.receipts (partition, aggregate_type, aggregate_id, command_id, status, sequence,
				position, events, error, at)
			select pg_catalog.unnest($1::smallint[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[]),
				pg_catalog.unnest($4::text[]), pg_catalog.unnest($5::text[]), pg_catalog.unnest($6::bigint[]),
				pg_catalog.unnest($7::bigint[]), pg_catalog.unnest($8::integer[]), pg_catalog.unnest($9::text[])::json,
				pg_catalog.unnest($10::timestamptz[])`),
		events: in(`insert into maestro.log (partition, ` + logColumns + `)
			select pg_catalog.unnest($1::smallint[]), pg_catalog.unnest($2::bigint[]), pg_catalog.unnest($3::text[]),
				pg_catalog.unnest($4::text[]), pg_catalog.unnest($5::bigint[]), pg_catalog.unnest($6::text[]),
				pg_catalog.unnest($7::integer[]), pg_catalog.unnest($8::smallint[]), pg_catalog.unnest($9::bytea[]),
				pg_catalog.unnest($10::text[])::jsonb, pg_catalog.unnest($11::timestamptz[])`),
		snapshots: in(snapshotsStatement),
		dead: in(`insert into maestro.dead_letters (partition, id, subject, headers, body, stream_sequence, command_id,
				code, message, at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`),
		ends:    in(endsStatement),
		load:    in(loadStatement),
		history: in(pageOf(`maestro.log where partition = $1 and aggregate_type = $2 and aggregate_id = $3 and sequence > $4`, `sequence`, `$5`)),
		log:     in(pageOf(`maestro.log where partition = $1 and position > $2`, `position`, `$3`)),
		find: in(`select r.aggregate_type, r.aggregate_id, r.command_id, r.status, r.sequence, r.position, r.events,
				r.error, r.at
			from unnest($2::text[], $3::text[], $4::text[]) as q (aggregate_type, aggregate_id, command_id)
			cross join lateral (
				select * from maestro.receipts r
				where r.partition = $1 and r.aggregate_type = q.aggregate_type and r.aggregate_id = q.aggregate_id
					and r.command_id = q.command_id
				offset 0
			) r`),
		// Rows are deleted by ctid, so that no plan can read the whole table. With event partitions, a
		// ctid exists once in each table, so the condition is repeated.
		prune: in(`delete from maestro.receipts where ` + isOld + ` and ctid = any (array(
			select ctid from maestro.receipts where ` + isOld + ` order by at limit $3))`),
		redate: in(`update maestro.receipts set at = pg_catalog.now() where ` + isNotYet + ` and ctid = any (array(
			select ctid from maestro.receipts where ` + isNotYet + ` order by at limit $2))`),
	}
}

// pageOf returns SQL that reads events in an order. A page ends at the limit, or with the event
// that brings it to PageBytes. Postgres knows the length of a body without reading it.
func pageOf(from, order, limit string) string {
	return `select ` + eventColumns + ` from (
			select *, pg_catalog.sum(pg_catalog.octet_length(body)) over (order by ` + order + ` rows unbounded preceding) as upto
			from (select ` + eventColumns + ` from ` + from + ` order by ` + order + ` limit ` + limit + `) page
		) sized where upto - pg_catalog.octet_length(body) < ` + strconv.Itoa(PageBytes) + ` order by ` + order
}

// qualify replaces the schema maestro by the namespace.
func qualify(namespace, sql string) string {
	return strings.ReplaceAll(sql, "maestro.", pgx.Identifier{namespace}.Sanitize()+".")
}

// literal quotes a string for SQL.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

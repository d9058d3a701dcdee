//go:build maestro_unfenced

package store

// This build has no fence, so that tests/faults can prove that it finds what then goes wrong.
const advanceStatement = `with moved as (
	update maestro.partitions p set position = c.position, published_position = c.published, event_stream = c.event_stream,
	command_stream = c.command_stream, command_cursor = c.cursor, cursor_time = c.cursor_time, recorded_at = coalesce(c.at, recorded_at)
	from unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::bigint[],
		$8::timestamptz[], $9::timestamptz[], $10::bigint[], $11::timestamptz[], $12::timestamptz[])
		as c (partition, epoch, layout, former, former_at, position, published, event_stream, command_stream, cursor, cursor_time, at)
	where p.partition = c.partition)
	select pg_catalog.clock_timestamp(), pg_catalog.set_config('` + durabilitySetting + `', $13, true)`

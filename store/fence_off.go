//go:build maestro_unfenced

package store

// Without the fence tests/faults has to find what goes wrong.
const advanceStatement = `update maestro.partitions set position = $4, published_position = $5, event_stream = $6, command_stream = $7,
	command_cursor = $8, cursor_time = $9, recorded_at = coalesce($10, recorded_at)
	where partition = $1 and ($2::bigint, $3::bigint) is not null`

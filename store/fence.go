//go:build !maestro_unfenced

package store

// advanceStatement is the first of every commit: it moves partitions on, if that is where their owner believes them to be, and returns
// Postgres's clock.
const advanceStatement = `select maestro.advance(unnest($1::smallint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::bigint[]),
	unnest($5::bigint[]), unnest($6::bigint[]), unnest($7::timestamptz[]), unnest($8::timestamptz[]), unnest($9::bigint[]),
	unnest($10::timestamptz[]), unnest($11::timestamptz[]))`

//go:build !maestro_unfenced

package store

// advanceStatement is the first statement of every commit. It moves partitions on if they are
// where their owner believes them to be, and returns Postgres's clock. It also sets the durability
// of the transaction, because SQL of a projection may have left another value in the session.
const advanceStatement = `select maestro.advance(
	pg_catalog.unnest($1::smallint[]), pg_catalog.unnest($2::bigint[]), pg_catalog.unnest($3::bigint[]),
	pg_catalog.unnest($4::bigint[]), pg_catalog.unnest($5::timestamptz[]), pg_catalog.unnest($6::bigint[]),
	pg_catalog.unnest($7::bigint[]), pg_catalog.unnest($8::timestamptz[]), pg_catalog.unnest($9::timestamptz[]),
	pg_catalog.unnest($10::bigint[]), pg_catalog.unnest($11::timestamptz[]), pg_catalog.unnest($12::timestamptz[])),
	pg_catalog.set_config('` + durabilitySetting + `', $13, true)`

//go:build !maestro_unfenced

package store

// advanceStatement is the first of every commit: it moves the partition on, if that is where the owner believes it to be.
const advanceStatement = `select maestro.advance($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

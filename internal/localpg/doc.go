// Package localpg runs Postgres clusters from the binaries of this machine, for tests, demos,
// benchmarks and worker --dev.
//
// A cluster listens on a free port of 127.0.0.1. Its data are in a temporary directory unless a
// directory is given. The cluster and its temporary directory are gone when it is stopped, or when
// the process that started it ends in whatever way. A cluster does not disturb other clusters on
// the machine. The package works for root too. Root may not run Postgres, so the cluster then runs
// as the user postgres or nobody.
//
// A cluster may have a standby, which a test can promote, pause or stop.
package localpg

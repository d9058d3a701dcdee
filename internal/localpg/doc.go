// Package localpg runs Postgres clusters from the binaries of this machine, for tests, demos,
// benchmarks and worker
// --dev.
//
// A cluster listens on a free port of 127.0.0.1, has its data in a temporary directory unless it is
// given one, and is gone with that directory when it is stopped or when the process that started it
// ends, in whatever way it ends. It does not mind other clusters on the machine and works for root
// too, who may not run Postgres: it then runs as the user postgres, or nobody.
//
// A cluster may have a standby, which is promoted, paused or stopped as a test wants it.
package localpg

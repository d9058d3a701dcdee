package faults

import (
	"fmt"
	"strings"
	"time"
)

// shape describes the parts of a world.
type shape struct {
	brokers    int // 1 or 3
	workers    int // places for workers
	started    int // how many places have a worker from the start
	partitions int
	tag        string   // build tag of the worker
	env        []string // of the workers
	http       bool     // each worker has an HTTP server
	variation
	// calm is how long the system may take at the end to handle and publish everything that was
	// sent.
	calm time.Duration
}

// variation describes the surroundings of a world's workers besides the servers.
type variation struct {
	pooler  bool          // PgBouncer in transaction mode, between the workers and Postgres
	standby standby       // what follows the primary
	role    bool          // the workers' user has only the rights that it needs
	guarded bool          // the nats-servers know users, and their permissions change
	bounded time.Duration // how long the event stream keeps events; 0 for ever
	clocks  bool          // the clocks of workers and of Postgres can be moved; the workers' clocks differ from the beginning
}

// standby is how a second Postgres follows the first.
type standby string

const (
	noStandby    standby = ""
	synchronous  standby = "synchronous"
	asynchronous standby = "asynchronous"
)

// Each variation is taken by two seeds in turn. The first seed has one nats-server, the second
// three.
var variations = []variation{
	{},
	{standby: synchronous},
	{bounded: 40 * time.Second},
	{standby: asynchronous, role: true},
	{pooler: true},
	{pooler: true, standby: synchronous, role: true},
	{clocks: true},
	{guarded: true},
}

// tags are the build tags of the worker.
func (s shape) tags() string {
	if s.clocks {
		return strings.TrimSuffix("maestro_clock,"+s.tag, ",")
	}
	return s.tag
}

// shapeOf returns the shape of a seed's world.
func shapeOf(seed uint64) shape {
	s := shape{brokers: 1, workers: 5, started: 3, partitions: 16, variation: variations[(seed-1)/2%uint64(len(variations))]}
	if seed%2 == 0 {
		s.brokers = 3
	}
	return s
}

func (s shape) String() string {
	parts := []string{fmt.Sprintf("%d nats-servers", s.brokers)}
	if s.pooler {
		parts = append(parts, "a pooler")
	}
	if s.standby != noStandby {
		parts = append(parts, string(s.standby)+" standby")
	}
	if s.role {
		parts = append(parts, "a role with few privileges")
	}
	if s.clocks {
		parts = append(parts, "clocks that differ and jump")
	}
	if s.guarded {
		parts = append(parts, "users of NATS")
	}
	if s.bounded > 0 {
		parts = append(parts, fmt.Sprintf("events are kept for %s", s.bounded))
	}
	return strings.Join(parts, ", ")
}

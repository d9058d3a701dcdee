package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// floorFigures are the figures that the floor program prints, in microseconds and in commands per
// second.
type floorFigures struct {
	PathPerSecond float64 `json:"path_per_second"`
	LatencyP50    float64 `json:"latency_p50_us"`
	LatencyP99    float64 `json:"latency_p99_us"`
}

// buildFloor compiles the floor program and returns the file.
func buildFloor(ctx context.Context, folder, into string) (file string, err error) {
	file = filepath.Join(into, "floor")
	build := exec.CommandContext(ctx, "go", "build", "-o", file, ".")
	build.Dir, build.Stderr = folder, os.Stderr
	return file, build.Run()
}

// runFloor runs the floor program. That program makes a schema and streams of its own and removes
// them.
func (l *lab) runFloor(ctx context.Context, commands, partitions, roundTrips int) (f floorFigures, err error) {
	if l.floor == "" {
		return f, nil
	}
	cmd := exec.CommandContext(ctx, l.floor, "-nats", l.nats.url, "-database", l.postgres.URL(), "-n", strconv.Itoa(commands),
		"-partitions", strconv.Itoa(partitions), "-aggregates", "10000", "-latency", strconv.Itoa(roundTrips))
	cmd.Stderr = os.Stderr
	printed, err := cmd.Output()
	if err != nil {
		return f, fmt.Errorf("the floor program: %w", err)
	}
	if err := json.Unmarshal(printed, &f); err != nil {
		return f, fmt.Errorf("the floor program printed %q: %w", printed, err)
	}
	return f, nil
}

// beside holds the rates of all rounds for one number of partitions in the experiment floor.
type beside struct {
	partitions     int
	floor, maestro []float64
	rows           map[writing][]float64 // with a read model
}

// besideFloor is the experiment floor.
func besideFloor(ctx context.Context, l *lab) (r result, err error) {
	var sides []*beside
	for _, partitions := range []int{4, 16, 64} {
		sides = append(sides, &beside{partitions: partitions, rows: map[writing][]float64{}})
	}
	for round := range l.rounds {
		for _, s := range sides {
			if err := s.round(ctx, l); err != nil {
				return r, err
			}
			l.progressf("round %d of %d, %d partitions: floor %s, Maestro %s commands/s", round+1, l.rounds, s.partitions,
				count(s.floor[round]), count(s.maestro[round]))
		}
	}
	r.notef("%s commands on 10,000 aggregates, half as many with a read model, median of %d rounds in which the sides take turns. With a "+
		"read model, each event is also a row in a table of its own, written in the transaction: by SQL that is queued with the commit "+
		"(`projections.Queue`), event by event (`projections.Each`), or a batch at a time (`projections.Batch`).",
		count(float64(2*l.standard().commands)), l.rounds)
	plain := table{head: []string{"partitions", "floor, commands/s", "Maestro, commands/s", "ratio", "goal"}}
	rows := table{head: []string{"partitions, with a read model"}}
	for _, written := range writings {
		rows.head = append(rows.head, string(written), "ratio")
	}
	rows.head = append(rows.head, "goal")
	for _, s := range sides {
		goal := "-"
		if s.partitions > 4 {
			goal = "≥ 0.80"
		}
		floor, partitions := median(s.floor), count(float64(s.partitions))
		plain.add(partitions, orNone(floor, count), count(median(s.maestro)), ratio(median(s.maestro), floor), goal)
		row := []string{partitions}
		for _, written := range writings {
			row = append(row, count(median(s.rows[written])), ratio(median(s.rows[written]), floor))
		}
		rows.add(append(row, "≥ 0.50")...)
	}
	r.tables = append(r.tables, plain, rows)
	return r, nil
}

// round lets all sides run once.
func (s *beside) round(ctx context.Context, l *lab) error {
	d := l.standard()
	d.partitions = s.partitions
	floor, err := l.runFloor(ctx, 2*d.commands, d.partitions, 100)
	if err != nil {
		return err
	}
	s.floor = append(s.floor, floor.PathPerSecond)
	d.commands = 2 * l.standard().commands
	rate, err := l.rate(ctx, d)
	if err != nil {
		return err
	}
	s.maestro = append(s.maestro, rate)
	for _, written := range writings {
		d.commands, d.readModels, d.written = l.standard().commands, 1, written
		rate, err := l.rate(ctx, d)
		if err != nil {
			return err
		}
		s.rows[written] = append(s.rows[written], rate)
	}
	return nil
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
)

// figures are what one side comes to. The names are those that the floor program prints.
type figures struct {
	PathPerSecond float64 `json:"path_per_second"`
	LatencyP50    float64 `json:"latency_p50_us"`
	LatencyP99    float64 `json:"latency_p99_us"`
	RequestP50    float64 `json:"request_p50_us"`
	RequestP99    float64 `json:"request_p99_us"`
}

// measureFloor runs the floor program, which prints one line of JSON.
func measureFloor(ctx context.Context, s servers, o options) (f figures, err error) {
	cmd := exec.CommandContext(ctx, "go", "run", ".", "-nats", s.nats.URL(), "-database", s.postgres.URL(),
		"-n", strconv.Itoa(o.commands), "-partitions", strconv.Itoa(o.partitions),
		"-aggregates", strconv.Itoa(o.aggregates), "-latency", strconv.Itoa(o.roundTrips))
	cmd.Dir, cmd.Stderr = o.floor, os.Stderr
	line, err := cmd.Output()
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(line, &f); err != nil {
		return f, fmt.Errorf("read %q: %w", line, err)
	}
	return f, nil
}

// median takes each figure's median over the rounds.
func median(rounds []figures) (f figures) {
	of := func(get func(figures) float64) float64 {
		if len(rounds) == 0 {
			return 0
		}
		values := make([]float64, len(rounds))
		for i, r := range rounds {
			values[i] = get(r)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return figures{
		PathPerSecond: of(func(f figures) float64 { return f.PathPerSecond }),
		LatencyP50:    of(func(f figures) float64 { return f.LatencyP50 }),
		LatencyP99:    of(func(f figures) float64 { return f.LatencyP99 }),
		RequestP50:    of(func(f figures) float64 { return f.RequestP50 }),
		RequestP99:    of(func(f figures) float64 { return f.RequestP99 }),
	}
}

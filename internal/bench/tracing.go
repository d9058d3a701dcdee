package main

import (
	"context"
	"strconv"
)

// tracing says how much tracing a worker does.
type tracing int

// Most experiments run with what a worker in production may have.
const (
	sampled  tracing = iota // one command in a hundred
	untraced                // no exporter
	traced                  // every command
)

// environment returns the environment variables that switch the tracing on, as users do.
func (t tracing) environment(collector string) []string {
	share := map[tracing]float64{sampled: 0.01, traced: 1}[t]
	if t == untraced {
		return []string{"OTEL_TRACES_EXPORTER=none"}
	}
	return []string{"OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_ENDPOINT=" + collector,
		"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=" + strconv.FormatFloat(share, 'g', -1, 64)}
}

// costOfTracing is the experiment tracing.
func costOfTracing(ctx context.Context, l *lab) (r result, err error) {
	var variants []variant
	for _, v := range []struct {
		name string
		tracing
	}{{"off", untraced}, {"1 % of the commands", sampled}, {"all commands", traced}} {
		d := l.standard()
		d.tracing = v.tracing
		variants = append(variants, variant{name: v.name, drain: d})
	}
	rates, err := l.compare(ctx, variants)
	if err != nil {
		return r, err
	}
	r.notef("%s commands on 10,000 aggregates, 16 partitions. The spans go to a collector on the same machine, which throws them away; "+
		"what the SDK's queue has no room for it drops.", count(float64(l.standard().commands)))
	t := table{head: []string{"traced", "commands/s", "of that without"}}
	for i, v := range variants {
		t.add(v.name, count(rates[i]), ratio(rates[i], rates[0]))
	}
	r.tables = append(r.tables, t)
	return r, nil
}

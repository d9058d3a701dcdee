package main

import (
	"context"
	"fmt"
)

// withProjections is the experiment projections.
func withProjections(ctx context.Context, l *lab) (r result, err error) {
	var variants []variant
	for _, n := range []int{0, 1, 3} {
		v := variant{name: fmt.Sprintf("%d read models", n), drain: l.standard()}
		v.commands, v.readModels = l.standard().commands/2, n
		if n == 0 {
			variants = append(variants, v)
			continue
		}
		for _, written := range writings {
			of := v
			of.name, of.written = v.name+", "+string(written), written
			variants = append(variants, of)
		}
	}
	rates, err := l.compare(ctx, variants)
	if err != nil {
		return r, err
	}
	r.notef("%s commands on 10,000 aggregates, 16 partitions. Each read model writes a row for each event, with `projections.Queue`, "+
		"`projections.Each` or `projections.Batch`.", count(float64(l.standard().commands/2)))
	t := table{head: []string{"", "commands/s", "of that without"}}
	for i, v := range variants {
		t.add(v.name, count(rates[i]), ratio(rates[i], rates[0]))
	}
	r.tables = append(r.tables, t)
	return r, nil
}

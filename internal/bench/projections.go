package main

import (
	"context"
	"fmt"
)

// withProjections is the experiment projections.
func withProjections(ctx context.Context, l *lab) (r result, err error) {
	var variants []variant
	for _, n := range []int{0, 1, 3} {
		for _, batched := range []bool{false, true} {
			if n == 0 && batched {
				continue
			}
			v := variant{name: fmt.Sprintf("%d read models", n), drain: l.standard()}
			v.commands, v.readModels, v.batched = l.standard().commands/2, n, batched
			if batched {
				v.name += ", a batch at a time"
			} else if n > 0 {
				v.name += ", event by event"
			}
			variants = append(variants, v)
		}
	}
	rates, err := l.compare(ctx, variants)
	if err != nil {
		return r, err
	}
	r.notef("%s commands on 10,000 aggregates, 16 partitions. Each read model writes a row for each event, with `projections.InTransaction` "+
		"or `projections.InTransactionBatch`.", count(float64(l.standard().commands/2)))
	t := table{head: []string{"", "commands/s", "of that without"}}
	for i, v := range variants {
		t.add(v.name, count(rates[i]), ratio(rates[i], rates[0]))
	}
	r.tables = append(r.tables, t)
	return r, nil
}

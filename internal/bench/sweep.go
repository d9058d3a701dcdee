package main

import (
	"context"
	"fmt"
	"slices"
)

// variant is one side of a comparison.
type variant struct {
	name string
	x    float64 // its place in a plot
	drain
}

// compare drains each variant in turn, round after round, and returns the median of each, in
// commands per second.
func (l *lab) compare(ctx context.Context, variants []variant) (rates []float64, err error) {
	rounds := make([][]float64, len(variants))
	for round := range l.rounds {
		for i, v := range variants {
			rate, err := l.rate(ctx, v.drain)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.name, err)
			}
			l.progressf("round %d of %d, %s: %s commands/s", round+1, l.rounds, v.name, count(rate))
			rounds[i] = append(rounds[i], rate)
		}
	}
	for _, of := range rounds {
		rates = append(rates, median(of))
	}
	return rates, nil
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// varied returns variants that differ from the standard in one number.
func (l *lab) varied(what string, values []int, change func(d *drain, value int)) (variants []variant) {
	for _, value := range values {
		v := variant{name: fmt.Sprintf("%s %s", count(float64(value)), what), x: float64(value), drain: l.standard()}
		change(&v.drain, value)
		variants = append(variants, v)
	}
	return variants
}

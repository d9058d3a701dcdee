package maestro

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/hlc"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/projections"
)

// withDefaults sets the defaults of a worker. [engine.Lanes] sets the defaults of lanes.
func withDefaults(c Config) Config {
	if c.Namespace == "" {
		c.Namespace = wire.DefaultNamespace
	}
	if c.ReceiptRetention == 0 {
		c.ReceiptRetention = 7 * 24 * time.Hour
	}
	if c.Node == "" {
		host, _ := os.Hostname() // an empty name does no harm
		c.Node = host + "-" + hlc.NewID()
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// check reports all that is wrong with a configuration at once.
func check(c Config) error {
	errs := []error{wire.Namespace(c.Namespace).Check()}
	if c.NATS == nil {
		errs = append(errs, errors.New("Config.NATS is missing: connect with nats.Connect"))
	}
	if (c.Database == nil) == (c.Store == nil) {
		errs = append(errs, errors.New("exactly one of Config.Database and Config.Store is needed"))
	}
	if c.Partitions < 0 || c.Partitions > wire.MaxPartitions {
		errs = append(errs, fmt.Errorf("Config.Partitions is %d: expected 1 to %d, or 0 for the namespace's own",
			c.Partitions, wire.MaxPartitions))
	}
	if c.CacheBytes < 0 || c.CacheIdle < 0 || c.MaxBatch < 0 {
		errs = append(errs, errors.New("Config.CacheBytes, Config.CacheIdle and Config.MaxBatch must not be negative"))
	}
	if len(c.Aggregates) == 0 {
		errs = append(errs, errors.New("Config.Aggregates is empty: define one with aggregate.Define"))
	}
	seen := map[string]bool{}
	for i, a := range c.Aggregates {
		if a == nil {
			errs = append(errs, fmt.Errorf("Config.Aggregates[%d] is nil", i))
			continue
		}
		if errs = append(errs, a.Err()); seen[a.Name()] {
			errs = append(errs, fmt.Errorf("aggregate type %q is given twice", a.Name()))
		}
		seen[a.Name()] = true
	}
	return errors.Join(append(errs, checkProjections(c))...)
}

// checkProjections reports all that is wrong with the projections.
func checkProjections(c Config) error {
	var errs []error
	seen := map[string]bool{}
	for i, p := range c.Projections {
		if p == nil {
			errs = append(errs, fmt.Errorf("Config.Projections[%d] is nil", i))
			continue
		}
		if seen[p.Name()] {
			errs = append(errs, fmt.Errorf("projection %q is given twice", p.Name()))
		}
		seen[p.Name()] = true
		switch misfit := p.Model().Check(c.Namespace); {
		case p.Err() != nil:
			errs = append(errs, p.Err())
		case misfit != nil:
			errs = append(errs, fmt.Errorf("projection %q: %w", p.Name(), misfit))
		case !takesAny(p, c.Aggregates):
			errs = append(errs, fmt.Errorf("projection %q takes no event of Config.Aggregates: add its aggregate", p.Name()))
		}
	}
	return errors.Join(errs...)
}

// takesAny tells whether a projection takes an event of one of the aggregates.
func takesAny(p *projections.Projection, aggregates []aggregate.Type) bool {
	return slices.ContainsFunc(aggregates, func(a aggregate.Type) bool {
		return a != nil && slices.ContainsFunc(a.EventNames(), func(event string) bool { return p.Wants(a.Name(), event) })
	})
}

package workercmd

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/examples/counter"
)

// tell is a command of a user's own program.
type tell struct {
	What  string `arg:""`
	heard *string
}

func (c *tell) Run(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.What == "nothing" {
		return errors.New("nothing to tell")
	}
	*c.heard = c.What
	return nil
}

func TestAProgramHasCommandsOfItsOwn(t *testing.T) {
	t.Parallel()
	heard := ""
	run := func(args ...string) int {
		return Program{Aggregates: []aggregate.Type{counter.Definition},
			Commands: []Command{{Name: "tell", Help: "Tell something.", Run: &tell{heard: &heard}}},
		}.run(append([]string{"/bin/orders"}, args...))
	}
	require.Equal(t, 0, run("tell", "news"))
	require.Equal(t, "news", heard)
	require.Equal(t, 1, run("tell", "nothing"))
	require.Equal(t, 2, run("tell"), "an argument is missing")
	require.Equal(t, 2, run("explode"))
}

// An error from Configure ends the program, so the test needs no running worker.
func TestConfigureComesAfterTheFlags(t *testing.T) {
	t.Parallel()
	var settings struct {
		PriceList string `env:"PRICE_LIST" default:"none"`
	}
	var got maestro.Config
	program := Program{Aggregates: []aggregate.Type{counter.Definition}, Settings: &settings,
		Configure: func(_ context.Context, c *maestro.Config) error {
			got = *c
			return errors.New("enough")
		}}
	require.Equal(t, 1, program.run([]string{"orders", "--dev", "--http=", "--price-list", "2026", "--namespace", "orders"}))
	require.Equal(t, "2026", settings.PriceList)
	require.Equal(t, "orders", got.Namespace)
	require.Len(t, got.Aggregates, 1)
	require.NotNil(t, got.NATS)
}

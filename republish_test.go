package maestro_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro"
	"github.com/maestro-es/maestro/consumer"
	"github.com/maestro-es/maestro/eventstream"
	"github.com/maestro-es/maestro/internal/localnats"
	"github.com/maestro-es/maestro/internal/localpg"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/store"
)

// Whoever mends a stream need not know how the workers keep it: what is not said stays as it is.
func TestWhoMendsAStreamKeepsItsLimits(t *testing.T) {
	t.Parallel()
	for name, mend := range map[string]func(maestro.Config) (int64, error){
		"republish":   func(c maestro.Config) (int64, error) { return maestro.Republish(t.Context(), c) },
		"repartition": func(c maestro.Config) (int64, error) { return maestro.Repartition(t.Context(), c, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const many, commandBytes, eventBytes = 5, 2 << 20, 4 << 20
			ns := wire.Namespace(wire.DefaultNamespace)
			nc := localnats.ForTest(t).Connect(t)
			js, err := jetstream.New(nc)
			require.NoError(t, err)
			require.NoError(t, consumer.EnsureStream(t.Context(), js, ns, 2, consumer.StreamConfig{MaxBytes: commandBytes}))
			_, err = eventstream.Ensure(t.Context(), js, ns, eventstream.StreamConfig{MaxBytes: eventBytes, MaxAge: time.Hour})
			require.NoError(t, err)
			pool := localpg.Pool(t, localpg.Database(t))
			log, err := store.Open(t.Context(), pool, store.Options{Partitions: 2})
			require.NoError(t, err)
			for i := range many {
				_, err := accounts(t, log).Evaluate(t.Context(), fmt.Sprint(i), Deposit{Amount: 1}, maestro.Evaluation{})
				require.NoError(t, err)
			}

			config := maestro.Config{NATS: nc, Database: pool, Logger: slog.New(slog.DiscardHandler)}
			config.Events.MaxAge = 2 * time.Hour // what is said is done
			published, err := mend(config)
			require.NoError(t, err)
			require.EqualValues(t, many, published)
			events, err := js.Stream(t.Context(), ns.EventStream())
			require.NoError(t, err)
			require.Equal(t, 2*time.Hour, events.CachedInfo().Config.MaxAge)
			require.EqualValues(t, eventBytes, events.CachedInfo().Config.MaxBytes)
			commands, err := js.Stream(t.Context(), ns.CommandStream())
			require.NoError(t, err)
			require.EqualValues(t, commandBytes, commands.CachedInfo().Config.MaxBytes)
		})
	}
}

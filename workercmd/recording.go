package workercmd

import (
	"context"
	"log/slog"
	"os"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/maestro-es/maestro/internal/recording"
	"github.com/maestro-es/maestro/internal/release"
	"github.com/maestro-es/maestro/internal/telemetry"
)

// startRecording sets OpenTelemetry up as the environment says.
func startRecording(ctx context.Context, logger *slog.Logger) (*recording.Recording, error) {
	var seldom telemetry.Seldom // an exporter whose receiver is away fails every few seconds
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		logger.Log(context.Background(), seldom.Level(slog.LevelWarn), "OpenTelemetry reports", "error", err)
	}))
	return recording.Setup(ctx, recording.Program{Name: "maestro-worker", Version: release.Version(), Getenv: os.Getenv})
}

// traceQueries records the queries of the pool's connections as children of the batches' spans. Do
// not call it without traces, because it costs something for each query even then.
func traceQueries(c *pgxpool.Config) {
	c.ConnConfig.Tracer = otelpgx.NewTracer(
		otelpgx.WithDisableConnectionDetailsInAttributes(), // it would copy the connection's configuration for each query
		otelpgx.WithTracerAttributes(semconv.ServerAddress(c.ConnConfig.Host), semconv.ServerPort(int(c.ConnConfig.Port)),
			semconv.DBNamespace(c.ConnConfig.Database)))
}

// Package stream creates a namespace's streams and keeps their configuration as Maestro needs it.
//
// An operator decides a stream's replicas, limits, placement and compression. These settings stay
// as they are, unless a worker was told otherwise. Every other setting is put back at every start.
package stream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Limits are the settings that an operator decides. 0 keeps the stream's present setting. A
// negative MaxAge or MaxBytes removes the limit.
type Limits struct {
	Replicas int
	MaxAge   time.Duration
	MaxBytes int64
}

// patience is how long Ensure waits for a JetStream that is busy or has no leader. After that it
// gives up.
const patience = time.Minute

// Ensure creates the stream, or brings its configuration to needed with the given limits. While
// JetStream does not answer, Ensure asks again for up to a minute, because a worker that ended
// instead would only come back to the same busy servers.
func Ensure(ctx context.Context, js jetstream.JetStream, needed jetstream.StreamConfig, l Limits) (jetstream.Stream, error) {
	again := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxElapsedTime(patience))
	return backoff.RetryWithData(func() (jetstream.Stream, error) {
		made, err := ensure(ctx, js, needed, l)
		if err != nil && !passing(err) {
			err = backoff.Permanent(err)
		}
		return made, err
	}, backoff.WithContext(again, ctx))
}

// passing tells whether an error of JetStream is temporary: no answer in time, or no leader.
func passing(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrReconnectBufExceeded) ||
		errors.As(err, &api) && api.Code == http.StatusServiceUnavailable && api.ErrorCode != jetstream.JSErrCodeJetStreamNotEnabled
}

func ensure(ctx context.Context, js jetstream.JetStream, needed jetstream.StreamConfig, l Limits) (jetstream.Stream, error) {
	found, err := js.Stream(ctx, needed.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return js.CreateOrUpdateStream(ctx, l.over(jetstream.StreamConfig{Replicas: 1, MaxBytes: -1}, needed))
	}
	if err != nil {
		return nil, err
	}
	return js.UpdateStream(ctx, l.over(found.CachedInfo().Config, needed))
}

// over returns the needed configuration with the operator's settings in it: those of the limits, or
// else those that the stream has.
func (l Limits) over(has, needed jetstream.StreamConfig) jetstream.StreamConfig {
	needed.Replicas, needed.MaxBytes, needed.MaxAge = has.Replicas, has.MaxBytes, has.MaxAge
	needed.Placement, needed.Compression, needed.Metadata = has.Placement, has.Compression, has.Metadata
	if l.Replicas > 0 {
		needed.Replicas = l.Replicas
	}
	if l.MaxBytes != 0 {
		needed.MaxBytes = max(l.MaxBytes, -1)
	}
	if l.MaxAge != 0 {
		needed.MaxAge = max(l.MaxAge, 0)
	}
	return needed
}

// Differ names the limits in which the stream differs from l. It returns "" if there are none.
func (l Limits) Differ(has jetstream.StreamConfig) (differs string) {
	told := l.over(has, jetstream.StreamConfig{})
	note := func(name string, has, told any) {
		if has != told {
			differs += fmt.Sprintf("%s %v, told %v; ", name, has, told)
		}
	}
	note("replicas", has.Replicas, told.Replicas)
	note("max_age", has.MaxAge, told.MaxAge)
	note("max_bytes", has.MaxBytes, told.MaxBytes)
	return differs
}

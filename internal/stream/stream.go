// Package stream makes a namespace's streams and keeps their configuration as Maestro needs it.
//
// What an operator decides about a stream (its replicas, limits, placement, compression) stays as
// it is, unless a worker was told otherwise. Everything else is put back at every start.
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

// Limits are what an operator decides. 0 leaves what the stream has; a negative MaxAge or MaxBytes
// takes the limit away.
type Limits struct {
	Replicas int
	MaxAge   time.Duration
	MaxBytes int64
}

// patience is how long JetStream may be busy, or without a leader, before Ensure gives up.
const patience = time.Minute

// Ensure makes the stream, or brings its configuration to what is needed with the given limits. It
// asks again for up to a minute while JetStream does not answer: a worker that ended instead would
// only come back to the same busy servers.
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

// passing says whether an error of JetStream is one of the moment: no answer in time, or no leader.
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

// over is the configuration that is needed, with what an operator decides as the stream has it or
// as the limits say.
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

// Differ says in which limits a stream is kept otherwise than was told; empty for none.
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

package faults

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"
)

// loseWhatTheStandbyLacks makes a command wait for a standby that is away, for longer than a worker
// waits for Postgres. It then promotes the standby. A commit that the standby did not acknowledge
// must not have been answered.
func (s *stage) loseWhatTheStandbyLacks() {
	s.do(s.op("increment", `{}`))
	s.database.acknowledgements.cut()
	patient := &loader{load: s.load, Client: s.client(s.nats, patience), random: s.random}
	patient.try(s.op("increment", `{"by":2}`), byRequest, 45*time.Second)
	require.NoError(s, s.database.failOver(s.Context(), 0))
	s.do(s.op("increment", `{"by":3}`))
}

// forgetWhatIsPublished promotes a standby that lacks commits which were published. It goes on
// until the log is longer than before.
func (s *stage) forgetWhatIsPublished() {
	s.do(s.op("increment", `{}`))
	s.database.acknowledgements.cut()
	for range 3 {
		s.do(s.op("increment", `{"by":2}`))
	}
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	require.NoError(s, poll(ctx, func() bool { return s.published(ctx) }))
	require.NoError(s, s.database.failOver(s.Context(), 0))
	for range 6 {
		s.do(s.op("increment", `{"by":3}`))
	}
}

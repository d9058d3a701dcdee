package faults

import (
	"context"
	"syscall"
	"time"

	"github.com/maestro-es/maestro/internal/localpg"
)

func (s *storm) strikePostgres(ctx context.Context, f fault) {
	d := s.database
	switch f.kind {
	case endSessions:
		_, _ = s.pool.Exec(ctx, "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'")
	case restartPostgres, crashPostgres:
		mode := localpg.Fast
		if f.kind == crashPostgres {
			mode = localpg.Immediate
		}
		s.must(f, d.primary.Halt(mode))
		pause(ctx, f.length)
		s.must(f, d.primary.Resume())
	case failOver:
		s.must(f, d.failOver(ctx, f.length))
	case switchOver:
		s.must(f, d.switchOver(ctx, f.length))
	case slowFlush:
		d.acknowledgements.slow(s.lateness(f), toServer)
		pause(ctx, f.length)
		d.acknowledgements.heal()
	case loseStandby:
		s.loseStandby(ctx, f)
	case killPooler:
		d.pooler.Stop(syscall.SIGKILL)
		pause(ctx, f.length)
		d.pooler.Start()
	default:
		d.pooler.Pause()
		pause(ctx, f.length)
		d.pooler.Resume()
	}
}

// loseStandby keeps the standby away, and promotes it half of the time. Commits that it did not
// acknowledge are lost then, and nothing else.
func (s *storm) loseStandby(ctx context.Context, f fault) {
	d := s.database
	d.acknowledgements.cut()
	pause(ctx, f.length)
	if f.target>>8%2 == 0 {
		s.must(f, d.failOver(ctx, 0))
		return
	}
	d.acknowledgements.heal()
}

// lateness returns a delay of up to two seconds.
func (s *storm) lateness(f fault) (by time.Duration) {
	return time.Duration(1+f.target>>8%20) * 100 * ms
}

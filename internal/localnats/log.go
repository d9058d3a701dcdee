package localnats

import (
	"fmt"
	"log/slog"
	"sync/atomic"
)

// serverLog takes the server's log lines. It remembers the error that kept the server from
// starting, because the server reports that error in no other way.
type serverLog struct {
	to    *slog.Logger // nil for silence
	fatal atomic.Pointer[string]
}

func (l *serverLog) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.fatal.CompareAndSwap(nil, &text)
	l.Errorf(format, v...)
}

func (l *serverLog) Errorf(format string, v ...any) {
	if l.to != nil {
		l.to.Error("nats-server", "says", fmt.Sprintf(format, v...))
	}
}

func (l *serverLog) Warnf(format string, v ...any) {
	if l.to != nil {
		l.to.Warn("nats-server", "says", fmt.Sprintf(format, v...))
	}
}

func (l *serverLog) Noticef(format string, v ...any) {
	if l.to != nil {
		l.to.Debug("nats-server", "says", fmt.Sprintf(format, v...))
	}
}

func (l *serverLog) Debugf(string, ...any) {}
func (l *serverLog) Tracef(string, ...any) {}

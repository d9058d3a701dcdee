package maestro

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/maestro-es/maestro/internal/release"
)

// Namespace returns the worker's namespace.
func (w *Worker) Namespace() string { return w.config.Namespace }

// Partitions returns the number of partitions of the worker's namespace.
func (w *Worker) Partitions() int { return w.store.Partitions() }

// Handler answers probes: /healthz succeeds while the process runs, /readyz while the worker is
// ready (see [Worker.Ready]). / shows what a person wants to know first.
func (w *Worker) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(rw http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(rw, "ok") })
	mux.HandleFunc("GET /readyz", func(rw http.ResponseWriter, r *http.Request) {
		if err := w.Ready(r.Context()); err != nil {
			http.Error(rw, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(rw, "ready")
	})
	mux.HandleFunc("GET /{$}", w.index)
	return mux
}

func (w *Worker) index(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintf(rw, "Maestro worker %s\nnamespace %s, owns %d of %d partitions\n\n", w.config.Node, w.config.Namespace,
		w.consumer.Owned(), w.store.Partitions())
	for _, a := range w.config.Aggregates {
		_, _ = fmt.Fprintf(rw, "%s\n  commands  %v\n  events    %v\n", a.Name(), a.CommandNames(), a.EventNames())
	}
	_, _ = fmt.Fprint(rw, "\n/healthz  /readyz\n")
}

// announce logs when the worker is ready.
func (w *Worker) announce(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for w.Ready(ctx) != nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	w.config.Logger.Info("ready", "nats", w.config.NATS.ConnectedAddr(), "namespace", w.Namespace(),
		"partitions", w.Partitions(), "version", release.Version())
}

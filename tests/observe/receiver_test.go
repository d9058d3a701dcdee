package observe

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// patience bounds every wait. It is far longer than anything takes.
const patience = time.Minute

// receiver takes spans like a collector, by OTLP over HTTP.
type receiver struct {
	*httptest.Server

	mu      sync.Mutex
	spans   []span
	arrived chan struct{} // closed and replaced when spans come
}

// span is a span with the process that sent it.
type span struct {
	*otlp.Span
	process string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{arrived: make(chan struct{})}
	r.Server = httptest.NewServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var sent collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &sent)
	}
	if err != nil || req.URL.Path != "/v1/traces" {
		http.Error(w, fmt.Sprint(req.URL.Path, err), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range sent.ResourceSpans {
		process := attribute(of.Resource.Attributes, "service.instance.id")
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				r.spans = append(r.spans, span{Span: s, process: process})
			}
		}
	}
	close(r.arrived)
	r.arrived = make(chan struct{})
}

// env returns the environment that makes a process send its spans here at once, under a name.
func (r *receiver) env(process string) []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.URL, "OTEL_BSP_SCHEDULE_DELAY=20",
		"OTEL_RESOURCE_ATTRIBUTES=service.instance.id=" + process}
}

// await waits until a span has come.
func (r *receiver) await(t *testing.T, what string, is func(span) bool) span {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		r.mu.Lock()
		found, arrived := slices.IndexFunc(r.spans, is), r.arrived
		spans := r.spans
		r.mu.Unlock()
		if found >= 0 {
			return spans[found]
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			t.Fatalf("no span: %s; there are\n%s", what, r.all())
		}
	}
}

func (r *receiver) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all strings.Builder
	for _, s := range r.spans {
		fmt.Fprintf(&all, "%s: %s of %x\n", s.process, s.Name, s.ParentSpanId)
	}
	return all.String()
}

// below returns the spans with a parent, in the order in which they began.
func (r *receiver) below(parent []byte) []span {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []span
	for _, s := range r.spans {
		if string(s.ParentSpanId) == string(parent) {
			found = append(found, s)
		}
	}
	slices.SortStableFunc(found, func(a, b span) int { return int(int64(a.StartTimeUnixNano) - int64(b.StartTimeUnixNano)) })
	return found
}

// tree writes a span and all spans below it, one line each: process, kind, name.
func (r *receiver) tree(root span, leaveOut func(span) bool) string {
	var text strings.Builder
	var write func(s span, depth int)
	write = func(s span, depth int) {
		if leaveOut(s) {
			return
		}
		kind := kindOf(s)
		fmt.Fprintf(&text, "%s%s %s: %s\n", strings.Repeat("  ", depth), s.process, kind, s.Name)
		for _, child := range r.below(s.SpanId) {
			write(child, depth+1)
		}
	}
	write(root, 0)
	return text.String()
}

// attributes returns the attributes as text.
func (s span) attributes() map[string]string {
	all := map[string]string{}
	for _, a := range s.Attributes {
		all[a.Key] = textOf(a.Value)
	}
	return all
}

func attribute(all []*common.KeyValue, key string) string {
	for _, a := range all {
		if a.Key == key {
			return textOf(a.Value)
		}
	}
	return ""
}

func textOf(v *common.AnyValue) string {
	switch v := v.Value.(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_IntValue:
		return fmt.Sprint(v.IntValue)
	case *common.AnyValue_BoolValue:
		return fmt.Sprint(v.BoolValue)
	default:
		return fmt.Sprint(v)
	}
}

package recording

import (
	"fmt"
	"strconv"
	"strings"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// sampler returns the sampler that OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG name, by default
// parentbased_always_on. OpenTelemetry reads these variables itself, but gives nobody its sampler
// to build on.
func sampler(getenv func(string) string) (sdk.Sampler, error) {
	name := strings.ToLower(strings.TrimSpace(getenv("OTEL_TRACES_SAMPLER")))
	kind, parentBased := strings.CutPrefix(name, "parentbased_")
	var base sdk.Sampler
	switch kind {
	case "":
		base, parentBased = sdk.AlwaysSample(), true
	case "always_on":
		base = sdk.AlwaysSample()
	case "always_off":
		base = sdk.NeverSample()
	case "traceidratio":
		ratio, err := strconv.ParseFloat(orDefault(strings.TrimSpace(getenv("OTEL_TRACES_SAMPLER_ARG")), "1"), 64)
		if err != nil || ratio < 0 || ratio > 1 {
			return nil, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG %q: expected the share of the traces to record, 0 to 1",
				getenv("OTEL_TRACES_SAMPLER_ARG"))
		}
		base = sdk.TraceIDRatioBased(ratio)
	default:
		return nil, fmt.Errorf("OTEL_TRACES_SAMPLER %q: expected always_on, always_off or traceidratio, or one of them after parentbased_", name)
	}
	if parentBased {
		base = sdk.ParentBased(base)
	}
	return batches{base}, nil
}

// batches records a batch if one of its commands is recorded. A batch links its commands instead of
// having a parent, so no parent can tell whether to record it.
type batches struct{ sdk.Sampler }

func (s batches) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	if !trace.SpanContextFromContext(p.ParentContext).IsValid() {
		for _, link := range p.Links {
			if link.SpanContext.IsSampled() {
				return sdk.AlwaysSample().ShouldSample(p)
			}
		}
	}
	return s.Sampler.ShouldSample(p)
}

func orDefault(s, value string) string {
	if s == "" {
		return value
	}
	return s
}

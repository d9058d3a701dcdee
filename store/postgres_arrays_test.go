package store

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The hand-written encoding of metadata equals that of encoding/json.
func TestMetadataIsItsJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~]{0,20}`), rapid.Just("\xff\"\\\x00<&>"))
		m := Metadata{text.Draw(t, "command"), text.Draw(t, "correlation"), text.Draw(t, "causation"),
			text.Draw(t, "traceparent"), text.Draw(t, "tracestate")}
		want, err := json.Marshal(m)
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(m.appendJSON(nil)))
	})
}

package message

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/store"
)

var (
	codeConstant = regexp.MustCompile(`\tCode\w+ += "(\w+)"`)
	codeRow      = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w+) \\| (\\d*) *\\|")
)

// docs/protocol.md has a table of all codes with their statuses and NATS service codes.
func TestTheProtocolNamesEveryCode(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/protocol.md")
	require.NoError(t, err)
	named := map[string]bool{}
	for _, row := range codeRow.FindAllStringSubmatch(string(page), -1) {
		code, status, want := row[1], store.Status(row[2]), row[3]
		named[code] = true
		if status == store.Committed {
			require.Empty(t, want, "%s: a committed command has no error headers", code)
			continue
		}
		require.Equal(t, want, errorCode(status, code), code)
	}
	source, err := os.ReadFile("../../protocol/codes.go")
	require.NoError(t, err)
	codes := codeConstant.FindAllStringSubmatch(string(source), -1)
	require.NotEmpty(t, codes)
	for _, code := range codes {
		require.True(t, named[code[1]], "protocol has the code %s, docs/protocol.md has not", code[1])
	}
}

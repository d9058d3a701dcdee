package message

import (
	"reflect"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/protocol"
)

// Unreadable refuses a message whose headers nats.go could not read. It hands such a message over
// without them, and a command must not be handled as if it had no id, deadline or expectation.
// The message is a jetstream.Msg or a micro.Request.
func Unreadable(message any, h nats.Header) *lane.Refusal {
	if h != nil && h["Status"] == nil {
		return nil
	}
	if size := headerSize(message); size == 0 || h != nil && size >= leastSize(h) {
		return nil
	}
	return lane.Fail(protocol.CodeMalformed, "the headers cannot be read: expected the line NATS/1.0, "+
		"then a line with a colon for each header, each line with a line break (CR LF), and an empty line")
}

// leastSize is the least number of bytes that these headers take. A block is smaller if its first
// line break is missing: its first header was then taken for a status.
func leastSize(h nats.Header) int {
	size := len("NATS/1.0\r\n\r\n")
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(":") + len(value) + len("\r\n")
		}
	}
	return size
}

// headerSize is how many bytes of headers a message came with. nats.go 1.55 knows the size of the
// whole message, but does not show it through jetstream.Msg and micro.Request.
func headerSize(message any) int {
	msg := fieldOf(reflect.ValueOf(message), "msg")
	if whole := fieldOf(msg, "wsz"); whole.IsValid() && whole.CanInt() {
		m := msg.Elem()
		return int(whole.Int()) - m.FieldByName("Subject").Len() - m.FieldByName("Reply").Len() - m.FieldByName("Data").Len()
	}
	return 0
}

// fieldOf is a field of a struct that a pointer points to, the zero Value if there is none.
func fieldOf(pointer reflect.Value, name string) reflect.Value {
	if pointer.Kind() != reflect.Pointer || pointer.Elem().Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return pointer.Elem().FieldByName(name)
}

// anyCase is a header whose name may be written in upper and lower case, as W3C has it for those
// of a trace.
func anyCase(h nats.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	for other, values := range h {
		if len(values) > 0 && strings.EqualFold(other, name) {
			return values[0]
		}
	}
	return ""
}

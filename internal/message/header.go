package message

import (
	"reflect"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/internal/lane"
	"github.com/maestro-es/maestro/protocol"
)

// Unreadable returns a refusal for a message whose headers nats.go could not read, and nil for
// other messages. nats.go delivers such a message without headers, but a command must not be
// handled as if it had no id, deadline or expectation. message is a jetstream.Msg or a
// micro.Request.
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

// leastSize returns the least number of bytes that these headers take. A header block that is
// smaller lacks its first line break, so nats.go took its first header for a status.
func leastSize(h nats.Header) int {
	size := len("NATS/1.0\r\n\r\n")
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(":") + len(value) + len("\r\n")
		}
	}
	return size
}

// headerSize returns how many bytes of headers a message came with. It uses reflection, because
// nats.go 1.55 knows the size of the whole message but does not expose it through jetstream.Msg and
// micro.Request.
func headerSize(message any) int {
	msg := fieldOf(reflect.ValueOf(message), "msg")
	if whole := fieldOf(msg, "wsz"); whole.IsValid() && whole.CanInt() {
		m := msg.Elem()
		return int(whole.Int()) - m.FieldByName("Subject").Len() - m.FieldByName("Reply").Len() - m.FieldByName("Data").Len()
	}
	return 0
}

// fieldOf returns a field of the struct that a pointer points to, or the zero Value if there is
// none.
func fieldOf(pointer reflect.Value, name string) reflect.Value {
	if pointer.Kind() != reflect.Pointer || pointer.Elem().Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return pointer.Elem().FieldByName(name)
}

// anyCase returns a header whose name may be in upper or lower case, as W3C allows for trace
// headers.
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

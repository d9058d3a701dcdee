package aggregate

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"sync"
	"unicode/utf8"
)

// encoder writes JSON into its buffer. It can be used again.
type encoder struct {
	buffer bytes.Buffer
	*json.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.Encoder = json.NewEncoder(&e.buffer)
	e.SetEscapeHTML(false) // the JSON is no HTML page, and escapes are six times as long
	return e
}}

// maxKeptBuffer bounds the buffer of an encoder that is kept for later use.
const maxKeptBuffer = 64 << 10

// encode returns the JSON of a value in the form in which everything is stored or sent: compact,
// without HTML escapes and in valid UTF-8.
func encode(value any) (json.RawMessage, error) {
	e := encoders.Get().(*encoder)
	e.buffer.Reset()
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	body := bytes.Clone(bytes.TrimSuffix(e.buffer.Bytes(), []byte("\n")))
	if e.buffer.Cap() <= maxKeptBuffer {
		encoders.Put(e)
	}
	return body, checkText(body)
}

// decode reads a JSON value. It refuses null and invalid UTF-8. An empty body reads as an empty
// object.
func decode(body []byte, into any) error {
	if len(body) == 0 {
		body = []byte("{}")
	}
	if err := json.Unmarshal(body, into); err != nil {
		return inWords(err)
	}
	if string(bytes.TrimSpace(body)) == "null" { // Unmarshal ignores null
		return inWords(&json.UnmarshalTypeError{Value: "null", Type: reflect.TypeOf(into).Elem()})
	}
	return checkText(body)
}

var (
	errNotUTF8       = errors.New("it must be valid UTF-8")
	errLoneSurrogate = errors.New(`half of a surrogate pair stands alone (as in "\ud800"): it is no character`)
)

// checkText refuses JSON with strings that would read differently from what was written.
func checkText(body []byte) error {
	if !utf8.Valid(body) {
		return errNotUTF8
	}
	for rest := body; ; {
		escape := bytes.IndexByte(rest, '\\')
		if escape < 0 {
			return nil
		}
		rest = rest[escape:]
		unit, is := surrogate(rest)
		switch {
		case !is:
			rest = rest[2:]
			continue
		case unit < 0xdc00: // the first half
			if second, is := surrogate(rest[6:]); is && second >= 0xdc00 {
				rest = rest[12:]
				continue
			}
		}
		return errLoneSurrogate
	}
}

// surrogate returns the half of a surrogate pair that the JSON text begins with, as an escape.
func surrogate(text []byte) (unit uint64, is bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return unit, err == nil && unit >= 0xd800 && unit <= 0xdfff
}

package parcel

import (
	"encoding/json"
	"strings"
)

// Shape says what a body looks like.
type Shape string

// Shapes are all shapes.
var Shapes = []Shape{"odd", "numbers", "deep", "text", "nul", "nothing"}

// MaxSize is nearly the largest message of NATS. It leaves room for the rest of the event.
const MaxSize = 1_000_000

// maxDepth is less than the depth that encoding/json can read.
const maxDepth = 5000

// body returns compact JSON of about that many bytes, the same each time.
func (s Shape) body(size int) json.RawMessage {
	switch s {
	case "odd": // repeated keys, and numbers as nobody would write them
		return list(size, `{"a":1e2,"b":-0.0,"a":1.50,"\u0062":1E+0400}`)
	case "numbers":
		return list(size, "7")
	case "deep":
		depth := min(size/2, maxDepth)
		return json.RawMessage(strings.Repeat("[", depth) + `"` + strings.Repeat("x", max(size-2*depth, 0)) + `"` + strings.Repeat("]", depth))
	case "text":
		return json.RawMessage(`"` + strings.Repeat("<&>\u00e9\U0001F600", size/12) + `"`)
	case "nul":
		return json.RawMessage(`"` + strings.Repeat(`\u0000\ud83d\ude00`, size/18) + `"`)
	default:
		return json.RawMessage(`null`)
	}
}

func list(size int, element string) json.RawMessage {
	n := size/(len(element)+1) + 1
	return json.RawMessage("[" + strings.Repeat(element+",", n-1) + element + "]")
}

package aggregatetest

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
)

// lostFields lists the fields of a type that do not survive JSON, even if the zero value of the
// type does.
func lostFields(t reflect.Type) []string {
	w := fieldWalk{seen: map[reflect.Type]bool{}}
	w.walk(t, t.String())
	return w.lost
}

type fieldWalk struct {
	seen map[reflect.Type]bool
	lost []string
}

func (w *fieldWalk) walk(t reflect.Type, path string) {
	if w.seen[t] || marshalsItself(t) {
		return
	}
	w.seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		w.walk(t.Elem(), path)
	case reflect.Interface:
		if t.NumMethod() > 0 {
			w.lost = append(w.lost, fmt.Sprintf("%s is an interface, JSON cannot tell which type to read it back as", path))
		}
	case reflect.Struct:
		for field := range t.Fields() {
			at := path + "." + field.Name
			switch {
			case field.Tag.Get("json") == "-":
			case !field.IsExported() && !field.Anonymous:
				w.lost = append(w.lost, at+" is not exported, JSON does not keep it")
			default:
				w.walk(field.Type, at)
			}
		}
	default:
	}
}

// marshalsItself tells whether a type writes its own JSON.
func marshalsItself(t reflect.Type) bool {
	for _, marshaler := range []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()} {
		if t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler) {
			return true
		}
	}
	return false
}

package aggregate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Strict refuses payloads of commands in three cases. A field that the command does not have is
// refused; without Strict it is ignored. A field in other letters than the command's, such as "BY"
// for "by", is refused; without Strict it is accepted. A field that is given twice is refused;
// without Strict the last one counts. Without Strict, payloads are read as encoding/json reads
// them.
func Strict[S any]() Option[S] {
	return func(d *Definition[S]) { d.strict = true }
}

// checkFields refuses JSON with fields that a type does not have. A type that reads its JSON by
// itself, with UnmarshalJSON, may get any fields, each once.
func checkFields(body []byte, t reflect.Type) error {
	f := fieldReader{json.NewDecoder(bytes.NewReader(body))}
	f.UseNumber()
	return f.value(t, "")
}

type fieldReader struct{ *json.Decoder }

// value reads the next value. A nil type stands for any type.
func (f fieldReader) value(t reflect.Type, path string) error {
	token, err := f.Token()
	if err != nil {
		return err
	}
	t = plain(t)
	switch token {
	case json.Delim('{'):
		err = f.object(t, path)
	case json.Delim('['):
		err = f.array(t, path)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.Token() // the end of the object or array
	return err
}

func (f fieldReader) array(t reflect.Type, path string) error {
	for f.More() {
		if err := f.value(elementOf(t), path); err != nil {
			return err
		}
	}
	return nil
}

func (f fieldReader) object(t reflect.Type, path string) error {
	seen := map[string]bool{}
	for f.More() {
		token, err := f.Token()
		if err != nil {
			return err
		}
		name := token.(string) // the decoder lets only strings pass
		if seen[name] {
			return fmt.Errorf("field %q is given twice", path+name)
		}
		seen[name] = true
		field := elementOf(t)
		if t != nil && t.Kind() == reflect.Struct {
			if field, err = fieldOf(t, name, path); err != nil {
				return err
			}
		}
		if err := f.value(field, path+name+"."); err != nil {
			return err
		}
	}
	return nil
}

// fieldOf returns the type of the struct's field with exactly this name.
func fieldOf(t reflect.Type, name, path string) (reflect.Type, error) {
	fields := fieldsOf(t)
	if field, ok := fields[name]; ok {
		return field, nil
	}
	names := slices.Sorted(maps.Keys(fields))
	for _, known := range names {
		if strings.EqualFold(known, name) {
			return nil, fmt.Errorf("field %q is unknown: it is written %q", path+name, known)
		}
	}
	return nil, fmt.Errorf("field %q is unknown: there are %q", path+name, names)
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// plain returns the type that a pointer type points to. It returns nil for a type that takes any
// JSON.
func plain(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() == reflect.Interface || reflect.PointerTo(t).Implements(unmarshaler) {
		return nil
	}
	return t
}

// elementOf returns the type of the elements of a map, slice or array.
func elementOf(t reflect.Type) reflect.Type {
	if t != nil && (t.Kind() == reflect.Map || t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
		return t.Elem()
	}
	return nil
}

// known caches the fields of each struct type.
var known sync.Map

// fieldsOf returns the fields of a struct by their names in JSON, including those of embedded
// structs.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if fields, ok := known.Load(t); ok {
		return fields.(map[string]reflect.Type)
	}
	fields, seen := map[string]reflect.Type{}, map[reflect.Type]bool{}
	for level := []reflect.Type{t}; len(level) > 0; { // outer fields hide inner ones
		var next []reflect.Type
		for _, t := range level {
			if !seen[t] { // a struct may embed a pointer to itself
				seen[t] = true
				next = append(next, addFields(fields, t)...)
			}
		}
		level = next
	}
	known.Store(t, fields)
	return fields
}

// addFields adds the fields of a struct that are not in fields yet. It returns the structs that
// are embedded in the struct.
func addFields(fields map[string]reflect.Type, t reflect.Type) (embedded []reflect.Type) {
	for f := range t.Fields() {
		tag := f.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		inner := plain(f.Type)
		switch {
		case tag == "-":
		case f.Anonymous && name == "" && inner != nil && inner.Kind() == reflect.Struct:
			embedded = append(embedded, inner)
		case f.IsExported():
			if name == "" {
				name = f.Name
			}
			if _, taken := fields[name]; !taken {
				fields[name] = f.Type
			}
		}
	}
	return embedded
}

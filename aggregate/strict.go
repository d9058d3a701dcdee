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

// Strict refuses payloads of commands with a field that the command does not have, with a field in
// other letters than the command's (such as "BY" for "by"), or with a field that is given twice.
// Without it, the first are left alone, the second are taken, and of the third the last counts, as
// encoding/json has it.
func Strict[S any]() Option[S] {
	return func(d *Definition[S]) { d.strict = true }
}

// checkFields holds JSON to the fields of a type. What a type reads by itself, with UnmarshalJSON,
// may have any fields, each once.
func checkFields(body []byte, t reflect.Type) error {
	f := fieldReader{json.NewDecoder(bytes.NewReader(body))}
	f.UseNumber()
	return f.value(t, "")
}

type fieldReader struct{ *json.Decoder }

// value reads the value that comes next. A nil type stands for any.
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
	_, err = f.Token() // its end
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
		name := token.(string) // the decoder lets nothing else pass
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

// fieldOf is the type of a struct's field with exactly this name.
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

// plain is what a pointer points to; nil for a type that takes any JSON.
func plain(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() == reflect.Interface || reflect.PointerTo(t).Implements(unmarshaler) {
		return nil
	}
	return t
}

// elementOf is the type of what is in a map, slice or array.
func elementOf(t reflect.Type) reflect.Type {
	if t != nil && (t.Kind() == reflect.Map || t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
		return t.Elem()
	}
	return nil
}

// known keeps the fields of each struct.
var known sync.Map

// fieldsOf are the fields of a struct by their names in JSON, those of embedded structs among them.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if fields, ok := known.Load(t); ok {
		return fields.(map[string]reflect.Type)
	}
	fields, seen := map[string]reflect.Type{}, map[reflect.Type]bool{}
	for level := []reflect.Type{t}; len(level) > 0; { // those of an outer struct hide those of an inner one
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

// addFields adds the fields of a struct that are not there yet, and returns the structs that are
// embedded in it.
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

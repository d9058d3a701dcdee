package aggregate

import "reflect"

// Bytes estimates the memory that the aggregate takes: its state with everything that the state
// points to. It looks at no more than a thousand values, and assumes that the rest of a long slice
// or map is like those.
func (i *instance[S]) Bytes() int {
	left := 1000
	return instanceBytes + len(i.id) + int(reflect.TypeFor[S]().Size()) + pointedTo(reflect.ValueOf(&i.state).Elem(), &left)
}

// instanceBytes is the size of an instance without its id and its state.
const instanceBytes = 48

// pointedTo estimates the memory behind a value, without the value itself. It looks at no more
// than left values.
func pointedTo(v reflect.Value, left *int) (bytes int) {
	if *left--; *left < 0 {
		return 0
	}
	switch v.Kind() { //nolint:exhaustive // the others point to nothing, or to what is not the state's
	case reflect.String:
		return v.Len()
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return int(v.Elem().Type().Size()) + pointedTo(v.Elem(), left)
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			bytes += pointedTo(field, left)
		}
	case reflect.Array:
		return elements(v, left)
	case reflect.Slice:
		return v.Cap()*int(v.Type().Elem().Size()) + elements(v, left)
	case reflect.Map:
		return entries(v, left)
	}
	return bytes
}

// elements estimates what the elements of an array or slice point to.
func elements(v reflect.Value, left *int) (bytes int) {
	if isFlat(v.Type().Elem()) {
		return 0
	}
	seen := 0
	for ; seen < v.Len() && *left > 0; seen++ {
		bytes += pointedTo(v.Index(seen), left)
	}
	return scale(bytes, seen, v.Len())
}

// entries estimates the memory of a map with its keys and values.
func entries(v reflect.Value, left *int) (bytes int) {
	const overhead = 16 // of an entry in its group, including free room
	t := v.Type()
	own := v.Len() * (overhead + int(t.Key().Size()+t.Elem().Size()))
	if isFlat(t.Key()) && isFlat(t.Elem()) {
		return own
	}
	seen := 0
	for all := v.MapRange(); *left > 0 && all.Next(); seen++ {
		bytes += pointedTo(all.Key(), left) + pointedTo(all.Value(), left)
	}
	return own + scale(bytes, seen, v.Len())
}

func scale(bytes, seen, all int) int {
	if seen == 0 {
		return 0
	}
	return bytes / seen * all
}

// isFlat tells whether it is certain that values of a type point to nothing.
func isFlat(t reflect.Type) bool {
	return t.Kind() <= reflect.Complex128 && t.Kind() != reflect.Invalid
}

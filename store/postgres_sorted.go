package store

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// sendable is a statement as it is sent: rewritten, and with the key of the row that it writes.
type sendable struct {
	commit    *Commit
	index     int // in the commit's statements
	sql, key  string
	arguments []any
}

// sending calls send with the statements of a read model one after the other, in the order in
// which they must be sent.
func sending(ctx context.Context, conn *pgx.Conn, m *ReadModel, group []*Commit, send func(sendable) error) error {
	var sorted []sendable
	for _, c := range group {
		for i, statement := range c.Statements {
			if statement.Model != m {
				continue
			}
			next := sendable{commit: c, index: i}
			err := guard(func() (err error) {
				if next.sql, next.arguments, err = rewritten(ctx, conn, statement.Query); err == nil {
					next.key, err = keyOf(m, next.arguments)
				}
				return err
			})
			switch {
			case err != nil:
				return &StatementError{Index: i, Err: err}
			case len(m.SortedBy) > 0:
				sorted = append(sorted, next)
				continue
			}
			if err := send(next); err != nil {
				return err
			}
		}
	}
	// Statements with equal keys keep their order.
	slices.SortStableFunc(sorted, func(a, b sendable) int { return cmp.Compare(a.key, b.key) })
	for _, next := range sorted {
		if err := send(next); err != nil {
			return err
		}
	}
	return nil
}

// keyOf returns the key of the row that a statement writes. Equal arguments have equal keys.
func keyOf(m *ReadModel, arguments []any) (string, error) {
	var key []byte
	for _, n := range m.SortedBy {
		if n > len(arguments) {
			return "", fmt.Errorf("projections.SortedBy(%d): the statement has %d arguments", n, len(arguments))
		}
		var err error
		if key, err = appendKey(key, reflect.ValueOf(arguments[n-1])); err != nil {
			return "", fmt.Errorf("projections.SortedBy(%d): %w", n, err)
		}
		key = append(key, 0)
	}
	return string(key), nil
}

func appendKey(key []byte, v reflect.Value) ([]byte, error) {
	switch {
	case !v.IsValid():
		return key, nil
	case v.Kind() == reflect.Pointer:
		return appendKey(key, v.Elem())
	case v.Kind() == reflect.String:
		return append(key, v.String()...), nil
	case v.CanInt():
		return strconv.AppendInt(key, v.Int(), 10), nil
	case v.CanUint():
		return strconv.AppendUint(key, v.Uint(), 10), nil
	case v.Kind() == reflect.Array && v.Type().Elem().Kind() == reflect.Uint8:
		return fmt.Appendf(key, "%x", v.Interface()), nil
	}
	return nil, fmt.Errorf("a key is a string, an integer or a UUID, not a %s", v.Type())
}

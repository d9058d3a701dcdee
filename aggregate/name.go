package aggregate

import "fmt"

// CheckName returns an error unless the name can be a token on the wire: [a-z][a-z0-9_]{0,63}.
// what says what the name is for: an "aggregate", "command" or "event".
func CheckName(what, name string) error {
	ok := len(name) >= 1 && len(name) <= 64 && name[0] >= 'a' && name[0] <= 'z'
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_'
	}
	if !ok {
		return fmt.Errorf("%s name %q: expected a lower-case letter, then up to 63 of a-z, 0-9 and _", what, clip(name))
	}
	return nil
}

// CheckID returns an error unless an aggregate id can be a token on the wire:
// [A-Za-z0-9_~:=+@-]{1,128}.
func CheckID(id string) error {
	ok := len(id) >= 1 && len(id) <= 128
	for i := 0; ok && i < len(id); i++ {
		ok = idByte[id[i]]
	}
	if !ok {
		return fmt.Errorf("aggregate id %q: expected 1 to 128 of A-Z a-z 0-9 _ ~ : = + @ - (no dots, spaces or wildcards)",
			clip(id))
	}
	return nil
}

var idByte = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_~:=+@-") {
		set[c] = true
	}
	return set
}()

// clip shortens a text, so that an error stays readable whatever a stranger sent.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

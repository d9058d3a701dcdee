package wire

import (
	"strings"
	"unicode"
)

// Printable returns a stranger's text in a form that can be stored and shown. It replaces broken
// UTF-8 and control characters, NUL among them. The refusal of a command must not fail because of
// the text that it quotes.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// PrintableHeader returns a message's headers in the form of [Printable].
func PrintableHeader(h map[string][]string) map[string][]string {
	clean := make(map[string][]string, len(h))
	for name, values := range h {
		for _, v := range values {
			clean[Printable(name)] = append(clean[Printable(name)], Printable(v))
		}
	}
	return clean
}

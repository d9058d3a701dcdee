package wire

import (
	"strings"
	"unicode"
)

// Printable is a stranger's text in a form that can be stored and shown: broken UTF-8 and control characters, NUL among
// them, are replaced. What refuses a command must not fail for what it quotes.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// PrintableHeader is a message's headers in such a form.
func PrintableHeader(h map[string][]string) map[string][]string {
	clean := make(map[string][]string, len(h))
	for name, values := range h {
		for _, v := range values {
			clean[Printable(name)] = append(clean[Printable(name)], Printable(v))
		}
	}
	return clean
}

package wire

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxReplyBytes is the longest subject that answers are sent to. A server closes the connection of
// a client that sends a line longer than its max_control_line. That limit is 4,096 bytes by
// default, and the server does not tell its value.
const maxReplyBytes = 1024

// CheckReply tells whether an answer can be sent to a subject that a client names. The error's text
// continues a sentence that begins with the subject's name.
func CheckReply(subject string) error {
	if len(subject) > maxReplyBytes {
		return fmt.Errorf("has %d bytes, at most %d are allowed", len(subject), maxReplyBytes)
	}
	bad := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
	tokens := strings.Split(subject, ".")
	if !utf8.ValidString(subject) || strings.ContainsFunc(subject, bad) ||
		slices.ContainsFunc(tokens, func(token string) bool { return token == "" || token == "*" || token == ">" }) {
		return fmt.Errorf("%.80q: expected a subject without spaces, wildcards and empty parts", subject)
	}
	return nil
}

// verbs are the second parts of Maestro's subjects, in all namespaces.
var verbs = []string{"cmd", "do", "get", "history", "snapshot", "evt", "fence", "worker", "log"}

// MayAnswer tells whether a worker sends answers to a subject. It returns false for the subjects of
// a namespace and of the server. Workers may write to those, and must not write there for clients
// who may not.
func (ns Namespace) MayAnswer(subject string) bool {
	if CheckReply(subject) != nil || subject[0] == '$' || strings.HasPrefix(subject, string(ns)+".") {
		return false
	}
	_, rest, _ := strings.Cut(subject, ".")
	second, _, _ := strings.Cut(rest, ".")
	return !slices.Contains(verbs, second)
}

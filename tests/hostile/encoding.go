package hostile

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
)

// MarshalJSON writes the state, and its snapshots.
func (l Ledger) MarshalJSON() ([]byte, error) {
	switch l.writes {
	case "writing panics":
		panic("no such JSON")
	case "writing exits":
		runtime.Goexit()
	}
	type plain Ledger
	return json.Marshal(plain(l))
}

// MarshalJSON returns what is stored.
func (e Wild) MarshalJSON() ([]byte, error) {
	if e.Encode != nil {
		return e.Encode()
	}
	return json.Marshal(map[string]string{"habit": e.Habit})
}

// UnmarshalJSON reads any JSON, and takes the habit from an object that has one.
func (e *Wild) UnmarshalJSON(body []byte) error {
	var stored struct{ Habit string }
	_ = json.Unmarshal(body, &stored) // anything but an object has no habit
	if stored.Habit == "unreadable" {
		return errors.New("an event that cannot be read")
	}
	e.Habit = stored.Habit
	return nil
}

// stores is the habit of an event with a body of its own.
func stores(body string) func(Misbehave, root) (events, error) {
	return emits(Wild{Encode: func() ([]byte, error) { return []byte(body), nil }})
}

// text is the habit of an event with the text t.
func text(t string) func(Misbehave, root) (events, error) { return emits(Added{Text: t}) }

// many is the habit of n events at once.
func many(n int) func(Misbehave, root) (events, error) {
	return func(Misbehave, root) (events, error) {
		all := make(events, n)
		for i := range all {
			all[i] = Added{}
		}
		return all, nil
	}
}

// Encoding are the habits concerning stored data.
var Encoding = []CommandHabit{
	{Habit{"an event that cannot be written", "failed invalid_event"}, emits(Wild{Encode: func() ([]byte, error) {
		return nil, errors.New("a channel")
	}})},
	{Habit{"writing an event panics", "failed panic"}, emits(Wild{Encode: func() ([]byte, error) { panic("a cycle") }})},
	{Habit{"an event that is no JSON", "failed invalid_event"}, stores(`{"a":`)},
	{Habit{"an event that cannot be read back", "failed invalid_event"}, stores(`{"habit":"unreadable"}`)},
	{Habit{"an event that is a number", "committed"}, stores(`1e2`)},
	{Habit{"an event that is null", "committed"}, stores(`null`)},
	{Habit{"keys that come twice", "committed"}, stores(`{"a":1e2,"b":-0.0,"a":1.50}`)},
	{Habit{"a text with U+FFFD for what is no UTF-8", "committed"}, text("a\xffb")},
	{Habit{"a text of line separators and angle brackets", "committed"}, text("\u2028<&>\u2029\U0001F600")},
	{Habit{"an event of half a megabyte", "committed"}, text(strings.Repeat("x", 500_000))},
	{Habit{"an event of two megabytes", "failed too_large"}, text(strings.Repeat("x", 2_000_000))},
	{Habit{"five thousand events", "committed"}, many(5000)},
	{Habit{"an array of 100,000 numbers", "committed"}, stores("[" + strings.Repeat("1,", 100_000) + "1]")},
	{Habit{"a thousand levels", "committed"}, stores(strings.Repeat("[", 1000) + strings.Repeat("]", 1000))},
	{Habit{"a hundred thousand levels", "failed invalid_event"}, stores(strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000))},
	{Habit{"a text with NUL", "committed"}, text("a\x00b")},
	{Habit{"numbers that no database knows", "committed"}, stores(`[1e131071,-1E-131071,123456789012345678901234567890.10]`)},
	{Habit{"a lone surrogate", "failed invalid_event"}, stores(`"\ud800"`)},
	{Habit{"180 kB of angle brackets", "committed"}, text(strings.Repeat("<", 180_000))},
	{Habit{"a million bytes of numbers", "committed"}, stores("[" + strings.Repeat("1,", 500_000) + "1]")},
	{Habit{"an event that is no UTF-8", "failed invalid_event"}, stores("\"a\xffb\"")},
	{Habit{"10,000 keys", "committed"}, stores(keys(10_000))},
}

func keys(n int) string {
	var b strings.Builder
	b.WriteString(`{"k":0`)
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":%d`, i, i)
	}
	return b.String() + "}"
}

package aggregatetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/maestro-es/maestro/aggregate"
)

// history is one history of a golden file.
type history struct {
	title string
	// heading is the line with the title. text is the lines after it.
	heading, text string
}

// split divides a file into the text before the first title and the histories.
func split(text string) (head string, histories []history) {
	for line := range strings.Lines(text) {
		title, isTitle := titleOf(line)
		switch {
		case isTitle:
			histories = append(histories, history{title: title, heading: line})
		case len(histories) == 0:
			head += line
		default:
			histories[len(histories)-1].text += line
		}
	}
	return head, histories
}

// titleOf reads a line such as "-- the title --".
func titleOf(line string) (title string, ok bool) {
	line = strings.TrimSpace(line)
	after, begins := strings.CutPrefix(line, "-- ")
	title, ends := strings.CutSuffix(after, " --")
	return strings.TrimSpace(title), begins && ends
}

// retell plays the lines of a history that people wrote, and adds the results. A history without
// commands ends with the state.
func retell(d aggregate.Type, text string) (string, error) {
	s := begin(d, "1")
	content := strings.TrimRight(text, "\n")
	for line := range strings.Lines(content) {
		line = strings.TrimSpace(line)
		if err := s.play(line); err != nil {
			return "", fmt.Errorf("line %q: %w", line, err)
		}
	}
	if s.commands == 0 {
		s.state()
	}
	blank := max(len(text)-len(content), 1)
	return s.String() + strings.Repeat("\n", blank), nil
}

// play carries out one line.
func (s *story) play(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case line == "" || strings.HasPrefix(line, "#"):
		s.lines = append(s.lines, line)
	case word == "given":
		return s.playGiven(rest)
	case word == "when":
		name, body, _ := strings.Cut(rest, " ")
		if decided, err := s.when(name, json.RawMessage(strings.TrimSpace(body))); err == nil && len(decided) > 0 {
			s.state()
		}
	case word == "at":
		at, err := time.Parse(time.RFC3339, rest)
		if err != nil {
			return err
		}
		s.now = at
		s.tellf("at", "%s", rest)
	case word == "then" || word == "state" || word == "rejected" || word == "failed":
		// These lines are the results of the last time.
	default:
		return errors.New("expected given, when, at, or a comment that begins with #")
	}
	return nil
}

func (s *story) playGiven(text string) error {
	recorded, err := readEvent(text)
	if err != nil {
		return err
	}
	if err := s.given(recorded); err != nil {
		s.refused(err)
	}
	return nil
}

// readEvent reads "name body" or "name@version body".
func readEvent(text string) (aggregate.Recorded, error) {
	name, body, _ := strings.Cut(text, " ")
	name, version, versioned := strings.Cut(name, "@")
	r := aggregate.Recorded{Type: name, Version: 1, Body: json.RawMessage(strings.TrimSpace(body))}
	if len(r.Body) == 0 {
		r.Body = json.RawMessage("{}")
	}
	if versioned {
		var err error
		if r.Version, err = strconv.Atoi(version); err != nil {
			return r, fmt.Errorf("version %q: expected a whole number", version)
		}
	}
	return r, nil
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/store"
)

// print prints a value as a line of JSON or in words, depending on --json.
func (s *shared) print(w io.Writer, value any, words func() string) error {
	if s.JSON {
		return json.NewEncoder(w).Encode(value)
	}
	_, err := fmt.Fprintln(w, words())
	return err
}

// printOutcome prints a command's outcome. It returns errNotCommitted if the command was rejected
// or failed.
func (s *shared) printOutcome(w io.Writer, o store.Outcome) error {
	if err := s.print(w, o, func() string { return inWords(o) }); err != nil {
		return err
	}
	if client.Err(o) != nil {
		return errNotCommitted
	}
	return nil
}

func inWords(o store.Outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s", o.Status, o.Aggregate, o.ID)
	if err := client.Err(o); err != nil {
		fmt.Fprintf(&b, ": %s", err)
	} else {
		fmt.Fprintf(&b, " is at sequence %d", o.Sequence)
	}
	fmt.Fprintf(&b, " (command %s)", o.CommandID)
	if o.Duplicate {
		b.WriteString(", as answered before: the command was handled already")
	}
	if o.Error != nil && len(o.Error.Details) > 0 {
		fmt.Fprintf(&b, "\n%s", o.Error.Details)
	}
	for _, e := range o.Events {
		b.WriteString("\n" + eventInWords(e))
	}
	if o.State != nil {
		fmt.Fprintf(&b, "\n%s", o.State)
	}
	return b.String()
}

func eventInWords(e store.OutcomeEvent) string {
	return fmt.Sprintf("%d  %s  %s  %s", e.Sequence, e.RecordedAt.Format(time.RFC3339Nano), e.Type, e.Body)
}

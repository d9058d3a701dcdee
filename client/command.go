package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/maestro-es/maestro/aggregate"
	"github.com/maestro-es/maestro/internal/hlc"
)

// Command asks an aggregate for something. Its JSON is a line of an import.
type Command struct {
	// ID names the command, 1 to 256 printable bytes; empty stands for a new one. The same id on
	// the same aggregate takes effect once.
	ID string `json:"id,omitempty"`
	// Aggregate is the aggregate's type, AggregateID its id, Name the command's name.
	Aggregate   string `json:"aggregate"`
	AggregateID string `json:"aggregate_id"`
	Name        string `json:"command"`
	// Data is the payload: anything that encoding/json takes, or a json.RawMessage. Nil stands for
	// {}.
	Data any `json:"data,omitempty"`
	// ExpectSequence, if not nil, has the command rejected unless it is the sequence of the
	// aggregate's last event.
	ExpectSequence *int64 `json:"-"`
	// Deadline, if not zero, is when the command fails instead of being handled.
	Deadline time.Time `json:"-"`
	// Return is what the outcome shall contain.
	Return Return `json:"-"`
	// CorrelationID and CausationID go into the events' metadata.
	CorrelationID string `json:"-"`
	CausationID   string `json:"-"`

	line int // of an import, from 1
}

// Return is what an outcome contains apart from what became of the command.
type Return string

// What [Command.Return] may be.
const (
	ReturnNone   Return = ""
	ReturnEvents Return = "events"
	ReturnState  Return = "state"
)

// NewID returns a new command id: a UUID of version 7, so that ids sort by time.
func NewID() string { return hlc.NewID() }

// giveID names a command that has no name yet.
func (c *Command) giveID() {
	if c.ID == "" {
		c.ID = NewID()
	}
}

func (c *Command) check() error {
	err := errors.Join(
		aggregate.CheckName("aggregate", c.Aggregate),
		aggregate.CheckID(c.AggregateID),
		aggregate.CheckName("command", c.Name),
		checkToken("command id", c.ID),
		checkToken("correlation id", c.CorrelationID),
		checkToken("causation id", c.CausationID),
	)
	switch c.Return {
	case ReturnNone, ReturnEvents, ReturnState:
	default:
		err = errors.Join(err, fmt.Errorf("return %q: expected nothing, %q or %q", c.Return, ReturnEvents, ReturnState))
	}
	if c.ExpectSequence != nil && *c.ExpectSequence < 0 {
		err = errors.Join(err, fmt.Errorf("expected sequence %d: sequences count from 0", *c.ExpectSequence))
	}
	if err != nil {
		return invalid("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

// checkToken tells whether a header can carry a value unchanged. Empty is fine: it is not sent.
func checkToken(what, value string) error {
	ok := len(value) <= 256 && utf8.ValidString(value) && strings.TrimSpace(value) == value
	for _, r := range value {
		ok = ok && unicode.IsPrint(r)
	}
	if !ok {
		return fmt.Errorf("%s %.80q: expected 1 to 256 printable bytes without blanks at the ends", what, value)
	}
	return nil
}

// body is the payload's JSON.
func (c *Command) body() ([]byte, error) {
	switch data := c.Data.(type) {
	case nil:
		return nil, nil
	case json.RawMessage:
		if len(data) > 0 && !json.Valid(data) {
			return nil, invalid("data of %s %s is not valid JSON: %.80s", c.Aggregate, c.Name, data)
		}
		return data, nil
	}
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // which would make a text up to six times as long
	if err := encoder.Encode(c.Data); err != nil {
		return nil, invalid("data of %s %s: %w", c.Aggregate, c.Name, err)
	}
	return bytes.TrimSuffix(body.Bytes(), []byte("\n")), nil
}

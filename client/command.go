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
	// ID names the command: 1 to 256 printable bytes. Empty means a new id. The same id on the same
	// aggregate takes effect once.
	ID string `json:"id,omitempty"`
	// Aggregate is the aggregate's type, AggregateID its id, and Name the command's name.
	Aggregate   string `json:"aggregate"`
	AggregateID string `json:"aggregate_id"`
	Name        string `json:"command"`
	// Data is the payload: any value that encoding/json can encode, or a json.RawMessage. nil means
	// {}.
	Data any `json:"data,omitempty"`
	// ExpectSequence, if not nil, is the expected sequence of the aggregate's last event. If the
	// sequence differs, the command is rejected.
	ExpectSequence *int64 `json:"-"`
	// Deadline, if not zero, is the time from which the command fails instead of being handled.
	Deadline time.Time `json:"-"`
	// Return says what the outcome contains in addition.
	Return Return `json:"-"`
	// CorrelationID and CausationID go into the events' metadata.
	CorrelationID string `json:"-"`
	CausationID   string `json:"-"`

	line int // line of an import, from 1
}

// Return says what an outcome contains in addition to the result of the command.
type Return string

// These are the values of [Command.Return].
const (
	ReturnNone   Return = ""
	ReturnEvents Return = "events"
	ReturnState  Return = "state"
)

// NewID returns a new command id. It is a UUID of version 7, so ids sort by time.
func NewID() string { return hlc.NewID() }

// giveID gives a command an id if it has none.
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

// checkToken returns an error unless a header can carry the value unchanged. An empty value is
// allowed, because it is not sent.
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

// body returns the payload's JSON.
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
	encoder.SetEscapeHTML(false) // escapes would make a text up to six times as long
	if err := encoder.Encode(c.Data); err != nil {
		return nil, invalid("data of %s %s: %w", c.Aggregate, c.Name, err)
	}
	return bytes.TrimSuffix(body.Bytes(), []byte("\n")), nil
}

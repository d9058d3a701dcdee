package openloop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"text/template"

	"github.com/maestro-es/maestro/aggregate"
)

// Load says which commands are sent.
type Load struct {
	// Aggregate is the aggregates' type. Command is the command's name.
	Aggregate, Command string
	// Data is the command's JSON. The zero value stands for {}.
	Data Data
	// Aggregates is the number of aggregates, which are picked at random. Their ids are IDs
	// followed by a number from 0.
	Aggregates int
	IDs        string
	// Hot is the share of the commands, 0 to 1, that go to the aggregate with number 0.
	Hot float64
	// Durable commands go through the command stream; other commands are requests. Both are
	// measured up to their outcome.
	Durable bool
}

// Check tells whether the load can be sent.
func (l Load) Check() error {
	errs := []error{
		aggregate.CheckName("aggregate", l.Aggregate), aggregate.CheckName("command", l.Command),
		aggregate.CheckID(l.id(max(l.Aggregates, 1) - 1)),
	}
	if l.Aggregates < 1 {
		errs = append(errs, fmt.Errorf("%d aggregates: expected 1 or more", l.Aggregates))
	}
	if !(l.Hot >= 0 && l.Hot <= 1) { // not a number is neither
		errs = append(errs, fmt.Errorf("hot share %v: expected 0 to 1, such as 0.5 for half of the commands", l.Hot))
	}
	return errors.Join(errs...)
}

func (l Load) id(number int) string { return l.IDs + strconv.Itoa(number) }

// pick returns the id of the aggregate for the next command.
func (l Load) pick() string {
	if l.Hot > 0 && rand.Float64() < l.Hot {
		return l.id(0)
	}
	if l.Hot > 0 && l.Aggregates > 1 {
		return l.id(1 + rand.IntN(l.Aggregates-1))
	}
	return l.id(rand.IntN(l.Aggregates))
}

// Data makes the JSON of commands.
type Data struct {
	same     []byte
	template *template.Template // nil if all commands have the same data
}

// variables are the values that a template can use.
type variables struct {
	N  int    // the command's number, from 0
	ID string // the aggregate's id
}

// ParseData reads the JSON of a command. The JSON may be a template of Go's text/template: {{.N}}
// is the command's number, {{.ID}} the aggregate's id, {{random 100}} a number from 0 to 99.
func ParseData(text string) (Data, error) {
	d := Data{same: []byte(text)}
	if strings.Contains(text, "{{") {
		parsed, err := template.New("data").Funcs(template.FuncMap{"random": random}).Parse(text)
		if err != nil {
			return d, fmt.Errorf("data: %w", err)
		}
		d.template = parsed
	}
	first, err := d.of(variables{ID: "0"})
	if err != nil {
		return d, fmt.Errorf("data: %w", err)
	}
	if len(first) > 0 && !json.Valid(first) {
		return d, fmt.Errorf("data: expected JSON, or a template of it, got %.80s", first)
	}
	return d, nil
}

func random(below int) (int, error) {
	if below < 1 {
		return 0, fmt.Errorf("random %d: expected a number above 0", below)
	}
	return rand.IntN(below), nil
}

func (d Data) of(v variables) ([]byte, error) {
	if d.template == nil {
		return d.same, nil
	}
	var b bytes.Buffer
	if err := d.template.Execute(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

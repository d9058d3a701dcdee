package store

import (
	"encoding/json"
	"time"
)

// eventArrays are the arguments of the statement that inserts events: the partition, then one array for each column.
// Arrays of strings that Postgres casts to jsonb are the quickest form of those that BenchmarkForms compares.
func eventArrays(partition int, events []Event) []any {
	n := len(events)
	positions, sequences, versions := make([]int64, n), make([]int64, n), make([]int32, n)
	aggregates, ids, types := make([]string, n), make([]string, n), make([]string, n)
	bodies, metadata, times := make([]string, n), make([]string, n), make([]time.Time, n)
	var scratch []byte
	for i := range events {
		e := &events[i]
		positions[i], sequences[i], versions[i] = e.Position, e.Sequence, int32(e.Version)
		aggregates[i], ids[i], types[i] = e.Aggregate.Type, e.Aggregate.ID, e.Type
		bodies[i], times[i] = string(e.Body), e.RecordedAt
		if i > 0 && e.Metadata == events[i-1].Metadata { // events of one command
			metadata[i] = metadata[i-1]
		} else {
			scratch = e.Metadata.appendJSON(scratch[:0])
			metadata[i] = string(scratch)
		}
	}
	return []any{partition, positions, aggregates, ids, sequences, types, versions, bodies, metadata, times}
}

// receiptArrays are the arguments of the statement that inserts receipts.
func receiptArrays(partition int, receipts []Receipt) []any {
	n := len(receipts)
	types, ids, commands, statuses := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	sequences, positions, events := make([]int64, n), make([]int64, n), make([]int32, n)
	problems, times := make([]*string, n), make([]time.Time, n)
	for i := range receipts {
		r := &receipts[i]
		types[i], ids[i], commands[i], statuses[i] = r.Aggregate.Type, r.Aggregate.ID, r.CommandID, string(r.Status)
		sequences[i], positions[i], events[i] = r.Sequence, r.Position, int32(r.Events)
		problems[i], times[i] = r.Error.json(), r.At
	}
	return []any{partition, types, ids, commands, statuses, sequences, positions, events, problems, times}
}

// json is the error as JSON, nil for none.
func (e *Error) json() *string {
	if e == nil {
		return nil
	}
	b, _ := json.Marshal(e) // two strings always have a JSON
	s := string(b)
	return &s
}

// appendJSON appends the metadata as JSON, several times quicker than encoding/json: there is one for every event.
func (m *Metadata) appendJSON(b []byte) []byte {
	b = append(b, `{"command_id":`...)
	b = appendString(b, m.CommandID)
	for _, field := range [...]struct{ name, value string }{
		{`,"correlation_id":`, m.CorrelationID},
		{`,"causation_id":`, m.CausationID},
		{`,"traceparent":`, m.Traceparent},
		{`,"tracestate":`, m.Tracestate},
	} {
		if field.value != "" {
			b = append(b, field.name...)
			b = appendString(b, field.value)
		}
	}
	return append(b, '}')
}

// appendString appends a JSON string. What needs no escape is copied.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s)
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

package store

import (
	"encoding/json"
	"strings"
	"time"
)

// advanceArrays returns the arguments of the statement that moves partitions on: one array for
// each column.
func advanceArrays(group []*Commit) []any {
	n := len(group)
	partitions, epochs, layouts := make([]int16, n), make([]int64, n), make([]int64, n)
	from, fromTimes, to := make([]int64, n), make([]*time.Time, n), make([]int64, n)
	published, eventStreams, commandStreams := make([]int64, n), make([]*time.Time, n), make([]*time.Time, n)
	cursors, cursorTimes, recorded := make([]int64, n), make([]*time.Time, n), make([]*time.Time, n)
	for i, c := range group {
		partitions[i], epochs[i], layouts[i] = int16(c.Partition), c.Epoch, c.Layout
		from[i], fromTimes[i], to[i] = c.Position, nullTime(c.Time), c.Position+int64(len(c.Events))
		published[i], eventStreams[i] = c.Published, nullTime(c.EventStreamCreated)
		commandStreams[i], cursors[i], cursorTimes[i] = nullTime(c.Cursor.StreamCreated), int64(c.Cursor.Sequence), nullTime(c.Cursor.Time)
		if last := len(c.Events) - 1; last >= 0 {
			recorded[i] = nullTime(c.Events[last].RecordedAt)
		}
	}
	return []any{partitions, epochs, layouts, from, fromTimes, to, published, eventStreams, commandStreams, cursors, cursorTimes, recorded}
}

// eventArrays returns the arguments of the statement that inserts events: one array for each
// column, or nil if there are no events. BenchmarkForms compares several forms; arrays in the
// select list are the quickest.
func eventArrays(group []*Commit) []any {
	n := 0
	for _, c := range group {
		n += len(c.Events)
	}
	if n == 0 {
		return nil
	}
	partitions, positions, sequences, versions := make([]int16, n), make([]int64, n), make([]int64, n), make([]int32, n)
	aggregates, ids, types := make([]string, n), make([]string, n), make([]string, n)
	codecs, bodies, metadata, times := make([]int16, n), make([][]byte, n), make([]string, n), make([]time.Time, n)
	var scratch []byte
	row := 0
	for _, c := range group {
		for i := range c.Events {
			e := &c.Events[i]
			partitions[row] = int16(c.Partition)
			positions[row], sequences[row], versions[row] = e.Position, e.Sequence, int32(e.Version)
			aggregates[row], ids[row], types[row] = e.Aggregate.Type, e.Aggregate.ID, e.Type
			codecs[row], bodies[row], times[row] = int16(codecOf(e.Body)), notNil(e.Body), e.RecordedAt
			if i > 0 && e.Metadata == c.Events[i-1].Metadata { // events of one command
				metadata[row] = metadata[row-1]
			} else {
				scratch = e.Metadata.appendJSON(scratch[:0])
				metadata[row] = string(scratch)
			}
			row++
		}
	}
	return []any{partitions, positions, aggregates, ids, sequences, types, versions, codecs, bodies, metadata, times}
}

// receiptArrays returns the arguments of the statement that inserts receipts, or nil if there are
// none.
func receiptArrays(group []*Commit) []any {
	n := 0
	for _, c := range group {
		n += len(c.Receipts)
	}
	if n == 0 {
		return nil
	}
	partitions, types, ids, commands := make([]int16, n), make([]string, n), make([]string, n), make([]string, n)
	statuses, sequences, positions, events := make([]string, n), make([]int64, n), make([]int64, n), make([]int32, n)
	problems, times := make([]*string, n), make([]time.Time, n)
	row := 0
	for _, c := range group {
		for i := range c.Receipts {
			r := &c.Receipts[i]
			partitions[row], types[row], ids[row], commands[row] = int16(c.Partition), r.Aggregate.Type, r.Aggregate.ID, r.CommandID
			statuses[row], sequences[row], positions[row], events[row] = string(r.Status), r.Sequence, r.Position, int32(r.Events)
			problems[row], times[row] = errorJSON(r.Error), r.At
			row++
		}
	}
	return []any{partitions, types, ids, commands, statuses, sequences, positions, events, problems, times}
}

// errorJSON returns the error as JSON, or nil if there is none.
func errorJSON(e *Error) *string {
	if e == nil {
		return nil
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // so that details come back unchanged
	_ = encoder.Encode(e)        // strings and JSON can always be encoded
	s := b.String()
	return &s
}

// appendJSON appends the metadata as JSON. It is several times quicker than encoding/json, which
// matters because every event has metadata.
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

// appendString appends a JSON string. A string that needs no escape is copied.
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

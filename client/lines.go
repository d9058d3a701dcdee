package client

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// maxLine bounds a line of an import. It is the largest max_payload that a NATS server can have.
const maxLine = 64 << 20

// Commands reads the commands of an import, one JSON object a line:
//
//	{"id":"a-1","aggregate":"counter","aggregate_id":"42","command":"increment","data":{"by":1}}
//
// The id and the data may be left out. Empty lines are skipped. The input may be compressed with
// gzip. The sequence ends with the first error, a *[LineError].
func Commands(r io.Reader) iter.Seq2[Command, error] {
	return func(yield func(Command, error) bool) {
		line := 0
		lines, err := lineScanner(r)
		for err == nil && lines.Scan() {
			line++
			if len(bytes.TrimSpace(lines.Bytes())) == 0 {
				continue
			}
			var cmd Command
			if cmd, err = parseCommand(lines.Bytes()); err != nil {
				break
			}
			cmd.line = line
			if !yield(cmd, nil) {
				return
			}
		}
		if err == nil && lines.Err() != nil {
			line, err = line+1, lines.Err()
		}
		if err != nil {
			yield(Command{}, &LineError{Line: line, Err: err})
		}
	}
}

func lineScanner(r io.Reader) (*bufio.Scanner, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		r = unzipped
	} else {
		r = in
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), maxLine)
	return lines, nil
}

func parseCommand(line []byte) (Command, error) {
	var data json.RawMessage
	cmd := Command{Data: &data}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&cmd)
	if _, trailing := decoder.Token(); err == nil && !errors.Is(trailing, io.EOF) {
		err = errors.New("more than one JSON value")
	}
	if err != nil {
		return cmd, fmt.Errorf("%w; expected one object a line, "+
			`{"id":..,"aggregate":..,"aggregate_id":..,"command":..,"data":{..}}`, err)
	}
	cmd.Data = data
	return cmd, cmd.check()
}

package faults

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/maestro-es/maestro/client"
	"github.com/maestro-es/maestro/internal/wire"
	"github.com/maestro-es/maestro/tests/faults/parcel"
)

// pack makes an operation on a parcel in the partition of the round's counter. The parcel's read
// model is in the given mood.
func (s *stage) pack(mood parcel.Mood) *operation {
	s.Helper()
	s.sent++
	id := ""
	for n := 0; id == "" || wire.Partition("parcel", id, s.partitions) != s.partition(); n++ {
		id = fmt.Sprint("parcel-", n)
	}
	data, err := json.Marshal(parcel.Pack{Shape: "text", Size: 100, Mood: mood})
	require.NoError(s, err)
	return s.begin(operation{how: byRequest, command: client.Command{ID: fmt.Sprint("s", s.sent), Aggregate: "parcel", AggregateID: id,
		Name: "pack", Data: json.RawMessage(data), Return: client.ReturnState}})
}

// endItsTransaction makes a read model roll back the transaction that it was given, and report
// success.
func (s *stage) endItsTransaction() { s.do(s.pack(parcel.Ends)) }

// weakenItsSession makes a read model leave a session whose commits do not wait for the standby.
// Then the standby is away while the same lane commits something else. The standby is then
// promoted.
func (s *stage) weakenItsSession() {
	s.do(s.pack(parcel.Weakens))
	s.database.acknowledgements.cut()
	patient := &loader{load: s.load, Client: s.client(s.nats, patience), random: s.random}
	patient.try(s.op("increment", `{"by":2}`), byRequest, 10*time.Second)
	require.NoError(s, s.database.failOver(s.Context(), 0))
	s.do(s.op("increment", `{"by":3}`))
}

package store

import (
	"context"
	"time"

	"github.com/maestro-es/maestro/aggregate"
)

// Store is an event log divided into a fixed number of partitions. It is safe for concurrent use.
//
// Its errors are listed in errors.go. [Judge] tells what each error leads to, and whether the same
// call may succeed later.
type Store interface {
	// Partitions returns the number of partitions, which was fixed when the namespace was created.
	Partitions() int
	// Acquire makes owner the partition's owner and raises the partition's epoch by one. From then
	// on, commits of an earlier owner are refused.
	Acquire(ctx context.Context, partition int, owner string) (Partition, error)
	// Partition returns the current row of the partition.
	Partition(ctx context.Context, partition int) (Partition, error)
	// Rows returns the rows of all partitions, in the order of their numbers.
	Rows(ctx context.Context) ([]Partition, error)
	// Commit makes a batch permanent, whole or not at all. It returns [ErrFenced] if the partition
	// has another epoch. It returns [ErrConflict] if the partition has another layout or position, or
	// an aggregate has another sequence. It returns [ErrDuplicate] if one of the commands has a
	// receipt already. It returns a [*StatementError] if a statement failed, or a [*Fault] around the
	// error of a handler.
	Commit(ctx context.Context, c *Commit) error
	// Load reads the histories of aggregates of one partition. It returns one for each query, in the
	// order of the queries.
	Load(ctx context.Context, partition int, queries []Query) ([]History, error)
	// Events reads at most limit events of one aggregate, with sequences above the given one, in
	// order. A page may end earlier, with the event that brings it to [PageBytes].
	Events(ctx context.Context, partition int, key Key, above int64, limit int) ([]Event, error)
	// Log reads at most limit events of a partition, with positions above the given one, in order.
	// Its pages end as those of Events do.
	Log(ctx context.Context, partition int, above int64, limit int) ([]Event, error)
	// SaveSnapshots stores snapshots of aggregates of one partition. It leaves out a snapshot that is
	// older than the stored one, and one of a sequence that the log does not have. The caller need
	// not own the partition, because an aggregate has only one state at a sequence.
	SaveSnapshots(ctx context.Context, partition int, snapshots []Snapshot) error
	// Receipts finds the receipts of commands of one partition. A command without a receipt is absent
	// from the result.
	Receipts(ctx context.Context, partition int, commands []CommandKey) (map[CommandKey]Receipt, error)
}

// Key identifies an aggregate.
type Key struct {
	Type, ID string
}

// CommandKey identifies a command. The command's id is unique for its aggregate.
type CommandKey struct {
	Key
	CommandID string
}

// Partition is a partition's row. It says who owns the partition and how far the partition has
// come.
type Partition struct {
	Number int
	// Owner is the name of the last owner that acquired the partition. Epoch is how often the
	// partition was acquired.
	Owner string
	Epoch int64
	// Layout goes up by one whenever the set of projections that are kept in the partition's commits
	// changes.
	Layout int64
	// Position is the position of the last committed event, or 0 before the first. Published is the
	// position of the last event known to be in the event stream.
	Position, Published int64
	// Cursor is how far the command stream has been handled.
	Cursor Cursor
	// EventStreamCreated is the creation time of the event stream that Published refers to.
	EventStreamCreated time.Time
	// Time is the time of the last committed event. Acquire returns it at most a minute beyond Clock.
	Time time.Time
	// Clock is the time of the store's clock when the row was read.
	Clock time.Time
}

// Next returns a commit that continues from the partition's place and changes nothing yet.
func (p Partition) Next() *Commit {
	return &Commit{Partition: p.Number, Epoch: p.Epoch, Layout: p.Layout, Position: p.Position, Time: p.Time,
		Cursor: p.Cursor, Published: p.Published, EventStreamCreated: p.EventStreamCreated}
}

// Cursor is a place in the command stream: the last message that has been handled.
type Cursor struct {
	// StreamCreated is the creation time of the command stream that Sequence refers to.
	StreamCreated time.Time
	// Sequence is the message's sequence in the stream, or 0 before the first message.
	Sequence uint64
	// Time is when the stream stored the message.
	Time time.Time
}

// Commit is a batch of evaluated commands of one partition.
type Commit struct {
	// Partition, Epoch, Layout, Position and Time say where the owner believes the log to be; see
	// [Partition]. If the log is elsewhere, the commit is refused. Time is needed because the log may
	// reach the same position again after commits were lost. The event at that position then has
	// another time.
	Partition int
	Epoch     int64
	Layout    int64
	Position  int64
	Time      time.Time
	// Known says that the owner has read where the history of each aggregate ends at Position, so
	// that the sequences of Events continue from there. Without Known, Commit reads these ends first.
	Known bool
	// Cursor, Published and EventStreamCreated replace those of the partition.
	Cursor             Cursor
	Published          int64
	EventStreamCreated time.Time
	// Events have the positions Position+1, Position+2 ... without a gap. Their times rise with their
	// positions.
	Events      []Event
	Receipts    []Receipt
	DeadLetters []DeadLetter
	// Statements are SQL of projections that is sent in the same exchange. They run after everything
	// else is written: one read model after the other, in the order given, each with its read model's
	// search path. Their results are not read. A statement that fails undoes the commit, with a
	// [*StatementError].
	Statements []Statement
	// Patience, if not 0, bounds the time of Statements and Handlers together. The commit is then
	// made step by step, so that an error says which of them was late. The in-memory store ignores
	// it.
	Patience time.Duration
	// Handlers run in the transaction after Statements, one after the other, each with its read
	// model's search path. The error of a handler undoes the commit. The in-memory store runs neither
	// statements nor handlers, because it has no transaction to give.
	Handlers []Handler
	// Clock is the time of the store's clock in the transaction. A successful Commit sets it.
	Clock time.Time
}

// Event is a committed event.
type Event struct {
	// Partition and Position are the event's place in the log. Positions count from 1 in each
	// partition.
	Partition int
	Position  int64
	// Aggregate is the aggregate that the event belongs to.
	Aggregate Key
	aggregate.Recorded
	Metadata Metadata
	// RecordedAt is a hybrid logical clock's time with microseconds. It rises with Position, except
	// that it goes back once after a time that was more than a minute in the future. Order events by
	// Position.
	RecordedAt time.Time
	// BodyInLog is set on an event of the event stream whose Body did not fit into a message. Body is
	// then empty, and the log has it.
	BodyInLog bool
	// Value is the event as the user's Go type, if it was just decided. The store neither keeps nor
	// sets it.
	Value any
}

// Metadata is what an event keeps of the command that led to it. It is stored as JSON with these
// names.
type Metadata struct {
	CommandID     string `json:"command_id"`
	CorrelationID string `json:"correlation_id,omitempty"`
	CausationID   string `json:"causation_id,omitempty"`
	// Traceparent and Tracestate are the W3C trace context of the command.
	Traceparent string `json:"traceparent,omitempty"`
	Tracestate  string `json:"tracestate,omitempty"`
}

// Query asks for an aggregate's history.
type Query struct {
	Key
	// Above leaves out the snapshot and the events up to this sequence.
	Above int64
	// UpTo, if not 0, is the last sequence to read. A later snapshot is not used.
	UpTo int64
	// Most, if not 0, is the greatest number of events to read.
	Most int
	// SnapshotVersion is the version of the snapshot that may replace events. 0 means no snapshot.
	SnapshotVersion int
	// Restore, if not nil, gets the snapshot. If Restore returns an error, the snapshot cannot be
	// used, and the history has no snapshot and all events.
	Restore func(aggregate.Snapshot) error
	// Each, if not nil, gets every event as soon as it arrives, in any order. The events count only
	// if Load returns no error.
	Each func(aggregate.Recorded)
}

// History is an aggregate's snapshot, if a fitting one exists, and the events after it.
type History struct {
	Snapshot *aggregate.Snapshot
	Events   []aggregate.Recorded
}

// PageBytes bounds how many bytes of bodies are read at a time. A page of events ends with the
// event that reaches this bound, whatever the limit on their number. A load that exceeds the bound
// returns a [*LargeError]. One more event and one snapshot may always be read.
const PageBytes = 8 << 20

// size adds up what a load has read.
type size struct{ bytes, events int }

// add counts a row. It returns an error if the load has become too large.
func (s *size) add(queries []Query, snapshot bool, bytes int) error {
	if snapshot && len(queries) == 1 {
		return nil
	}
	if s.bytes += bytes; s.bytes > PageBytes && s.events > 0 {
		if len(queries) > 1 {
			return &LargeError{}
		}
		return &LargeError{Events: s.events}
	}
	s.events++
	return nil
}

func (h *History) add(q Query, r aggregate.Recorded) {
	if h.Events = append(h.Events, r); q.Each != nil {
		q.Each(r)
	}
}

// DeadLetter is a command of the durable stream that could not be handled. It is kept for a person
// to look at.
type DeadLetter struct {
	// ID is a UUID that rises with time.
	ID string
	// Subject, Headers and Body are those of the message. Sequence is its place in the command
	// stream, or 0 if it was not stored there.
	Subject  string
	Headers  map[string][]string
	Body     []byte
	Sequence uint64
	// CommandID, Code and Message are those of the answer to the client.
	CommandID, Code, Message string
	At                       time.Time
}

package store

import (
	"context"
	"time"

	"github.com/maestro-es/maestro/aggregate"
)

// Store is an event log divided into a fixed number of partitions. It is safe for concurrent use.
//
// Errors are those of errors.go; [Judge] tells what each leads to, and whether the same call may
// succeed later.
type Store interface {
	// Partitions is the number of partitions, fixed when the namespace was created.
	Partitions() int
	// Acquire makes owner the partition's owner: its epoch goes up by one, so that commits of an
	// earlier owner are refused from now on.
	Acquire(ctx context.Context, partition int, owner string) (Partition, error)
	// Partition returns the partition's row as it is.
	Partition(ctx context.Context, partition int) (Partition, error)
	// Rows returns the rows of all partitions, in their order.
	Rows(ctx context.Context) ([]Partition, error)
	// Commit makes a batch permanent, whole or not at all. It returns [ErrFenced] when the
	// partition has another epoch, [ErrConflict] when it has another layout or position or an
	// aggregate another sequence, [ErrDuplicate] when a receipt of one of the commands exists, a
	// [*StatementError], or a [*Fault] around whatever error a handler returned.
	Commit(ctx context.Context, c *Commit) error
	// Load reads the histories of aggregates of one partition, one for each query, in its order.
	Load(ctx context.Context, partition int, queries []Query) ([]History, error)
	// Events reads the events of one aggregate with sequences above the given one, in order, at
	// most limit. A page may end before that, with the event that brings it to [PageBytes].
	Events(ctx context.Context, partition int, key Key, above int64, limit int) ([]Event, error)
	// Log reads the events of a partition with positions above the given one, in order, at most
	// limit, in the same pages.
	Log(ctx context.Context, partition int, above int64, limit int) ([]Event, error)
	// SaveSnapshots stores snapshots of aggregates of one partition. It leaves out those that are
	// older than the one that is there, and those of a sequence that the log does not have. It
	// needs no ownership: a sequence has one state.
	SaveSnapshots(ctx context.Context, partition int, snapshots []Snapshot) error
	// Receipts finds the receipts of commands of one partition; a command without one is absent
	// from the result.
	Receipts(ctx context.Context, partition int, commands []CommandKey) (map[CommandKey]Receipt, error)
}

// Key identifies an aggregate.
type Key struct {
	Type, ID string
}

// CommandKey identifies a command: its id is unique for its aggregate.
type CommandKey struct {
	Key
	CommandID string
}

// Partition is a partition's row: who owns it, and how far it has come.
type Partition struct {
	Number int
	// Owner is the name of the last that acquired it, Epoch how often that happened.
	Owner string
	Epoch int64
	// Layout goes up by one with each change of which projections are kept in the partition's
	// commits.
	Layout int64
	// Position is that of the last committed event, 0 before the first; Published that of the last
	// event known to be in the event stream.
	Position, Published int64
	// Cursor is how far the command stream has been handled.
	Cursor Cursor
	// EventStreamCreated is the creation time of the event stream that Published speaks of.
	EventStreamCreated time.Time
	// Time is the time of the last committed event. Whoever acquires the partition finds it no more
	// than a minute beyond Clock.
	Time time.Time
	// Clock is what the store's clock said when the row was read.
	Clock time.Time
}

// Next is a commit that goes on from where the partition is, and changes nothing yet.
func (p Partition) Next() *Commit {
	return &Commit{Partition: p.Number, Epoch: p.Epoch, Layout: p.Layout, Position: p.Position, Time: p.Time,
		Cursor: p.Cursor, Published: p.Published, EventStreamCreated: p.EventStreamCreated}
}

// Cursor is a place in the command stream: the last message that has been handled.
type Cursor struct {
	// StreamCreated is the creation time of the command stream that Sequence speaks of.
	StreamCreated time.Time
	// Sequence is the message's sequence in the stream, 0 before the first.
	Sequence uint64
	// Time is when the stream stored the message.
	Time time.Time
}

// Commit is a batch of evaluated commands of one partition.
type Commit struct {
	// Partition, Epoch, Layout, Position and Time are where the owner stands, as they are in
	// [Partition]: the commit is refused if the log is elsewhere. After commits were lost, the log
	// may come to the same position again, but not with an event of the same time.
	Partition int
	Epoch     int64
	Layout    int64
	Position  int64
	Time      time.Time
	// Known says that the owner has read where the history of each aggregate ends at Position, so
	// that the sequences of Events go on from there. Without it Commit looks there first.
	Known bool
	// Cursor, Published and EventStreamCreated replace the partition's.
	Cursor             Cursor
	Published          int64
	EventStreamCreated time.Time
	// Events have positions Position+1, Position+2 ... without a gap, and times that rise with
	// them.
	Events      []Event
	Receipts    []Receipt
	DeadLetters []DeadLetter
	// Statements are SQL of projections that goes along in the same exchange and runs after
	// everything else was written, one read model after the other, in its order and in the read
	// model's search path. What it returns is not read. One that fails undoes the commit, with a
	// [*StatementError].
	Statements []Statement
	// Patience, if not 0, bounds what Statements and Handlers take together. The commit is then
	// made step by step, so that an error says which of them was late. The in-memory store has no
	// use for it.
	Patience time.Duration
	// Handlers run in the transaction after that, one after the other, each in its read model's
	// search path; the error of one undoes the commit. The in-memory store has no transaction to
	// give: it runs neither statements nor handlers.
	Handlers []Handler
	// Clock is what the store's clock said in the transaction. A successful Commit sets it.
	Clock time.Time
}

// Event is a committed event.
type Event struct {
	// Partition and Position are its place in the log; positions count from 1 in each partition.
	Partition int
	Position  int64
	// Aggregate is whose event it is.
	Aggregate Key
	aggregate.Recorded
	Metadata Metadata
	// RecordedAt is a hybrid logical clock's time with microseconds. It rises with Position, but
	// goes back once after a time that was more than a minute in the future. Order is by Position.
	RecordedAt time.Time
	// BodyInLog says of an event of the event stream that its Body is empty there, because it did
	// not fit into a message: the log has it.
	BodyInLog bool
	// Value is the event as the user's Go type, where it was just decided. The store neither keeps
	// nor sets it.
	Value any
}

// Metadata is what an event remembers of the command that led to it. It is stored as JSON with
// these names.
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
	// Above leaves out the events up to this sequence, and the snapshot.
	Above int64
	// UpTo, if not 0, is the last sequence to read; a later snapshot is not used.
	UpTo int64
	// Most, if not 0, is the most events to read.
	Most int
	// SnapshotVersion is the version of the snapshot that may stand in for events; 0 wants none.
	SnapshotVersion int
	// Restore, if not nil, gets the snapshot. If it cannot be used, which its error says, the
	// history has no snapshot and all events.
	Restore func(aggregate.Snapshot) error
	// Each, if not nil, gets every event as it comes, while others are still on their way, and in
	// whatever order they come. What it was given counts only if no error follows.
	Each func(aggregate.Recorded)
}

// History is an aggregate's snapshot, if it has a fitting one, and the events after it.
type History struct {
	Snapshot *aggregate.Snapshot
	Events   []aggregate.Recorded
}

// PageBytes bounds what is read at a time, in bytes of bodies: a page of events ends where it has
// come to so many, whatever the limit to their number, and a load that has more is a [*LargeError].
// One event more may always be read, and one snapshot.
const PageBytes = 8 << 20

// size adds up what a load has read.
type size struct{ bytes, events int }

// add counts a row. It is an error if that is too much.
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

// DeadLetter is a command of the durable stream that could not be handled, kept for a person to
// look at.
type DeadLetter struct {
	// ID is a UUID that rises with time.
	ID string
	// Subject, Headers and Body are the message; Sequence its place in the command stream, 0 if it
	// was not stored there.
	Subject  string
	Headers  map[string][]string
	Body     []byte
	Sequence uint64
	// CommandID, Code and Message are what the client was answered.
	CommandID, Code, Message string
	At                       time.Time
}

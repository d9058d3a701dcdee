// Package wire defines everything that is written on the wire: subjects, headers and the partition
// of an aggregate. It is the only place where their names are written.
package wire

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/maestro-es/maestro/aggregate"
)

// Headers of commands.
const (
	HeaderCommandID      = "Maestro-Command-Id"
	HeaderReply          = "Maestro-Reply"
	HeaderReturn         = "Maestro-Return"
	HeaderExpectSequence = "Maestro-Expect-Sequence"
	HeaderDeadline       = "Maestro-Deadline"
	HeaderCorrelationID  = "Maestro-Correlation-Id"
	HeaderCausationID    = "Maestro-Causation-Id"
	HeaderTraceparent    = "traceparent"
	HeaderTracestate     = "tracestate"
	// HeaderMsgID is a header of JetStream's own: the id by which a stream drops duplicates on
	// arrival.
	HeaderMsgID = "Nats-Msg-Id"
)

// Headers of requests for state and history.
const (
	HeaderSequence    = "Maestro-Sequence"
	HeaderConsistency = "Maestro-Consistency"
	HeaderAfter       = "Maestro-After"
)

// Headers of requests that one worker forwards to another.
const (
	HeaderForwardedVerb    = "Maestro-Forwarded-Verb"
	HeaderForwardedAddress = "Maestro-Forwarded-Address"
	HeaderForwardedReply   = "Maestro-Forwarded-Reply"
	HeaderForwardedHops    = "Maestro-Forwarded-Hops"
)

// Headers of events: CloudEvents in binary mode with extensions.
const (
	HeaderEventID            = "ce-id"
	HeaderEventType          = "ce-type"
	HeaderEventSource        = "ce-source"
	HeaderEventSubject       = "ce-subject"
	HeaderEventTime          = "ce-time"
	HeaderEventSpecVersion   = "ce-specversion"
	HeaderEventSequence      = "ce-sequence"
	HeaderEventPartition     = "ce-partition"
	HeaderEventPosition      = "ce-position"
	HeaderEventVersion       = "ce-dataversion"
	HeaderEventCausationID   = "ce-causationid"
	HeaderEventCorrelationID = "ce-correlationid"
	// HeaderEventBody has the value BodyInLog if the event's body is in the log and not in the
	// message.
	HeaderEventBody = "Maestro-Body"
	BodyInLog       = "log"
)

// DefaultNamespace is the namespace of a worker that was given none.
const DefaultNamespace = "maestro"

// MaxPartitions is the most partitions that one namespace can have.
const MaxPartitions = 1024

// Namespace names a group of subjects and streams, and the schema that belongs to them.
type Namespace string

// Check tells whether the namespace can be used in subjects, in stream names and as a schema:
// [a-z][a-z0-9_]{0,31}.
func (ns Namespace) Check() error {
	if len(ns) > 32 || aggregate.CheckName("namespace", string(ns)) != nil {
		return fmt.Errorf("namespace %q: expected a lower-case letter, then up to 31 of a-z, 0-9 and _", string(ns))
	}
	return nil
}

// CommandStream and EventStream are the names of the JetStream streams.
func (ns Namespace) CommandStream() string { return strings.ToUpper(string(ns)) + "_COMMANDS" }
func (ns Namespace) EventStream() string   { return strings.ToUpper(string(ns)) + "_EVENTS" }

// Service is the name of the NATS micro service.
func (ns Namespace) Service() string { return string(ns) }

// Send is the subject of a durable command. Do is the subject of a request.
func (ns Namespace) Send(typ, id, command string) string { return ns.join("cmd", typ, id, command) }
func (ns Namespace) Do(typ, id, command string) string   { return ns.join("do", typ, id, command) }

// Get is the subject that asks for an aggregate's state. History is the subject that asks for its
// events. Snapshot is the subject that has a snapshot stored.
func (ns Namespace) Get(typ, id string) string      { return ns.join("get", typ, id) }
func (ns Namespace) History(typ, id string) string  { return ns.join("history", typ, id) }
func (ns Namespace) Snapshot(typ, id string) string { return ns.join("snapshot", typ, id) }

// Commands matches all durable commands as they are published. CommandsOf matches the commands of a
// partition as they are stored.
func (ns Namespace) Commands() string        { return ns.join("cmd", "*", "*", "*") }
func (ns Namespace) CommandsOf(p int) string { return ns.join("cmd", strconv.Itoa(p), ">") }
func (ns Namespace) CommandTransform(n int) string {
	return ns.join("cmd", fmt.Sprintf("{{partition(%d,1,2)}}", n), "{{wildcard(1)}}", "{{wildcard(2)}}", "{{wildcard(3)}}")
}

// Event is the subject of a committed event. Events matches all events, EventsOf the events of a
// partition.
func (ns Namespace) Event(p int, typ, id, event string) string {
	return ns.join("evt", strconv.Itoa(p), typ, id, event)
}
func (ns Namespace) Events() string        { return ns.join("evt", ">") }
func (ns Namespace) EventsOf(p int) string { return ns.join("evt", strconv.Itoa(p), ">") }

// Fence is the subject whose last message fences the publisher of a partition's events. Fences
// matches all of these subjects.
func (ns Namespace) Fence(p int) string { return ns.join("fence", strconv.Itoa(p)) }
func (ns Namespace) Fences() string     { return ns.join("fence", "*") }

func (ns Namespace) join(tokens ...string) string {
	return string(ns) + "." + strings.Join(tokens, ".")
}

// maxTextBytes is the limit for each text of a client that is kept with receipts and events.
const maxTextBytes = 256

// CheckText tells whether a text of a client, such as a command id, can be stored, sent on and
// shown. The error's text continues a sentence that begins with the text's name.
func CheckText(text string) error {
	if len(text) > maxTextBytes {
		return fmt.Errorf("has %d bytes, at most %d are allowed", len(text), maxTextBytes)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Errorf("%.80q: expected UTF-8 without control characters", text)
	}
	return nil
}

// Partition returns the partition of an aggregate among n. It is the 32-bit FNV-1a hash of type and
// id, modulo n. NATS's subject transform partition(n,1,2) computes the same.
func Partition(typ, id string, n int) int {
	const offset, prime = 2166136261, 16777619
	h := uint32(offset)
	for _, s := range [2]string{typ, id} {
		for i := range len(s) {
			h = (h ^ uint32(s[i])) * prime
		}
	}
	return int(h % uint32(n))
}

// Beat is the subject where workers announce themselves. Worker is the subject that asks one of
// them. Forward is the subject where a worker gets the requests that belong to it.
func (ns Namespace) Beat() string             { return ns.join("worker", "beat") }
func (ns Namespace) Worker(id string) string  { return ns.join("worker", id, "ping") }
func (ns Namespace) Forward(id string) string { return ns.join("worker", id, "forward") }

package protocol

// Codes of an [Error] that do not come from a user's aggregates. docs/protocol.md tells when each
// code is given, and how a client should react.
const (
	CodeMalformed           = "malformed"
	CodeUnknownAggregate    = "unknown_aggregate"
	CodeUnknownCommand      = "unknown_command"
	CodeInvalidPayload      = "invalid_payload"
	CodeTooLarge            = "too_large"
	CodeDeadlineExceeded    = "deadline_exceeded"
	CodeSequenceMismatch    = "sequence_mismatch"
	CodeUnregisteredEvent   = "unregistered_event"
	CodeInvalidEvent        = "invalid_event"
	CodePanic               = "panic"
	CodeHandlerFailed       = "handler_failed"
	CodeConstraintViolated  = "constraint_violated"
	CodeProjectionFailed    = "projection_failed"
	CodeUnreadableAggregate = "unreadable_aggregate"
	CodeGaveUp              = "gave_up"
	CodeUnavailable         = "unavailable"

	// CodeStateUnavailable and CodeOutcomeTooLarge come with a committed command. They say that its
	// outcome could not show what the command asked for.
	CodeStateUnavailable = "state_unavailable"
	CodeOutcomeTooLarge  = "outcome_too_large"
)

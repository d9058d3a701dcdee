package eventstream

import "time"

// Parse reads an event from the stream, Message writes it there.
var (
	Parse   = parse
	Message = message
)

// Hasten sets how long the server waits for a program that went away.
func Hasten(d time.Duration) { ackWait = d }

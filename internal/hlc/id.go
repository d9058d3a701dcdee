package hlc

import "github.com/google/uuid"

// NewID returns a UUID of version 7 (RFC 9562): the time, and 62 random bits. The ids of one
// process rise. Nothing in an id comes from a name, because two programs may have the same.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

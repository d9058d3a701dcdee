package lane

import (
	"context"
	"sync"
	"sync/atomic"
)

// Budget is memory that several holders share, in bytes. Half of the budget goes to whoever asks
// first. The other half is divided among the holders in equal parts, so that no holder keeps the
// others out. A holder that holds nothing may exceed the budget with a single request. A nil
// Budget, or a budget of 0 bytes, has no limit. It is safe for concurrent use.
type Budget struct {
	bytes int64

	mu      sync.Mutex
	used    int64
	holders int64
	freed   chan struct{} // closed when bytes are given back; nil while nobody waits
}

// NewBudget returns a budget of the given number of bytes.
func NewBudget(bytes int64) *Budget { return &Budget{bytes: bytes} }

// Used returns how many bytes are held.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// part returns the given fraction (1/of) of the budget; 0 for no limit.
func (b *Budget) part(of int64) int64 {
	if b == nil || !bounded {
		return 0
	}
	return max(0, b.bytes/of)
}

// Holder is one of the parties that share a budget.
type Holder struct {
	of   *Budget
	held int64
}

// Holder adds a holder to the budget. It counts until it is closed.
func (b *Budget) Holder() *Holder {
	if b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.holders++
	}
	return &Holder{of: b}
}

// Close gives the holder's part to the others. After Close, the holder may still give back its
// bytes.
func (h *Holder) Close() {
	if h.of != nil {
		h.of.mu.Lock()
		defer h.of.mu.Unlock()
		h.of.holders--
		h.of.wake()
	}
}

// Try takes n bytes if they are free, and tells whether it did.
func (h *Holder) Try(n int64) bool {
	if h.of == nil {
		return true
	}
	h.of.mu.Lock()
	defer h.of.mu.Unlock()
	return h.try(n)
}

func (h *Holder) try(n int64) bool {
	b := h.of
	half := b.bytes / 2
	fits := h.held == 0 || h.held+n <= half/max(1, b.holders) || b.used+n <= half
	if bounded && b.bytes > 0 && !fits {
		return false
	}
	h.held += n
	b.used += n
	return true
}

// room tells whether at least one byte is free, so that it makes sense to prepare something that
// needs bytes.
func (h *Holder) room() bool {
	if !h.Try(1) {
		return false
	}
	h.Give(1)
	return true
}

// Take takes n bytes. It waits for them until ctx ends or done is closed, and tells whether it took
// them.
func (h *Holder) Take(ctx context.Context, done <-chan struct{}, n int64) bool {
	for {
		freed, taken := h.tryOr(n)
		if taken {
			return true
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return false
		case <-done:
			return false
		}
	}
}

// tryOr takes n bytes. If they are not free, it returns a channel that is closed when another try
// is worthwhile.
func (h *Holder) tryOr(n int64) (freed <-chan struct{}, taken bool) {
	b := h.of
	if b == nil {
		return nil, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.try(n) {
		return nil, true
	}
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	return b.freed, false
}

// Give gives n bytes back.
func (h *Holder) Give(n int64) {
	if b := h.of; b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		h.held -= n
		b.used -= n
		b.wake()
	}
}

// wake lets all waiting holders try again.
func (b *Budget) wake() {
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// shares counts the requests and bytes that each aggregate has in a lane's queue, by a hash of the
// aggregate's id.
type shares [256]struct {
	requests atomic.Int32
	bytes    atomic.Int64
}

package lane

import (
	"context"
	"sync"
	"sync/atomic"
)

// Budget is memory that several holders share, in bytes. Half of it is for whoever comes first. The
// other half is divided among the holders in equal parts, so that none of them keeps the others
// out. Whoever holds nothing may take more than there is: it then goes alone. A nil Budget, or one
// of 0 bytes, has no limit. It is safe for concurrent use.
type Budget struct {
	bytes int64

	mu      sync.Mutex
	used    int64
	holders int64
	freed   chan struct{} // is closed when something is given back; nil while nobody waits for that
}

// NewBudget returns a budget of so many bytes.
func NewBudget(bytes int64) *Budget { return &Budget{bytes: bytes} }

// Used is how many bytes are held.
func (b *Budget) Used() int64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// part is what one of many may have of the budget at most; 0 for no limit.
func (b *Budget) part(of int64) int64 {
	if b == nil || !bounded {
		return 0
	}
	return max(0, b.bytes/of)
}

// Holder is one of those who share a budget.
type Holder struct {
	of   *Budget
	held int64
}

// Holder adds one to those who share the budget, until it is closed.
func (b *Budget) Holder() *Holder {
	if b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.holders++
	}
	return &Holder{of: b}
}

// Close gives the holder's part to the others. It may still give back what it holds.
func (h *Holder) Close() {
	if h.of != nil {
		h.of.mu.Lock()
		defer h.of.mu.Unlock()
		h.of.holders--
		h.of.wake()
	}
}

// Try takes n bytes, if they are there.
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

// room tells whether it makes sense to prepare something that is to be held: one byte at least is
// there.
func (h *Holder) room() bool {
	if !h.Try(1) {
		return false
	}
	h.Give(1)
	return true
}

// Take takes n bytes, and waits for them until ctx ends or done is closed. It tells whether it has
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

// tryOr takes n bytes, or returns what tells when it is worth another try.
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

// wake has those try again who wait.
func (b *Budget) wake() {
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// shares are what each aggregate has of a lane's queue, by a hash of its key: how many requests,
// and how many bytes.
type shares [256]struct {
	requests atomic.Int32
	bytes    atomic.Int64
}

package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/maestro-es/maestro/internal/hlc"
)

// Memory is an event log that lives as long as the process, for trials and tests. It does what
// [Postgres] does, with two exceptions: it runs no projections in the transaction, and it drops
// dead letters.
type Memory struct {
	mutex      sync.RWMutex
	partitions []memoryPartition
}

var _ Store = (*Memory)(nil)

type memoryPartition struct {
	row       Partition
	log       []Event // the event with position i+1 is at index i
	positions map[Key][]int64
	snapshots map[Key]Snapshot
	receipts  map[CommandKey]Receipt
}

// NewMemory returns an empty store with this number of partitions. 0 means 64.
func NewMemory(partitions int) *Memory {
	if partitions == 0 {
		partitions = defaultPartitions
	}
	m := &Memory{partitions: make([]memoryPartition, partitions)}
	for i := range m.partitions {
		m.partitions[i] = memoryPartition{
			row:       Partition{Number: i},
			positions: map[Key][]int64{},
			snapshots: map[Key]Snapshot{},
			receipts:  map[CommandKey]Receipt{},
		}
	}
	return m
}

// Partitions returns the number of partitions.
func (m *Memory) Partitions() int { return len(m.partitions) }

// write calls f with exclusive access to the partition. read calls f with shared access.
func (m *Memory) write(ctx context.Context, partition int, f func(p *memoryPartition) error) error {
	if err := errors.Join(ctx.Err(), checkPartition(partition, len(m.partitions))); err != nil {
		return err
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return f(&m.partitions[partition])
}

func (m *Memory) read(ctx context.Context, partition int, f func(p *memoryPartition)) error {
	if err := errors.Join(ctx.Err(), checkPartition(partition, len(m.partitions))); err != nil {
		return err
	}
	m.mutex.RLock()
	defer m.mutex.RUnlock()
	f(&m.partitions[partition])
	return nil
}

// Acquire makes owner the partition's owner.
func (m *Memory) Acquire(ctx context.Context, partition int, owner string) (row Partition, err error) {
	err = m.write(ctx, partition, func(p *memoryPartition) error {
		p.row.Owner = owner
		p.row.Epoch++
		if latest := stamp(time.Now().Add(hlc.Within)); p.row.Time.After(latest) {
			p.row.Time = latest
		}
		row = p.row.read()
		return nil
	})
	return row, err
}

// Partition returns the current row of the partition.
func (m *Memory) Partition(ctx context.Context, partition int) (row Partition, err error) {
	err = m.read(ctx, partition, func(p *memoryPartition) { row = p.row.read() })
	return row, err
}

// Rows returns the rows of all partitions, in the order of their numbers.
func (m *Memory) Rows(ctx context.Context) ([]Partition, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mutex.RLock()
	defer m.mutex.RUnlock()
	rows := make([]Partition, len(m.partitions))
	for i := range m.partitions {
		rows[i] = m.partitions[i].row.read()
	}
	return rows, nil
}

// read returns the row with the clock's time.
func (p Partition) read() Partition {
	p.Clock = stamp(time.Now())
	return p
}

// Commit makes a batch permanent.
func (m *Memory) Commit(ctx context.Context, c *Commit) error {
	if err := c.check(len(m.partitions)); err != nil {
		return err
	}
	return m.write(ctx, c.Partition, func(p *memoryPartition) error {
		if err := p.refuse(c); err != nil {
			return err
		}
		p.apply(c)
		return nil
	})
}

// refuse makes every check before anything changes. The order of the checks is that of Postgres.
func (p *memoryPartition) refuse(c *Commit) error {
	if c.Epoch != p.row.Epoch {
		return fmt.Errorf("%w: partition %d has epoch %d, not %d", ErrFenced, c.Partition, p.row.Epoch, c.Epoch)
	}
	if c.Layout != p.row.Layout {
		return fmt.Errorf("%w: partition %d has layout %d, not %d", ErrConflict, c.Partition, p.row.Layout, c.Layout)
	}
	if c.Position != p.row.Position {
		return fmt.Errorf("%w: partition %d has position %d, not %d", ErrConflict, c.Partition, p.row.Position, c.Position)
	}
	if !stamp(c.Time).Equal(p.row.Time) {
		return fmt.Errorf("%w: partition %d has an event of %s at position %d, not of %s", ErrConflict, c.Partition,
			p.row.Time.Format(time.RFC3339Nano), p.row.Position, c.Time.Format(time.RFC3339Nano))
	}
	if err := c.storable(); err != nil {
		return err
	}
	seen := map[CommandKey]bool{}
	for _, r := range c.Receipts {
		if _, exists := p.receipts[r.Key()]; exists || seen[r.Key()] {
			return fmt.Errorf("%w: %s of %s %s", ErrDuplicate, r.CommandID, r.Aggregate.Type, r.Aggregate.ID)
		}
		seen[r.Key()] = true
	}
	last := map[Key]int64{}
	for _, e := range c.Events {
		if _, known := last[e.Aggregate]; !known {
			last[e.Aggregate] = int64(len(p.positions[e.Aggregate]))
		}
		last[e.Aggregate]++
		if want := last[e.Aggregate]; e.Sequence != want {
			return sequenceError(&e, want)
		}
	}
	return nil
}

func (p *memoryPartition) apply(c *Commit) {
	for _, e := range c.Events {
		e = e.stored(c.Partition)
		p.log = append(p.log, e)
		p.positions[e.Aggregate] = append(p.positions[e.Aggregate], e.Position)
		p.row.Position, p.row.Time = e.Position, e.RecordedAt
	}
	for _, r := range c.Receipts {
		p.receipts[r.Key()] = r.copy()
	}
	p.row.Cursor = Cursor{StreamCreated: stamp(c.Cursor.StreamCreated), Sequence: c.Cursor.Sequence, Time: stamp(c.Cursor.Time)}
	p.row.Published, p.row.EventStreamCreated = c.Published, stamp(c.EventStreamCreated)
	c.Clock = stamp(time.Now())
}

// SaveSnapshots stores snapshots of aggregates of one partition.
func (m *Memory) SaveSnapshots(ctx context.Context, partition int, snapshots []Snapshot) error {
	for _, s := range snapshots {
		if err := checkText(s.Aggregate.Type, s.Aggregate.ID); err != nil {
			return err
		}
	}
	return m.write(ctx, partition, func(p *memoryPartition) error {
		for _, s := range newest(snapshots) {
			old, exists := p.snapshots[s.Aggregate]
			newer := !exists || old.Sequence <= s.Sequence || old.Version != s.Version
			if newer && s.Sequence >= 1 && s.Sequence <= int64(len(p.positions[s.Aggregate])) {
				s.Body = slices.Clone(s.Body)
				p.snapshots[s.Aggregate] = s
			}
		}
		return nil
	})
}

package client

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/internal/wire"
)

// importing is an import that is under way. One goroutine reads and encodes commands, and one
// stores them. Goroutines of NATS call it with the answers.
type importing struct {
	c       *Client
	o       ImportOptions
	arrived chan arrival
	flight  *inFlight
	// readErr is the error that ended reading, or nil at the end of the commands.
	readErr        error
	stored, resent int
	newIDs         int
}

// arrival is a command that was read and is ready to be sent, or the error that ended reading.
type arrival struct {
	number uint64
	msg    *nats.Msg
	newID  bool
	err    error
}

func (c *Client) newImport(ctx context.Context, o ImportOptions) (*importing, error) {
	if err := patiently(ctx, c.checkBatches); err != nil {
		return nil, err
	}
	i := &importing{c: c, o: o, arrived: make(chan arrival, importBatch), flight: newInFlight()}
	if o.Wait {
		return i, i.flight.subscribe(c.nc)
	}
	return i, nil
}

func (i *importing) read(ctx context.Context, commands iter.Seq2[Command, error]) {
	defer close(i.arrived)
	number := uint64(0)
	for cmd, err := range commands {
		number++
		a := arrival{number: number, newID: cmd.ID == "", err: err}
		if err == nil {
			a.msg, a.err = i.message(ctx, number, &cmd)
		}
		select {
		case i.arrived <- a:
		case <-ctx.Done():
		}
		if a.err != nil || ctx.Err() != nil {
			return
		}
	}
}

// message returns the message of a command. The message has no Nats-Msg-Id. Receipts recognise
// commands that were handled before, and the worker answers them. With a Nats-Msg-Id, the stream
// would silently drop such a command, and the server would keep all ids in memory.
func (i *importing) message(ctx context.Context, number uint64, cmd *Command) (*nats.Msg, error) {
	cmd.giveID()
	msg, err := i.c.message(i.c.traceImported(ctx, cmd), i.c.namespace.Send, cmd)
	if err == nil && i.o.Wait {
		msg.Header.Set(wire.HeaderReply, i.flight.inboxOf(number))
	}
	if err == nil {
		err = i.c.checkSize(msg)
	}
	switch {
	case err == nil:
		return msg, nil
	case cmd.line > 0:
		return nil, &LineError{Line: cmd.line, Err: err}
	default:
		return nil, fmt.Errorf("command number %d: %w", number, err)
	}
}

// run returns when all commands that could be read are stored and answered.
func (i *importing) run(ctx context.Context) error {
	reading := true
	patience := i.c.resend
	quiet := time.NewTimer(patience)
	defer quiet.Stop()
	for reading || i.flight.len() > 0 {
		next, room := i.arrived, i.flight.room()
		if !reading || room <= 0 {
			next = nil
		}
		var err error
		select {
		case first, more := <-next:
			if reading = more; more {
				reading, err = i.store(ctx, first, min(room, importBatch))
			}
			patience = i.c.resend
		case <-i.flight.answered:
			patience = i.c.resend
		case <-quiet.C:
			err = i.resend(ctx)
			patience = longer(patience)
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		quiet.Reset(patience)
		i.progress()
	}
	return i.readErr
}

// store stores arrived commands, at most limit. It tells whether there may be more.
func (i *importing) store(ctx context.Context, first arrival, limit int) (more bool, err error) {
	batch, more := i.take(first, limit)
	msgs := make([]*nats.Msg, len(batch))
	for n, a := range batch {
		msgs[n] = a.msg
		if a.newID {
			i.newIDs++
		}
		if i.o.Wait {
			i.flight.add(a.number, a.msg)
		}
	}
	stored, err := i.c.publishInOrder(ctx, msgs)
	i.stored += stored
	return more, err
}

// take collects arrived commands without waiting, at most limit, up to the end or the error of
// reading.
func (i *importing) take(first arrival, limit int) (batch []arrival, more bool) {
	bytes := 0
	for next, more := first, true; more; {
		if next.err != nil {
			i.readErr = next.err
			return batch, false
		}
		batch, bytes = append(batch, next), bytes+len(next.msg.Data)
		if len(batch) == limit || bytes >= batchBytes {
			return batch, true
		}
		select {
		case next, more = <-i.arrived:
		default:
			return batch, true
		}
	}
	return batch, false
}

// resend stores the unanswered commands again, in their order.
func (i *importing) resend(ctx context.Context) error {
	waiting := i.flight.messages()
	i.resent += len(waiting)
	for len(waiting) > 0 {
		n := min(len(waiting), importBatch)
		if _, err := i.c.publishInOrder(ctx, waiting[:n]); err != nil {
			return err
		}
		waiting = waiting[n:]
	}
	return nil
}

func (i *importing) progress() {
	if i.o.Progress != nil {
		counts := i.flight.tally()
		i.o.Progress(Progress{Stored: i.stored, Answered: counts.answered(), Resent: i.resent})
	}
}

func (i *importing) summary() Summary {
	s := i.flight.tally()
	s.Commands, s.NewIDs = i.stored, i.newIDs
	return s
}

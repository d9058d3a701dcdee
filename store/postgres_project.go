package store

import (
	"cmp"
	"context"

	"github.com/jackc/pgx/v5"
)

// firstModel returns the read model that runs first, or nil if there is none.
func (c *Commit) firstModel() *ReadModel {
	switch {
	case len(c.Statements) > 0:
		return c.Statements[0].Model
	case len(c.Handlers) > 0:
		return c.Handlers[0].Model
	}
	return nil
}

// inTime runs the statements and handlers of projections in the transaction, within c.Patience.
func (c *Commit) inTime(ctx context.Context, tx pgx.Tx, path *searchPath, noticed func(*ReadModel, error) bool) error {
	if c.Patience > 0 {
		limited, cancel := context.WithTimeout(ctx, c.Patience)
		defer cancel()
		ctx = limited
	}
	if err := c.project(ctx, lentTx{Tx: tx}, path, noticed); err != nil {
		return projectionError(ctx, tx, err)
	}
	return nil
}

// project runs the statements and handlers of projections in the transaction.
func (c *Commit) project(ctx context.Context, tx pgx.Tx, path *searchPath, noticed func(*ReadModel, error) bool) error {
	for _, m := range modelsIn([]*Commit{c}) {
		if err := path.set(ctx, tx, m); err != nil {
			return err
		}
		err := sending(ctx, tx.Conn(), m, []*Commit{c}, func(next sendable) error { return execute(ctx, tx, next) })
		if err != nil {
			noticed(m, err)
			return err
		}
	}
	for _, h := range c.Handlers {
		if err := path.set(ctx, tx, h.Model); err != nil {
			return err
		}
		if err := cmp.Or(h.Run(ctx, tx), CheckLent(tx)); err != nil {
			noticed(h.Model, err)
			return err
		}
	}
	return nil
}

// execute runs a statement of a projection in a transaction that is made step by step.
func execute(ctx context.Context, tx pgx.Tx, s sendable) (err error) {
	if endsTransactions(s.sql) {
		err = errEndsTransaction
	} else {
		err = guard(func() (err error) {
			_, err = tx.Exec(ctx, s.sql, s.arguments...)
			return err
		})
	}
	if err = cmp.Or(err, CheckLent(tx)); err != nil {
		return &StatementError{Index: s.index, Err: err}
	}
	return nil
}

// searchPath knows the current search path of a transaction.
type searchPath struct {
	of      func(*ReadModel) string
	current string
}

// set changes the search path to that of a read model. This is an exchange with Postgres, unless
// the path is set already.
func (p *searchPath) set(ctx context.Context, tx pgx.Tx, m *ReadModel) error {
	path := p.of(m)
	if path == p.current {
		return nil
	}
	p.current = path
	_, err := tx.Exec(ctx, setPath, path)
	return err
}

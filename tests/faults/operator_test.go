package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// An operator does what docs/operations.md asks for, and what workers ask for in their logs.

// mend builds the event stream anew if Postgres has lost commits and a worker says that this is the
// remedy. Only the workers know whether it is.
func (w *world) mend(ctx context.Context) error {
	if len(w.database.lost) == 0 {
		return nil
	}
	calm, cancel := context.WithTimeout(ctx, w.calm)
	defer cancel()
	_ = poll(calm, func() bool { return w.told("worker republish") || w.published(calm) })
	if !w.told("worker republish") {
		return nil
	}
	for _, v := range w.workers {
		v.end(syscall.SIGTERM, 30*time.Second)
	}
	return errors.Join(w.command(ctx, "republish"), w.heal(ctx))
}

// command runs another command of the worker's program, with the settings of the first worker.
func (w *world) command(ctx context.Context, name string) error {
	cmd := exec.CommandContext(ctx, w.workers[0].program, name)
	cmd.Env = w.workers[0].env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("worker %s: %w: %s", name, err, out)
	}
	return nil
}

// told tells whether a worker has written the text to its log.
func (w *world) told(text string) bool {
	logs, _ := filepath.Glob(filepath.Join(w.dir, "*.log"))
	return slices.ContainsFunc(logs, func(path string) bool {
		log, err := os.ReadFile(path)
		return err == nil && bytes.Contains(log, []byte(text))
	})
}

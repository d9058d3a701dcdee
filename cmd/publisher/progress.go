package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/maestro-es/maestro/client"
)

// progress shows on a terminal how far an import has come: the number of commands, and a bar that
// follows the bytes read from the file.
type progress struct {
	file   *os.File
	read   atomic.Int64
	wait   bool
	start  time.Time
	resent int
	bar    *progressbar.ProgressBar // nil without a terminal
}

func newProgress(file *os.File, wait bool) *progress {
	p := &progress{file: file, wait: wait, start: time.Now()}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		size := int64(-1) // unknown
		if about, err := file.Stat(); err == nil && about.Mode().IsRegular() {
			size = about.Size()
		}
		p.bar = progressbar.NewOptions64(size, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetWidth(30),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return p
}

// Read reads the file for the import.
func (p *progress) Read(b []byte) (int, error) {
	n, err := p.file.Read(b)
	p.read.Add(int64(n))
	return n, err
}

func (p *progress) show(now client.Progress) {
	if now.Resent > p.resent {
		p.resent = now.Resent
		fmt.Fprintf(os.Stderr, "\nno answers for a while: does a worker run? commands sent again so far: %d\n", now.Resent)
	}
	if p.bar == nil {
		return
	}
	done := now.Stored
	if p.wait {
		done = now.Answered
	}
	p.bar.Describe(fmt.Sprintf("%d commands, %.0f/s", done, float64(done)/time.Since(p.start).Seconds()))
	_ = p.bar.Set64(p.read.Load())
}

func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}

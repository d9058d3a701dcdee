package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// processStat is the information of Linux about a process in /proc/<pid>/stat.
type processStat struct {
	parent        int
	own, children time.Duration // processor time; children counts only those that have ended
}

// clockTick is the unit of these times: 10 ms on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

func statOf(pid int) (s processStat, err error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, err
	}
	at := bytes.LastIndexByte(line, ')') // the name may contain any characters
	fields := strings.Fields(string(line[at+1:]))
	if len(fields) < 15 {
		return s, fmt.Errorf("/proc/%d/stat: not understood: %s", pid, line)
	}
	var ticks [4]int64 // user and system time, then those of the children
	s.parent, err = strconv.Atoi(fields[1])
	for i := range ticks {
		var problem error
		ticks[i], problem = strconv.ParseInt(fields[11+i], 10, 64)
		err = errors.Join(err, problem)
	}
	s.own, s.children = time.Duration(ticks[0]+ticks[1])*clockTick, time.Duration(ticks[2]+ticks[3])*clockTick
	return s, err
}

// processTime returns the processor time of a process so far.
func processTime(pid int) (time.Duration, error) {
	s, err := statOf(pid)
	return s.own, err
}

// postgresTime returns the processor time so far of all processes of Postgres, including those that
// have ended.
func (l *lab) postgresTime(ctx context.Context) (time.Duration, error) {
	var backend int
	if err := l.pool.QueryRow(ctx, "select pg_backend_pid()").Scan(&backend); err != nil {
		return 0, err
	}
	s, err := statOf(backend)
	if err != nil {
		return 0, err
	}
	postmaster := s.parent
	if s, err = statOf(postmaster); err != nil {
		return 0, err
	}
	sum := s.own + s.children
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if s, err := statOf(pid); err == nil && s.parent == postmaster { // others end meanwhile
			sum += s.own
		}
	}
	return sum, err
}

package localpg

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// StandbyOptions are the settings of a standby.
type StandbyOptions struct {
	// Synchronous makes every commit of the primary wait for this standby. The primary must not be
	// [Options.Unsafe], because an unsafe server waits for nothing.
	Synchronous bool
	// Through is the address by which the standby reaches its primary, such as a proxy's. The
	// default is the primary's own address.
	Through string
}

// StartStandby copies a running cluster and starts the copy as its standby. The standby answers
// reads, and refuses writes until it is promoted. It has the primary's password and settings, and
// its own port.
func StartStandby(ctx context.Context, primary *Server, o StandbyOptions) (*Server, error) {
	if o.Synchronous && primary.options.Unsafe {
		return nil, errors.New("start a standby: an unsafe primary does not wait for it")
	}
	s := &Server{bin: primary.bin, options: primary.options, user: primary.user}
	if _, err := s.makeDir(""); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, errors.Join(err, s.removeDir())
	}
	s.settings, s.url = settings(port, primary.options), at(primary.url, fmt.Sprintf("127.0.0.1:%d", port))
	if err := s.prepareClock(); err != nil {
		return nil, errors.Join(err, s.removeDir())
	}
	name := fmt.Sprintf("standby_%d", port)
	if err := s.run(ctx, "pg_basebackup", "-d", primary.source(name, o.Through), "-c", "fast", "-X", "stream", "-R", "-C", "-S", name,
		"--no-sync"); err != nil {
		return nil, fmt.Errorf("start a standby: %w", err)
	}
	err = s.configure("synchronous_standby_names", "") // a setting of the primary, which the copy is not
	if err == nil && o.Synchronous {
		err = primary.alter(ctx, "synchronous_standby_names", name)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a standby: %w", err), s.Stop())
	}
	return s, nil
}

// source returns the connection string by which a standby of the given name reaches the primary.
func (s *Server) source(name, through string) string {
	primary := s.url
	if through != "" {
		primary = at(primary, through)
	}
	return primary + "&application_name=" + name
}

// at returns the URL with another host and port.
func at(connection, address string) string {
	u, err := url.Parse(connection)
	if err != nil {
		panic(err) // it is one of ours
	}
	u.Host = address
	return u.String()
}

// Promote makes a standby an independent primary, on a new timeline. It returns when the server
// takes writes. Commits that the former primary had not sent by then are missing.
func (s *Server) Promote() error { return s.control("promote") }

// Follow starts a halted server as the standby of another. This works for a former primary that was
// halted in order ([Fast]) before its standby was promoted. Any other former primary has commits
// that its successor lacks.
func (s *Server) Follow(primary *Server) error {
	if err := errors.Join(s.configure("primary_conninfo", primary.source("follower", "")), s.configure("primary_slot_name", ""),
		s.configure("synchronous_standby_names", ""), s.write("standby.signal", "")); err != nil {
		return fmt.Errorf("follow another server: %w", err)
	}
	return s.Resume()
}

// configure sets a parameter for the next start. The last setting in the file counts.
func (s *Server) configure(name, value string) error {
	return s.write("postgresql.auto.conf", fmt.Sprintf("%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''")))
}

// write appends text to a file of the cluster's data.
func (s *Server) write(name, text string) error {
	path := filepath.Join(s.data(), name)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if s.user != nil {
		err = errors.Join(err, os.Chown(path, int(s.user.Uid), int(s.user.Gid)))
	}
	return errors.Join(err, f.Close())
}

// alter sets a parameter of the running server permanently.
func (s *Server) alter(ctx context.Context, name, value string) error {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, sql := range []string{fmt.Sprintf("alter system set %s = '%s'", name, value), "select pg_reload_conf()"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ReadModel is one version of a projection. Its tables live in a schema of their own, whose name is
// made of the namespace, the projection and the version.
type ReadModel struct {
	// Name and Version are the projection's.
	Name    string
	Version int
	// Using are other schemas whose tables, functions and types its SQL may name without their
	// schema.
	Using []string
	// SortedBy, if there are any, are the arguments of its statements, counted from 1, that say
	// which row a statement writes. Statements are sent in the order of these keys.
	SortedBy []int
	// Aggregates are the types whose events it takes.
	Aggregates []string
	// Setup is the SQL that creates what the projection writes to. It may be empty.
	Setup string
}

// Statement is SQL of a read model that goes along with a commit.
type Statement struct {
	Model *ReadModel
	Query *pgx.QueuedQuery
}

// Handler is code of a read model that works in the transaction of a commit.
type Handler struct {
	Model *ReadModel
	Run   func(ctx context.Context, tx pgx.Tx) error
}

// Schema is the name of the schema that holds the read model's tables.
func (m *ReadModel) Schema(namespace string) string {
	return namespace + "_" + m.Name + "_" + strconv.Itoa(m.Version)
}

// ReadSchema is the name of the schema that holds a namespace's views for readers.
func ReadSchema(namespace string) string { return namespace + "_read" }

// maxName is the longest name that Postgres keeps, in bytes.
const maxName = 63

// Check tells what is wrong with a read model in a namespace. The namespace may be empty where it
// is not known yet.
func (m *ReadModel) Check(namespace string) error {
	var errs []error
	if m.Version < 1 {
		errs = append(errs, fmt.Errorf("version %d: expected 1 or more", m.Version))
	}
	if schema := m.Schema(namespace); len(schema) > maxName || namespace == "" && len(schema) == maxName {
		errs = append(errs, fmt.Errorf("its schema %q would have a name of more than %d bytes, which Postgres cuts: choose a shorter name",
			schema, maxName))
	}
	for _, n := range m.SortedBy {
		if n < 1 {
			errs = append(errs, fmt.Errorf("projections.SortedBy(%d): arguments count from 1", n))
		}
	}
	for _, schema := range m.Using {
		switch {
		case schema == "" || strings.HasPrefix(schema, "pg_") || strings.ContainsRune(schema, 0):
			errs = append(errs, fmt.Errorf("projections.Using(%q): expected the name of a schema that is not Postgres's own", schema))
		case schema == namespace:
			errs = append(errs, fmt.Errorf("projections.Using(%q): that is the schema of the log, which no read model may have in its path",
				schema))
		}
	}
	return errors.Join(errs...)
}

// ourComment is how the comments on all schemas of read models begin.
const ourComment = "Maestro: "

// comment is what the schema's comment says, so that nobody takes another schema of the same name
// for it.
func (m *ReadModel) comment(namespace string) string {
	return fmt.Sprintf("%s%d", m.commentOfAny(namespace), m.Version)
}

// commentOfAny is how the comments on the schemas of all versions begin.
func (m *ReadModel) commentOfAny(namespace string) string {
	return fmt.Sprintf(ourComment+"namespace %q, projection %q, version ", namespace, m.Name)
}

// commentOfReaders is the comment on the schema of the views for readers.
func commentOfReaders(namespace string) string {
	return fmt.Sprintf(ourComment+"namespace %q, views for readers", namespace)
}

// path is the search path of the read model's SQL. The log's schema is not in it, so no name of a
// table can mean the log.
func (m *ReadModel) path(namespace string) string {
	var path strings.Builder
	for _, schema := range append([]string{m.Schema(namespace)}, m.Using...) {
		path.WriteString(pgx.Identifier{schema}.Sanitize() + ", ")
	}
	return path.String() + "pg_catalog, pg_temp"
}

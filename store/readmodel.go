package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ReadModel is one version of a projection. Its tables live in a schema of their own. The name of
// the schema consists of the namespace, the projection and the version.
type ReadModel struct {
	// Name and Version are those of the projection.
	Name    string
	Version int
	// Using are other schemas. The read model's SQL may name their tables, functions and types
	// without the schema.
	Using []string
	// SortedBy are the numbers, from 1, of the arguments that say which row a statement writes. If
	// there are any, statements are sent in the order of these keys.
	SortedBy []int
	// Aggregates are the types of aggregates whose events it takes.
	Aggregates []string
	// Setup is the SQL that creates the projection's tables. It may be empty.
	Setup string
}

// Statement is SQL of a read model that is part of a commit.
type Statement struct {
	Model *ReadModel
	Query *pgx.QueuedQuery
}

// Handler is code of a read model that runs in the transaction of a commit.
type Handler struct {
	Model *ReadModel
	Run   func(ctx context.Context, tx pgx.Tx) error
}

// Schema returns the name of the schema that holds the read model's tables.
func (m *ReadModel) Schema(namespace string) string {
	return namespace + "_" + m.Name + "_" + strconv.Itoa(m.Version)
}

// ReadSchema returns the name of the schema that holds a namespace's views for readers.
func ReadSchema(namespace string) string { return namespace + "_read" }

// maxName is the longest name that Postgres keeps, in bytes.
const maxName = 63

// Check returns what is wrong with a read model in a namespace. The namespace may be empty if it
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

// ourComment begins the comments on all schemas of read models.
const ourComment = "Maestro: "

// comment returns the comment on the model's schema. It tells the schema from another one of the
// same name.
func (m *ReadModel) comment(namespace string) string {
	return fmt.Sprintf("%s%d", m.commentOfAny(namespace), m.Version)
}

// commentOfAny returns the beginning that the comments on the schemas of all versions share.
func (m *ReadModel) commentOfAny(namespace string) string {
	return fmt.Sprintf(ourComment+"namespace %q, projection %q, version ", namespace, m.Name)
}

// commentOfReaders returns the comment on the schema of the views for readers.
func commentOfReaders(namespace string) string {
	return fmt.Sprintf(ourComment+"namespace %q, views for readers", namespace)
}

// path returns the search path of the read model's SQL. The log's schema is not in it, so no table
// name can mean a table of the log.
func (m *ReadModel) path(namespace string) string {
	var path strings.Builder
	for _, schema := range append([]string{m.Schema(namespace)}, m.Using...) {
		path.WriteString(pgx.Identifier{schema}.Sanitize() + ", ")
	}
	return path.String() + "pg_catalog, pg_temp"
}

// Package house tests the repository itself: which package imports which, and what every folder and
// page must have.
package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	module = "github.com/maestro-es/maestro"
	top    = "../.."
)

// files lists the repository's files relative to the top folder, with slashes. It leaves out hidden
// files, built files and scratch files.
func files(t *testing.T) []string {
	t.Helper()
	var found []string
	err := fs.WalkDir(os.DirFS(top), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		hidden := name != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_"))
		if d.IsDir() && (hidden || path == "tmp") {
			return fs.SkipDir
		}
		if !d.IsDir() {
			found = append(found, path)
		}
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, found)
	return found
}

// goFiles parses the head of every Go file, by path.
func goFiles(t *testing.T) map[string]*ast.File {
	t.Helper()
	parsed := map[string]*ast.File{}
	for _, path := range files(t) {
		if filepath.Ext(path) != ".go" || strings.Contains(path, "testdata/") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(top, path), nil, parser.ImportsOnly|parser.ParseComments)
		require.NoError(t, err)
		parsed[path] = f
	}
	return parsed
}

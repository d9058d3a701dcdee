package house

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestEveryFolderHasAPackageComment(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for file, f := range goFiles(t) {
		folder := path.Dir(file)
		start := "Package " + f.Name.Name + " "
		if f.Name.Name == "main" {
			start = "Command " + path.Base(folder) + " "
		}
		documented[folder] = documented[folder] || strings.HasPrefix(f.Doc.Text(), start)
	}
	for folder, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment: begin one with %q or %q", folder, "// Package name ", "// Command name ")
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// In code, square brackets before round ones are type parameters.
var code = regexp.MustCompile("(?ms)^ *```.*?^ *```|`[^`\n]*`")

func TestLinksBetweenPagesLeadSomewhere(t *testing.T) {
	t.Parallel()
	pages := 0
	for _, page := range files(t) {
		if filepath.Ext(page) != ".md" {
			continue
		}
		pages++
		text := code.ReplaceAllString(read(t, page), "")
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			target, err := url.Parse(match[1])
			require.NoError(t, err, "%s: link %s", page, match[1])
			if target.IsAbs() || target.Path == "" {
				continue
			}
			_, err = os.Stat(filepath.Join(top, path.Dir(page), target.Path))
			require.NoError(t, err, "%s: link %s", page, match[1])
		}
	}
	require.NotZero(t, pages)
}

// places are what only one machine or one network has.
var places = regexp.MustCompile(`/(home|Users|root)/\w|\b(proxy|sum)\.golang\.org|\bregistry\.\w+\.\w|\b(docker|ghcr|quay)\.io\b|\bpypi\.org\b`)

func TestNoFileNamesAPlaceThatOthersLack(t *testing.T) {
	t.Parallel()
	for _, file := range files(t) {
		text := read(t, file)
		if !utf8.ValidString(text) || file == "tests/house/pages_test.go" {
			continue
		}
		if found := places.FindString(text); found != "" {
			t.Errorf("%s names %q: use a relative path, or a name that every machine understands", file, found)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, file))
	require.NoError(t, err)
	return string(text)
}

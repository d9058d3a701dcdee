// Package docs checks that the pages for people are true. The README's programs are compiled and
// run, its commands print what it shows, and the names in the pages exist.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const top = "../.."

// pages returns the files that people read.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(top, "docs", "*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, found)
	for _, name := range guides {
		found = append(found, guide(name))
	}
	return append(found, filepath.Join(top, "README.md"), filepath.Join(top, "CHANGELOG.md"))
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

var fenced = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// blocks returns the README's code blocks in a language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	found := blocksOf(t, filepath.Join(top, "README.md"), language)
	require.NotEmpty(t, found, "the README has no block of %s", language)
	return found
}

// blocksOf returns a page's code blocks in a language.
func blocksOf(t *testing.T, page, language string) (found []string) {
	t.Helper()
	for _, match := range fenced.FindAllStringSubmatch(read(t, page), -1) {
		if match[1] == language {
			found = append(found, match[2])
		}
	}
	return found
}

var (
	inCode     = regexp.MustCompile("(?ms)^```.*?^```$|`([^`\n]+)`")
	testName   = regexp.MustCompile(`^(Test|Fuzz|Example)[A-Z]\w*$`)
	target     = regexp.MustCompile("(?m)(?:^|`)make ([a-z]+)")
	makeTarget = regexp.MustCompile(`(?m)^([a-z]+):`)
	fileName   = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)*/?$`)
	function   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`)
)

// A page names files, targets of make and tests in backquotes. A name that ends with a slash or
// like a source file is the name of a folder or file.
func TestWhatThePagesNameExists(t *testing.T) {
	t.Parallel()
	targets, tests, ofGuides := map[string]bool{}, map[string]bool{}, guidesNames(t)
	for _, match := range makeTarget.FindAllStringSubmatch(read(t, filepath.Join(top, "Makefile")), -1) {
		targets[match[1]] = true
	}
	require.NoError(t, filepath.WalkDir(top, func(file string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(file, "_test.go") {
			for _, match := range function.FindAllStringSubmatch(read(t, file), -1) {
				tests[match[1]] = true
			}
		}
		return err
	}))
	checked := 0
	for _, page := range pages(t) {
		text := read(t, page)
		for _, match := range target.FindAllStringSubmatch(text, -1) {
			require.True(t, targets[match[1]], "%s: make %s is not in the Makefile", page, match[1])
		}
		for _, match := range inCode.FindAllStringSubmatch(text, -1) {
			name := match[1]
			switch {
			case testName.MatchString(name):
				require.True(t, tests[name], "%s: there is no test %s", page, name)
			case isFile(name) && !ofGuides[name]:
				_, err := os.Stat(filepath.Join(top, name))
				require.NoError(t, err, "%s", page)
			default:
				continue
			}
			checked++
		}
	}
	require.NotZero(t, checked)
}

func isFile(name string) bool {
	if !fileName.MatchString(name) {
		return false
	}
	switch filepath.Ext(name) {
	case ".go", ".md", ".sql", ".txt":
		return true
	}
	return strings.HasSuffix(name, "/")
}

// otherTool matches the start of a line that runs a program of others. Such a program has flags of
// its own.
var otherTool = regexp.MustCompile(`(?m)^(?:\$ )?(?:docker|go|kubectl|nats) .*$`)

var flagName = regexp.MustCompile(`--[a-z]+(?:-[a-z]+)*`)

func TestTheFlagsThatThePagesNameExist(t *testing.T) {
	t.Parallel()
	help := ""
	for program, commands := range map[string][]string{
		"./cmd/worker":    {"run", "migrate", "republish"},
		"./cmd/publisher": {"send", "request", "get", "history", "snapshot", "watch", "import", "generate", "bench"},
	} {
		file := build(t, program)
		for _, command := range commands {
			help += run(t, file+" "+command+" --help")
		}
	}
	known := map[string]bool{}
	for _, name := range flagName.FindAllString(help, -1) {
		known[name] = true
	}
	for _, page := range pages(t) {
		for _, name := range flagName.FindAllString(otherTool.ReplaceAllString(read(t, page), ""), -1) {
			require.True(t, known[name], "%s: no program has the flag %s", page, name)
		}
	}
}

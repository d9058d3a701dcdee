package aggregatetest

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maestro-es/maestro/aggregate"
)

// update is the test flag -update. Other code in the test binary may have defined it before.
var update = func() *flag.Flag {
	if flag.Lookup("update") == nil {
		flag.Bool("update", false, "rewrite golden files")
	}
	return flag.Lookup("update")
}()

func updating() bool { return update.Value.String() == "true" }

// Golden plays the histories of the files that match the pattern (see [filepath.Match]). It fails
// if a history ends differently. With the test flag -update it rewrites the files: read the
// difference before you commit it.
//
// A file holds histories, each under a title:
//
//	-- an increment counts one by default --
//	given incremented {"by":3}
//	when increment
//	then incremented {"by":1}
//	state {"value":4}
//
//	when increment {"by":-1}
//	rejected invalid_amount: by must be positive, got -1
//
// People write the lines "given EVENT JSON", "when COMMAND JSON", "at TIME" and comments that
// begin with #. "at" sets the time of the commands that follow, in RFC 3339; the default is the
// beginning of 2026. -update writes the lines with the results: then, state, rejected, and failed
// for an error that is no rejection.
//
// An event of a later version than the first is written EVENT@VERSION. Files from before an upcast
// therefore stay as they are, and show that old events can still be read.
func Golden(t *testing.T, d aggregate.Type, pattern string) {
	t.Helper()
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden file matches %q (%v): write one with a title and a when line, then run the test with -update",
			pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), func(t *testing.T) { goldenFile(t, d, file) })
	}
}

func goldenFile(t *testing.T, d aggregate.Type, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, histories := split(string(text))
	if len(histories) == 0 {
		t.Fatalf("%s: no history begins in it, expected a title such as \"-- the title --\"", file)
	}
	for i := range histories {
		h := &histories[i]
		t.Run(h.title, func(t *testing.T) {
			now, err := retell(d, h.text)
			if err != nil {
				t.Fatalf("%s: %s: %s", file, h.title, err)
			}
			if updating() {
				h.text = now
			} else if diff := difference(h.text, now); diff != "" {
				t.Errorf("%s: %q ends otherwise (-file +now; -update rewrites the file):\n%s", file, h.title, diff)
			}
		})
	}
	if updating() {
		rewrite(t, file, head, histories)
	}
}

func rewrite(t *testing.T, file, head string, histories []history) {
	t.Helper()
	for _, h := range histories {
		head += h.heading + h.text
	}
	if err := os.WriteFile(file, []byte(head), 0o600); err != nil {
		t.Fatal(err)
	}
}

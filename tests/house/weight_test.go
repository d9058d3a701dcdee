package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sender is a program that only sends commands.
const sender = `package main

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/maestro-es/maestro/client"
)

func main() {
	nc, err := nats.Connect(nats.DefaultURL)
	if err != nil {
		panic(err)
	}
	c, err := client.New(nc, client.Options{})
	if err != nil {
		panic(err)
	}
	_, err = c.Request(context.Background(), client.Command{Aggregate: "counter", AggregateID: "42", Name: "increment"})
	if err != nil {
		panic(err)
	}
}
`

// linked are the modules that a program links if it only sends commands: nats.go, the API of
// OpenTelemetry, and the modules that these need.
var linked = strings.Fields(`
	github.com/cenkalti/backoff/v4
	github.com/cespare/xxhash/v2
	github.com/go-logr/logr
	github.com/go-logr/stdr
	github.com/google/uuid
	github.com/klauspost/compress
	github.com/maestro-es/maestro
	github.com/nats-io/nats.go
	github.com/nats-io/nkeys
	github.com/nats-io/nuid
	go.opentelemetry.io/auto/sdk
	go.opentelemetry.io/otel
	go.opentelemetry.io/otel/log
	go.opentelemetry.io/otel/metric
	go.opentelemetry.io/otel/trace
	golang.org/x/crypto
	golang.org/x/sys
	golang.org/x/text
`)

// A program that only sends commands links no database, no exporter and no RPC. `make weight` shows
// what it weighs.
func TestASenderIsLight(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "sender")
	if err := os.WriteFile(file, []byte(sender), 0o600); err != nil {
		t.Fatal(err)
	}
	command := func(args ...string) string {
		cmd := exec.Command("go", args...)
		cmd.Dir = top
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", args, err, out)
		}
		return string(out)
	}
	modules := strings.Fields(command("list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", file))
	slices.Sort(modules)
	modules = slices.Compact(modules)
	for _, m := range modules {
		if !slices.Contains(linked, m) && m != "command-line-arguments" {
			t.Errorf("a program that only sends commands links %s", m)
		}
	}
	command("build", "-ldflags=-s -w", "-o", program, file)
	built, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a program that only sends commands: %d modules, %.1f MB stripped", len(modules), float64(built.Size())/1e6)
	if built.Size() > 12e6 {
		t.Errorf("the program has %d bytes: a way to a server's packages was opened", built.Size())
	}
}

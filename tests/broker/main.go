// Command broker is a nats-server in a process of its own, for the tests that share one. It keeps
// its streams in the folder that its argument names, and prints its URL. It ends when its standard
// input ends.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/maestro-es/maestro/internal/localnats"
)

func main() {
	server, err := localnats.Start(localnats.Options{Dir: os.Args[1]})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stdout, server.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	server.Stop()
}

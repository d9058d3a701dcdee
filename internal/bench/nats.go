package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/maestro-es/maestro/internal/localnats"
)

// serveRole makes this program a nats-server.
const serveRole = "serve"

// natsServer is a nats-server process.
type natsServer struct {
	*process
	url string
}

// natsEnvironment is the environment that docs/operations.md recommends for a nats-server that is
// to answer evenly.
var natsEnvironment = []string{"GOGC=800", "GOMEMLIMIT=2GiB"}

// startNATS starts a server that keeps its streams in a folder, and returns when it takes
// connections.
func startNATS(ctx context.Context, dir string) (*natsServer, error) {
	p, url, err := startSelf(ctx, serveRole, dir, natsEnvironment)
	if err != nil {
		return nil, err
	}
	return &natsServer{process: p, url: strings.TrimSpace(string(url))}, nil
}

// serve is the nats-server process. It prints its URL. It ends with the process that started it, or
// when it is interrupted.
func serve(dir string) {
	server, err := localnats.Start(localnats.Options{Dir: dir})
	must(err)
	fmt.Println(server.URL())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
	}
	server.Stop()
}

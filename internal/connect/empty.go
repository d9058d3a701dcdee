package connect

import (
	"os"

	"github.com/alecthomas/kong"
)

// WithoutEmpty makes empty environment variables count as not given, for all flags of a program
// except those with the tag empty:"true". Otherwise an empty variable would be an error for a
// number, and a text would lose its default. WithoutEmpty has to be called before the command line
// is parsed.
func WithoutEmpty(program *kong.Kong) {
	nodes := []*kong.Node{program.Model.Node}
	for len(nodes) > 0 {
		node := nodes[0]
		nodes = append(nodes[1:], node.Children...)
		for _, flag := range node.Flags {
			for _, name := range flag.Envs {
				if value, given := os.LookupEnv(name); given && value == "" && flag.Tag.Get("empty") != "true" { //nolint:forbidigo // programs call it
					_ = os.Unsetenv(name)
				}
			}
		}
	}
}

// Package release knows which version of Maestro a program is, for people who compare what runs with what they built.
package release

import (
	"cmp"
	"runtime/debug"
)

// version is set where a build names one: -ldflags "-X github.com/maestro-es/maestro/internal/release.version=v1.2.3".
// Without it the Go toolchain makes one of the commit and its tags.
var version string

// Version is the version of this program, followed by the commit that it was built from where that is known.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(version, "unknown")
	}
	name := cmp.Or(version, info.Main.Version)
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return name + " " + s.Value
		}
	}
	return name
}

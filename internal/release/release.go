// Package release tells a program which version of Maestro it is, so that people can compare what
// runs with what they built.
package release

import (
	"cmp"
	"runtime/debug"
)

// version is set by builds that name a version: -ldflags "-X
// github.com/maestro-es/maestro/internal/release.version=v1.2.3". Otherwise the Go toolchain makes
// a version of the commit and its tags.
var version string

// Version is the version of this program. The commit that it was built from follows, if known.
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

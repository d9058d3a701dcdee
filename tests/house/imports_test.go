package house

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms says for every package which packages of the module it may import; the top folder is
// "maestro". Tests are free.
//
//	cmd -> workercmd -> maestro -> consumer | eventstream | projections | console -> store -> aggregate -> standard library
//	workercmd -> admin -> consumer | eventstream -> store
//	consumer -> internal/api | internal/ownership -> internal/membership | internal/message -> internal/lane -> store
//	repository -> internal/engine -> internal/lane -> store
//	client -> protocol | aggregate -> standard library
//
// What stands beside each other here does not import each other: each declares the small interface
// that it needs.
var rooms = map[string]string{
	"protocol":                "",
	"aggregate":               "",
	"aggregate/aggregatetest": "aggregate",

	"internal/hlc":         "",
	"internal/monotonic":   "",
	"internal/recording":   "",
	"internal/telemetry":   "internal/monotonic",
	"internal/wire":        "aggregate",
	"internal/connect":     "",
	"internal/link":        "internal/monotonic",
	"internal/stream":      "",
	"internal/atomicbatch": "",
	"internal/fastbatch":   "",
	"internal/generate":    "client",
	"internal/localca":     "",
	"internal/localnats":   "",
	"internal/openloop":    "aggregate store internal/wire",
	"internal/heap":        "",
	"internal/release":     "",
	"internal/timerslack":  "",
	"internal/child":       "",
	"internal/localpg":     "internal/child internal/localca",
	"internal/membership":  "internal/wire",
	"internal/lane":        "aggregate protocol store internal/hlc internal/monotonic internal/telemetry internal/wire",

	"internal/message": "aggregate protocol store internal/lane internal/telemetry internal/wire",

	"internal/api": "aggregate protocol store internal/hlc internal/lane internal/membership internal/message internal/telemetry internal/wire",

	"internal/ownership": "store internal/hlc internal/lane internal/membership internal/telemetry internal/wire",

	"store":           "aggregate protocol internal/hlc internal/wire",
	"store/storetest": "aggregate store internal/hlc",

	"client":      "aggregate protocol internal/fastbatch internal/hlc internal/telemetry internal/wire",
	"console":     "aggregate store internal/telemetry internal/wire",
	"consumer":    "aggregate protocol store internal/api internal/lane internal/message internal/ownership internal/stream internal/telemetry internal/wire",
	"eventstream": "aggregate store internal/atomicbatch internal/fastbatch internal/hlc internal/stream internal/telemetry internal/wire",
	"projections": "aggregate store internal/telemetry",

	"admin": "consumer eventstream store internal/hlc internal/wire",

	"internal/engine": "aggregate store projections internal/hlc internal/lane",

	"repository": "aggregate store projections internal/engine internal/hlc internal/lane internal/telemetry internal/wire",

	"maestro": "aggregate store client console consumer eventstream projections " +
		"internal/engine internal/hlc internal/lane internal/link internal/ownership internal/release internal/telemetry internal/wire",

	"maestrotest": "maestro aggregate store client internal/localnats internal/localpg internal/wire",

	"workercmd": "maestro admin aggregate store consumer eventstream projections internal/connect internal/engine internal/heap internal/localnats " +
		"internal/localpg internal/recording internal/release internal/telemetry internal/timerslack",

	"cmd/worker": "workercmd aggregate examples/counter examples/declaration",
	"cmd/publisher": "aggregate store client eventstream internal/connect internal/generate internal/hlc internal/openloop internal/release " +
		"internal/recording internal/telemetry internal/wire",

	"examples/counter":     "aggregate projections",
	"examples/declaration": "aggregate projections",
	"examples/own":         "aggregate projections workercmd",
	"examples/own/account": "aggregate projections",
	"examples/demo":        anything,
	"internal/bench":       anything,

	"tests/hostile": "aggregate store projections",

	"tests/faults/parcel": "aggregate projections",
	"tests/faults/worker": "aggregate workercmd examples/counter examples/declaration tests/faults/parcel",

	"tests/broker": "internal/localnats",
	"tests/house":  "",
}

const anything = "anything"

// outside says which paths of other modules a package must not import.
var outside = map[string][]string{
	"protocol":      {"."}, // the standard library has no dot in its paths
	"aggregate":     {"."},
	"store":         {broker, telemetry},
	"projections":   {broker},
	"internal/hlc":  {broker, database, telemetry},
	"internal/wire": {database},
	"client":        {database},
	"consumer":      {database},
	"repository":    {broker},
}

const (
	broker    = "github.com/nats-io/"
	database  = "github.com/jackc/pgx/"
	telemetry = "go.opentelemetry.io/"
)

func TestImports(t *testing.T) {
	t.Parallel()
	for file, f := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		room := roomOf(path.Dir(file))
		may, known := rooms[room]
		if !known {
			t.Errorf("package %s is not in the table of rooms: add it to tests/house/imports_test.go", room)
			continue
		}
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			checkImport(t, file, room, may, imported)
		}
	}
}

func checkImport(t *testing.T, file, room, may, imported string) {
	t.Helper()
	if rest, ours := strings.CutPrefix(imported, module); ours {
		if may != anything && !slices.Contains(strings.Fields(may), roomOf(strings.TrimPrefix(rest, "/"))) {
			t.Errorf("%s imports %s: %s may import of this module: %s", file, imported, room, may)
		}
		return
	}
	for _, away := range outside[room] {
		if strings.Contains(imported, away) {
			t.Errorf("%s imports %s: %s keeps away from it", file, imported, room)
		}
	}
}

// roomOf returns a folder's name as the tables write it.
func roomOf(folder string) string {
	if folder == "." || folder == "" {
		return "maestro"
	}
	return folder
}

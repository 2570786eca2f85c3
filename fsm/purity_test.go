package fsm

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed lists what the package may import, each with the reason why it cannot make two nodes differ.
var allowed = map[string]string{
	"bufio":                         "streams of snapshots",
	"bytes":                         "pure",
	"cmp":                           "pure",
	"container/heap":                "order of waiters, outside the state",
	"context":                       "Wait only: ends a reader's waiting, never seen by apply",
	"crypto/sha256":                 "pure: digest of a snapshot",
	"encoding/binary":               "pure, byte order given",
	"encoding/hex":                  "pure",
	"errors":                        "pure",
	"fmt":                           "error texts; results carry constant details",
	"hash":                          "interface of the digest",
	"hash/crc32":                    "pure: checksum of a command",
	"hash/fnv":                      "pure: digest of session keys",
	"io":                            "streams of snapshots, opened by the caller",
	"iter":                          "ranges over ordered indexes",
	"log/slog":                      "logger handed in, never read back",
	"reflect":                       "nil check of a proposed body, before it is in the log",
	"slices":                        "pure",
	"strings":                       "pure",
	"sync":                          "readers beside apply",
	"sync/atomic":                   "publishing the state",
	"github.com/fxamacker/cbor/v2":  "deterministic encoding, options fixed in cbor.go",
	"github.com/hashicorp/go-memdb": "ordered tables without a clock",
	"github.com/hashicorp/raft":     "types of entries and configurations",

	"github.com/trentkms/trent/fsm/planted": "constants, but in builds that shall go wrong",
}

// banned says why, for what somebody may be tempted to add.
var banned = map[string]string{
	"time":         "the clock differs between nodes; time comes in with the command",
	"math/rand":    "randomness differs between nodes; ids come in with the command",
	"math/rand/v2": "randomness differs between nodes; ids come in with the command",
	"crypto/rand":  "randomness differs between nodes; ids and keys come in with the command",
	"hash/maphash": "its seed differs between processes",
	"unique":       "process-wide state",
	"os":           "files and environment differ between nodes; I/O can fail on one of them",
	"net":          "apply must not depend on another machine",
	"net/http":     "apply must not depend on another machine",
	"runtime":      "what it tells differs between machines",
	"unsafe":       "rows are shared; nothing here is worth a data race",
	"sort":         "not stable; use package slices",
}

// maxMaps is the number of map types written in each file. Ranging over a map is the easiest way to make two nodes
// differ, so each new one wants a look: is it only looked up?
var maxMaps = map[string]int{
	"homesync.go": 8, // rows by what they are, counters by id, names of rows: all looked up; made in newIncoming and judge
	"schema.go":   2, // the schema's declaration for go-memdb
	"remember.go": 2, // newest entry of an id, looked up; made in add
	"usage.go":    1, // latest use in one report, looked up
}

func sources(t *testing.T) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	set := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]*ast.File)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if files[name], err = parser.ParseFile(set, name, nil, parser.ParseComments); err != nil {
			t.Fatal(err)
		}
	}
	return set, files
}

func TestImportsCannotMakeNodesDiffer(t *testing.T) {
	set, files := sources(t)
	for _, file := range files {
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if reason, bad := banned[path]; bad {
				t.Errorf("%v: import of %s: %s", set.Position(spec.Pos()), path, reason)
			} else if _, ok := allowed[path]; !ok {
				t.Errorf("%v: import of %s: say in this test why it cannot make two nodes differ", set.Position(spec.Pos()), path)
			}
		}
	}
}

func TestNoGoroutinesFloatsOrUncountedMaps(t *testing.T) {
	set, files := sources(t)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		found := 0
		ast.Inspect(files[name], func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%v: goroutine: when it runs differs between nodes", set.Position(n.Pos()))
			case *ast.MapType:
				found++
			case *ast.Ident:
				if n.Name == "float32" || n.Name == "float64" {
					t.Errorf("%v: floats are not the same on every machine", set.Position(n.Pos()))
				}
			}
			return true
		})
		if found != maxMaps[name] {
			t.Errorf("%s: %d map types, expected %d: a map that is ranged over makes nodes differ", name, found, maxMaps[name])
		}
	}
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	set, files := sources(t)
	for _, file := range files {
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Recv == nil && d.Doc == nil {
					t.Errorf("%v: %s has no comment", set.Position(d.Pos()), d.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
						t.Errorf("%v: %s has no comment", set.Position(s.Pos()), s.Name)
					}
				}
			}
		}
	}
}

package trenttest

import (
	"fmt"
	"os"
	"sync"
	"testing"
)

// shared is the node that most tests of a package use together.
var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Shared returns the node that the tests of this process share; it is started at the first call. Main stops and checks it.
func Shared(tb testing.TB) *Server {
	tb.Helper()
	shared.once.Do(func() { shared.server, shared.err = Open(Options{}) })
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.server
}

// Main runs the tests of a package, then stops and checks the shared node. After are told the node's journal if all tests ran
// and passed; they return what the tests as a whole have missed. The result is the exit code.
func Main(m *testing.M, after ...func(*Journal) error) int {
	defer removeBinary()
	code := m.Run()
	s := shared.server
	if s == nil {
		return code
	}
	if err := s.Finish(); err != nil {
		fmt.Fprintf(os.Stderr, "FAIL: the shared node: %v\n%s\n", err, s.tail())
		code = max(code, 1)
	}
	if code != 0 || filtered() {
		return code
	}
	for _, f := range after {
		if err := f(s.Journal); err != nil {
			fmt.Fprintln(os.Stderr, "FAIL:", err)
			code = 1
		}
	}
	return code
}

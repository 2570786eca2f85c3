package ports

import (
	"net"
	"testing"
)

// TestRange: what was handed out is held, although nobody listens on it, and what somebody listens on is not handed out.
func TestRange(t *testing.T) {
	from, err := Range(3)
	if err != nil {
		t.Fatal(err)
	}
	for p := from; p < from+3; p++ {
		if conn := hold(p); conn != nil {
			t.Errorf("port %d was handed out and is not held", p)
		}
		ln, err := net.Listen("tcp", address(p)) // by a node
		if err != nil {
			t.Fatal(err)
		}
		_ = taken.held[p].Close()
		if conn := hold(p); conn != nil {
			t.Errorf("port %d is in use and handed out", p)
		}
		_ = ln.Close()
	}
}

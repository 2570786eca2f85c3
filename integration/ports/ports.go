// Package ports finds ports for nodes under test. They are drawn from below those that systems give to outgoing connections (Linux: from
// 32768), so that a node that was killed finds its port free when it is started again.
package ports

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

const (
	first = 12000
	end   = 32000
)

// taken are the ports that this process has handed out, listened on yet or not.
var taken struct {
	mu    sync.Mutex
	ports map[int]bool
}

// Range returns the first of n successive ports of 127.0.0.1 that nobody listens on and that this process has not been given before.
// It is safe for concurrent use.
func Range(n int) (int, error) {
	taken.mu.Lock()
	defer taken.mu.Unlock()
	if taken.ports == nil {
		taken.ports = make(map[int]bool)
	}
	for range 1000 {
		from := first + rand.IntN(end-first-n)
		free := true
		for p := from; free && p < from+n; p++ {
			free = !taken.ports[p] && isFree(p)
		}
		if !free {
			continue
		}
		for p := from; p < from+n; p++ {
			taken.ports[p] = true
		}
		return from, nil
	}
	return 0, errors.New("no ports are free")
}

// Address returns an address with such a port.
func Address() (string, error) {
	port, err := Range(1)
	return address(port), err
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func isFree(port int) bool {
	ln, err := net.Listen("tcp", address(port))
	if err == nil {
		_ = ln.Close()
	}
	return err == nil
}

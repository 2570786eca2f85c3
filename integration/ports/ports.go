// Package ports finds ports for nodes under test. They are drawn from below those that systems give to outgoing connections (Linux: from
// 32768), so that a node that was killed finds its port free when it is started again, and are held against other test processes.
package ports

import (
	"errors"
	"maps"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

const (
	first = 12000
	end   = 32000
)

// taken are the ports that this process has handed out, listened on yet or not. A UDP socket of the same number, which no node opens, tells other
// processes.
var taken struct {
	mu   sync.Mutex
	held map[int]net.PacketConn
}

// Range returns the first of n successive ports of 127.0.0.1 that nobody listens on and that no process has been given that still runs.
// It is safe for concurrent use.
func Range(n int) (int, error) {
	taken.mu.Lock()
	defer taken.mu.Unlock()
	if taken.held == nil {
		taken.held = make(map[int]net.PacketConn)
	}
	for range 1000 {
		from := first + rand.IntN(end-first-n)
		held := make(map[int]net.PacketConn, n)
		for p := from; p < from+n; p++ {
			conn := hold(p)
			if conn == nil {
				break
			}
			held[p] = conn
		}
		if len(held) == n {
			maps.Copy(taken.held, held)
			return from, nil
		}
		for _, conn := range held {
			_ = conn.Close()
		}
	}
	return 0, errors.New("no ports are free")
}

// Address returns an address with such a port.
func Address() (string, error) {
	port, err := Range(1)
	return address(port), err
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// hold holds a port that nobody listens on and nobody has been given; nil if it is not free.
func hold(port int) net.PacketConn {
	conn, err := net.ListenPacket("udp", address(port))
	if err != nil {
		return nil
	}
	ln, err := net.Listen("tcp", address(port))
	if err != nil {
		_ = conn.Close()
		return nil
	}
	_ = ln.Close()
	return conn
}

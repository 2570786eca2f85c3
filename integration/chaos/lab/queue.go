//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	nfqueue "github.com/florianl/go-nfqueue/v2"
)

// queue holds the packets that come to a node, and lets each go when it is due: delay, jitter and reordering, or one long hold.
type queue struct {
	nf     *nfqueue.Nfqueue
	end    context.CancelFunc
	ns     *os.File
	held   atomic.Int64         // packets that were held, in all
	delay  func() time.Duration // nil: hold until release
	mu     sync.Mutex
	ids    []uint32 // held until release, in the order of arrival
	open   bool     // released: packets pass
	closed bool
	number uint16
}

// queueNumbers are handed out to queues; a number belongs to a namespace, so they only need to differ within one.
var queueNumbers atomic.Uint32

// HaveQueue says why packets cannot be held here, nil if they can.
func (l *Lab) HaveQueue() error {
	if l.net == nil {
		return errNoNetwork
	}
	n := l.Nodes()[0]
	q, err := n.ns.queue(func() time.Duration { return 0 })
	if err != nil {
		return err
	}
	return q.close()
}

// queue takes what later rules send to it.
func (s *namespace) queue(delay func() time.Duration) (*queue, error) {
	file, err := os.Open("/var/run/netns/" + s.name)
	if err != nil {
		return nil, err
	}
	number := uint16(queueNumbers.Add(1)%60000 + 1)
	nf, err := nfqueue.Open(&nfqueue.Config{
		NfQueue: number, MaxPacketLen: 64, MaxQueueLen: 16384, Copymode: nfqueue.NfQnlCopyMeta, NetNS: int(file.Fd()), WriteTimeout: 100 * time.Millisecond,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a packet queue: %w", err), file.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	q := &queue{nf: nf, end: cancel, ns: file, delay: delay}
	if err := nf.RegisterWithErrorFunc(ctx, q.take, func(error) int { return 0 }); err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("take packets from a queue: %w", err), nf.Close(), file.Close())
	}
	s.queues = append(s.queues, q)
	q.ns = file
	return q, s.probe(number)
}

// probe checks that the kernel knows the target.
func (s *namespace) probe(number uint16) error {
	rule := []string{"INPUT", "-s", "192.0.2.1", "-j", "NFQUEUE", "--queue-num", strconv.Itoa(int(number)), "--queue-bypass"}
	if err := s.iptables(append([]string{"-A"}, rule...)...); err != nil {
		return err
	}
	s.queues[len(s.queues)-1].number = number
	return s.iptables(append([]string{"-D"}, rule...)...)
}

func (q *queue) take(a nfqueue.Attribute) int {
	if a.PacketID == nil {
		return 0
	}
	id := *a.PacketID
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.open || q.closed:
		_ = q.nf.SetVerdict(id, nfqueue.NfAccept)
	case q.delay == nil:
		q.held.Add(1)
		q.ids = append(q.ids, id)
	default:
		q.held.Add(1)
		time.AfterFunc(q.delay(), func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			if !q.closed {
				_ = q.nf.SetVerdict(id, nfqueue.NfAccept)
			}
		})
	}
	return 0
}

// release lets everything go, and what comes from now on.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open = true
	for _, id := range q.ids {
		_ = q.nf.SetVerdict(id, nfqueue.NfAccept)
	}
	q.ids = nil
}

func (q *queue) close() error {
	q.release()
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.end()
	err := q.nf.Close()
	_ = q.ns.Close() // the library may have closed it
	return err
}

// Slow has packets from others reach a node after a delay between least and most, each its own, so that they overtake each other.
func (n *Node) Slow(least, most time.Duration, from ...*Node) error {
	if n.ns == nil {
		return errNoNetwork
	}
	_, err := n.hold(func() time.Duration { return least + time.Duration(rand.Int64N(int64(most-least)+1)) }, from)
	return err
}

// Hold keeps what others send to a node until release is called; held counts packets.
func (n *Node) Hold(from ...*Node) (release func(), held func() int64, err error) {
	if n.ns == nil {
		return nil, nil, errNoNetwork
	}
	q, err := n.hold(nil, from)
	if err != nil {
		return nil, nil, err
	}
	return q.release, q.held.Load, nil
}

func (n *Node) hold(delay func() time.Duration, from []*Node) (*queue, error) {
	q, err := n.ns.queue(delay)
	if err != nil {
		return nil, err
	}
	for _, f := range from {
		if f == n {
			continue
		}
		if err := n.ns.iptables("-A", "INPUT", "-p", "tcp", "-s", f.ns.ip, "-j", "NFQUEUE", "--queue-num", strconv.Itoa(int(q.number)), "--queue-bypass"); err != nil {
			return nil, err
		}
	}
	return q, nil
}

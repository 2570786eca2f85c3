package cluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// simNet is a network in virtual time: every message takes a while, links can be cut one way, and an answer travels by
// itself, so that it can be late or lost although the question arrived.
type simNet struct {
	base, jitter time.Duration
	timeout      time.Duration

	mu    sync.Mutex
	rng   *rand.Rand
	cut   map[[2]string]bool
	slow  map[[2]string]time.Duration
	nodes map[string]*simNode
}

func newSimNet(seed uint64) *simNet {
	return &simNet{base: 200 * time.Microsecond, jitter: 800 * time.Microsecond, timeout: 60 * time.Millisecond,
		rng: rand.New(rand.NewPCG(seed, 1)), cut: map[[2]string]bool{}, slow: map[[2]string]time.Duration{}, nodes: map[string]*simNode{}}
}

func (w *simNet) intn(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

func (w *simNet) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(w.rng.Int64N(int64(d)))
}

// hop carries a message, and reports whether it arrived.
func (w *simNet) hop(from, to string) bool {
	w.mu.Lock()
	cut, slow := w.cut[[2]string{from, to}], w.slow[[2]string{from, to}]
	w.mu.Unlock()
	if cut {
		return false
	}
	time.Sleep(w.base + w.upTo(w.jitter) + slow)
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.cut[[2]string{from, to}]
}

// isolate cuts a node off from all others, both ways.
func (w *simNet) isolate(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for o := range w.nodes {
		if o != id {
			w.cut[[2]string{o, id}], w.cut[[2]string{id, o}] = true, true
		}
	}
}

func (w *simNet) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.cut)
}

// simTransport is the library's in-memory transport behind the network.
type simTransport struct {
	*raft.InmemTransport
	net  *simNet
	id   string
	pipe bool
	dead chan struct{} // closed when the node's process is gone
}

var errCut = errors.New("sim: message lost")

func (t *simTransport) gone() bool {
	select {
	case <-t.dead:
		return true
	default:
		return false
	}
}

// call carries a question there, has it answered, and carries the answer back.
func (t *simTransport) call(to raft.ServerAddress, f func() error) error {
	if t.gone() || !t.net.hop(t.id, string(to)) {
		time.Sleep(t.net.timeout)
		return errCut
	}
	if t.gone() {
		return errCut
	}
	if err := f(); err != nil {
		return err
	}
	if !t.net.hop(string(to), t.id) || t.gone() {
		time.Sleep(t.net.timeout)
		return errCut
	}
	return nil
}

// AppendEntries copies the request, since the library reuses it after a timeout while the peer may still hold it.
func (t *simTransport) AppendEntries(id raft.ServerID, to raft.ServerAddress, r *raft.AppendEntriesRequest, out *raft.AppendEntriesResponse) error {
	c, got := *r, raft.AppendEntriesResponse{}
	err := t.call(to, func() error { return t.InmemTransport.AppendEntries(id, to, &c, &got) })
	if err == nil {
		*out = got
	}
	return err
}

func (t *simTransport) RequestVote(id raft.ServerID, to raft.ServerAddress, r *raft.RequestVoteRequest, out *raft.RequestVoteResponse) error {
	return t.call(to, func() error { return t.InmemTransport.RequestVote(id, to, r, out) })
}

func (t *simTransport) RequestPreVote(id raft.ServerID, to raft.ServerAddress, r *raft.RequestPreVoteRequest, out *raft.RequestPreVoteResponse) error {
	return t.call(to, func() error { return t.InmemTransport.RequestPreVote(id, to, r, out) })
}

func (t *simTransport) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, r *raft.InstallSnapshotRequest, out *raft.InstallSnapshotResponse, data io.Reader) error {
	b, err := io.ReadAll(data)
	if err != nil {
		return err
	}
	return t.call(to, func() error { return t.InmemTransport.InstallSnapshot(id, to, r, out, bytes.NewReader(b)) })
}

func (t *simTransport) TimeoutNow(id raft.ServerID, to raft.ServerAddress, r *raft.TimeoutNowRequest, out *raft.TimeoutNowResponse) error {
	return t.call(to, func() error { return t.InmemTransport.TimeoutNow(id, to, r, out) })
}

func (t *simTransport) AppendEntriesPipeline(id raft.ServerID, to raft.ServerAddress) (raft.AppendPipeline, error) {
	if !t.pipe || t.gone() {
		return nil, raft.ErrPipelineReplicationNotSupported
	}
	inner, err := t.InmemTransport.AppendEntriesPipeline(id, to)
	if err != nil {
		return nil, err
	}
	p := &simPipeline{AppendPipeline: inner, t: t, to: string(to), out: make(chan raft.AppendFuture), stop: make(chan struct{})}
	go p.answers()
	return p, nil
}

// simPipeline delays both ways. A lost message shows as an answer without success, which is all the library looks at.
type simPipeline struct {
	raft.AppendPipeline
	t    *simTransport
	to   string
	out  chan raft.AppendFuture
	stop chan struct{}
	once sync.Once
}

func (p *simPipeline) AppendEntries(r *raft.AppendEntriesRequest, out *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	if p.t.gone() || !p.t.net.hop(p.t.id, p.to) {
		return nil, errCut
	}
	c := *r
	return p.AppendPipeline.AppendEntries(&c, out)
}

func (p *simPipeline) answers() {
	for {
		select {
		case f := <-p.AppendPipeline.Consumer():
			if f.Error() != nil || !p.t.net.hop(p.to, p.t.id) || p.t.gone() {
				f = lostFuture{f}
			}
			select {
			case p.out <- f:
			case <-p.stop:
				return
			}
		case <-p.stop:
			return
		}
	}
}

func (p *simPipeline) Consumer() <-chan raft.AppendFuture { return p.out }

func (p *simPipeline) Close() error {
	p.once.Do(func() { close(p.stop) })
	return p.AppendPipeline.Close()
}

type lostFuture struct{ raft.AppendFuture }

func (lostFuture) Response() *raft.AppendEntriesResponse { return &raft.AppendEntriesResponse{} }

// simPeers asks over the same network.
type simPeers struct {
	net *simNet
	id  string
}

func (p simPeers) LastIndex(_ context.Context, voter raft.Server, clusterID string) (Answer, error) {
	if !p.net.hop(p.id, string(voter.Address)) {
		return Answer{}, errCut
	}
	p.net.mu.Lock()
	peer := p.net.nodes[string(voter.Address)]
	p.net.mu.Unlock()
	n := peer.up()
	if n == nil {
		return Answer{}, errCut
	}
	a, err := n.Answer(string(voter.ID), clusterID)
	if err != nil {
		return Answer{}, err
	}
	if !p.net.hop(string(voter.Address), p.id) {
		return Answer{}, errCut
	}
	return a, nil
}

package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
)

// errNotSent proves that a request did not leave this node whole.
var errNotSent = errors.New("transport: the request was not sent")

// peer is another node as this one asks it: one connection, made when it is needed.
type peer struct {
	server *Server
	id     string

	mu   sync.Mutex
	conn *asking
	dial *dialing // under way; nil if none is
}

// dialing is one attempt that all who need the connection wait for.
type dialing struct {
	done chan struct{}
	conn *asking
	err  error
}

func (s *Server) peer(id string) *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[id]
	if p == nil {
		p = &peer{server: s, id: id}
		s.peers[id] = p
	}
	return p
}

// connect returns the open connection, or waits for the attempt to make one.
func (p *peer) connect(ctx context.Context, address string) (*asking, error) {
	p.mu.Lock()
	if p.conn != nil && p.conn.failed() == nil {
		defer p.mu.Unlock()
		return p.conn, nil
	}
	d := p.dial
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		if !p.server.run(func() { p.open(d, address) }) {
			p.mu.Unlock()
			return nil, net.ErrClosed
		}
		p.dial = d
	}
	p.mu.Unlock()
	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *peer) open(d *dialing, address string) {
	conn, err := p.server.dial(p.server.life, p.id, address, protoRPC)
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.err = err; err == nil {
		d.conn = newAsking(conn, maxFrame)
		d.conn.farewell = p.farewell
		p.conn = d.conn
		p.server.work.Go(d.conn.read)
	}
	p.dial = nil
	close(d.done)
}

// farewell is why the node closes the connection, in its own words. That this node was removed is news for more than those who
// wait for an answer.
func (p *peer) farewell(f frame) error {
	why := decodeFault(f.code, f.payload, p.id)
	if errors.Is(why, cluster.ErrRemoved) {
		p.server.cfg.Dismissed(why)
	}
	return why
}

// asking is an open connection on which requests run side by side.
type asking struct {
	conn net.Conn
	most int // bytes of a frame
	// farewell reads the reason that the other end gives when it closes the connection; nil if it gives none.
	farewell func(frame) error
	heard    atomic.Int64 // when the latest frame came, Unix nanoseconds

	writing sync.Mutex

	mu   sync.Mutex
	next uint64
	wait map[uint64]chan frame
	err  error // set when the connection is over
}

func newAsking(conn net.Conn, most int) *asking {
	a := &asking{conn: conn, most: most, wait: map[uint64]chan frame{}}
	a.heard.Store(time.Now().UnixNano())
	return a
}

func (a *asking) failed() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// read hands answers to those who wait, until the connection ends.
func (a *asking) read() {
	r := bufio.NewReader(a.conn)
	for {
		f, err := readFrame(r, a.most)
		if err != nil {
			a.fail(err)
			return
		}
		if f.id == frameFarewell && a.farewell != nil {
			a.fail(a.farewell(f))
			return
		}
		a.heard.Store(time.Now().UnixNano())
		a.mu.Lock()
		w := a.wait[f.id]
		delete(a.wait, f.id)
		a.mu.Unlock()
		if w != nil {
			w <- f // has room for one
		}
	}
}

// fail ends the connection and tells everybody who waits.
func (a *asking) fail(err error) {
	a.mu.Lock()
	if a.err == nil {
		a.err = err
		for id, w := range a.wait {
			close(w)
			delete(a.wait, id)
		}
	}
	a.mu.Unlock()
	a.conn.Close()
}

// enter registers a request.
func (a *asking) enter() (uint64, chan frame, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return 0, nil, fmt.Errorf("%w (%w)", errNotSent, a.err)
	}
	a.next++
	w := make(chan frame, 1)
	a.wait[a.next] = w
	return a.next, w, nil
}

func (a *asking) leave(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.wait, id)
}

// silence is how long a connection may say nothing while somebody waits before it is given up: a node answers questions
// even while its disk is stuck, so nothing at all means that the way to it is cut.
const silence = time.Second

// ask sends one request and waits for its answer.
func (a *asking) ask(ctx context.Context, method byte, payload []byte) (frame, error) {
	millis := uint32(10_000)
	if d, ok := ctx.Deadline(); ok {
		millis = uint32(max(time.Until(d).Milliseconds(), 1))
	}
	id, answer, err := a.enter()
	if err != nil {
		return frame{}, err
	}
	start := time.Now()
	f := frame{id: id, code: method, millis: millis, payload: payload}
	b, err := f.encode(a.most)
	if err != nil {
		a.leave(id)
		return frame{}, fmt.Errorf("%w (%w)", errNotSent, err)
	}
	if err := a.write(b); err != nil {
		a.fail(err)
		return frame{}, err
	}
	select {
	case f, ok := <-answer:
		if !ok {
			return frame{}, fmt.Errorf("transport: the connection ended: %w", a.failed())
		}
		return f, nil
	case <-ctx.Done():
		a.leave(id)
		if time.Since(start) >= silence && a.heard.Load() < start.UnixNano() {
			a.fail(fmt.Errorf("transport: no answer for %v", time.Since(start).Round(time.Millisecond)))
		}
		return frame{}, context.Cause(ctx)
	}
}

func (a *asking) write(b []byte) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	if err := a.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := a.conn.Write(b)
	return err
}

// request asks a node. The error is errNotSent if the request provably did not reach it.
func (s *Server) request(ctx context.Context, to raft.Server, method byte, payload []byte) ([]byte, error) {
	conn, err := s.peer(string(to.ID)).connect(ctx, string(to.Address))
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", errNotSent, err)
	}
	f, err := conn.ask(ctx, method, payload)
	if err != nil {
		return nil, err
	}
	if f.code != statusOK {
		return nil, decodeFault(f.code, f.payload, string(to.ID))
	}
	return f.payload, nil
}

// LastIndex implements cluster.Peers.
func (s *Server) LastIndex(ctx context.Context, voter raft.Server, clusterID string) (cluster.Answer, error) {
	b, err := s.request(ctx, voter, methodLastIndex, encodeTwo(string(voter.ID), clusterID))
	if err != nil {
		return cluster.Answer{}, err
	}
	return decodeAnswer(b, string(voter.ID), clusterID)
}

// Forward implements cluster.Forwarder.
func (s *Server) Forward(ctx context.Context, leader raft.Server, gate cluster.Gate, cmd fsm.Command) (fsm.Result, error) {
	data, err := fsm.Encode(cmd)
	if err != nil {
		return fsm.Result{}, err
	}
	method := methodPropose
	if len(gate.Keys) > 0 {
		method = methodProposeOn
		if data, err = cbor.Marshal(wireProposal{wireHold{gate.Hold, gate.Keys}, data}); err != nil {
			return fsm.Result{}, fmt.Errorf("%w (%w)", cluster.ErrCanceled, err)
		}
	}
	b, err := s.request(ctx, leader, method, data)
	if err != nil {
		return fsm.Result{}, forwardError(err)
	}
	res, err := decodeResult(b)
	if err != nil {
		return fsm.Result{}, fmt.Errorf("%w (%v)", cluster.ErrUnknown, err)
	}
	return res, nil
}

// Hold implements cluster.Forwarder.
func (s *Server) Hold(ctx context.Context, leader raft.Server, id cluster.HoldID, keys []string) error {
	data, err := cbor.Marshal(wireHold{id, keys})
	if err != nil {
		return err
	}
	_, err = s.request(ctx, leader, methodHold, data)
	return err
}

// forwardError gives an error of a forwarded proposal its meaning.
func forwardError(err error) error {
	switch {
	case errors.Is(err, errNotSent):
		return fmt.Errorf("%w (%v)", cluster.ErrNoLeader, err)
	case errors.Is(err, cluster.ErrUnknown), cluster.NotWritten(err):
		return err
	}
	return fmt.Errorf("%w (%v)", cluster.ErrUnknown, err)
}

// Unfit asks a node why it should not lead, "" if it can or does not know the question. It is what cluster.Config.UnfitThere needs.
func (s *Server) Unfit(ctx context.Context, to raft.Server) (why string, err error) {
	b, err := s.request(ctx, to, methodUnfit, nil)
	var old *RemoteError
	if errors.As(err, &old) {
		return "", nil
	}
	return string(b), err
}

// Call asks a node for something that Handlers.Call serves. A failure that the node reports is one of the errors of package
// cluster or a *RemoteError. The context should have a deadline.
func (s *Server) Call(ctx context.Context, to raft.Server, method string, payload []byte) ([]byte, error) {
	b, err := s.request(ctx, to, methodCall, append(encodeTwo(method, ""), payload...))
	if errors.Is(err, errNotSent) {
		err = fmt.Errorf("%w (%v)", cluster.ErrNoLeader, err)
	}
	return b, err
}

var (
	_ cluster.Peers     = (*Server)(nil)
	_ cluster.Forwarder = (*Server)(nil)
)

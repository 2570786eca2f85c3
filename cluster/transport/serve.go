package transport

import (
	"bufio"
	"context"
	"net"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/fsm"
)

// maxRequests bounds the requests of one peer under way; the connection is not read meanwhile.
const maxRequests = 1024

// answering is one arriving connection of trent-rpc/1.
type answering struct {
	server *Server
	conn   net.Conn
	peer   string
	room   chan struct{}
	mu     sync.Mutex // one frame is written at a time
}

// serveRPC answers a peer's requests until the connection ends.
func (s *Server) serveRPC(conn net.Conn, peer string) {
	a := &answering{server: s, conn: conn, peer: peer, room: make(chan struct{}, maxRequests)}
	ctx, cancel := context.WithCancel(s.life)
	defer cancel()
	r := bufio.NewReader(conn)
	for {
		f, err := readFrame(r, maxFrame)
		if err != nil {
			s.cfg.Logger.Debug("transport: connection ended", "node", peer, "error", err)
			return
		}
		h := s.handlers.Load()
		if h == nil {
			a.fail(f.id, cluster.ErrNoLeader)
			continue
		}
		if f.code == methodLastIndex { // takes no time and decides how long a read takes
			a.lastIndex(h, &f)
			continue
		}
		select {
		case a.room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		s.work.Go(func() {
			defer func() { <-a.room }()
			limit, cancel := context.WithTimeout(ctx, time.Duration(f.millis)*time.Millisecond)
			defer cancel()
			a.serve(limit, h, &f)
		})
	}
}

func (a *answering) lastIndex(h *Handlers, f *frame) {
	node, clusterID, err := decodeTwo(f.payload)
	var answer cluster.Answer
	if err == nil {
		answer, err = h.Answer(node, clusterID)
	}
	if err != nil {
		a.fail(f.id, err)
		return
	}
	a.send(&frame{id: f.id, code: statusOK, payload: encodeAnswer(answer)})
}

// serve runs what only members may ask for.
func (a *answering) serve(ctx context.Context, h *Handlers, f *frame) {
	out, err := a.result(ctx, h, f)
	if err != nil {
		a.fail(f.id, err)
		return
	}
	if 4+frameHeader+len(out) > maxFrame {
		a.fail(f.id, &RemoteError{Text: "the answer is too long for one message"})
		return
	}
	a.send(&frame{id: f.id, code: statusOK, payload: out})
}

func (a *answering) result(ctx context.Context, h *Handlers, f *frame) ([]byte, error) {
	if h.Member != nil {
		if err := h.Member(a.peer); err != nil {
			return nil, err
		}
	}
	switch f.code {
	case methodPropose:
		return propose(ctx, h, cluster.Gate{}, f.payload)
	case methodProposeOn:
		var p wireProposal
		if err := cbor.Unmarshal(f.payload, &p); err != nil {
			return nil, &notWritten{err}
		}
		return propose(ctx, h, cluster.Gate{Keys: p.Keys, Hold: p.ID}, p.Command)
	case methodHold:
		var w wireHold
		if err := cbor.Unmarshal(f.payload, &w); err != nil {
			return nil, err
		}
		if len(w.Keys) == 0 {
			h.Release(w.ID)
			return nil, nil
		}
		return nil, h.Hold(ctx, w.ID, w.Keys)
	case methodCall:
		method, payload, err := decodeTwo(f.payload)
		if err != nil {
			return nil, err
		}
		return h.Call(ctx, a.peer, method, []byte(payload))
	case methodUnfit:
		if h.Unfit == nil {
			break
		}
		var why string
		if err := h.Unfit(); err != nil {
			why = err.Error()
		}
		return []byte(why[:min(len(why), maxFault)]), nil
	}
	return nil, &RemoteError{Text: "this node does not know the request; upgrade it"}
}

// propose runs a forwarded proposal.
func propose(ctx context.Context, h *Handlers, gate cluster.Gate, data []byte) ([]byte, error) {
	cmd, err := fsm.Decode(data)
	if err != nil {
		return nil, &notWritten{err}
	}
	res, err := h.Propose(ctx, gate, cmd)
	if err != nil {
		return nil, err
	}
	return encodeResult(res)
}

// notWritten marks a command that this node cannot read and has not proposed.
type notWritten struct{ cause error }

func (e *notWritten) Error() string { return e.cause.Error() }
func (e *notWritten) Unwrap() error { return fsm.ErrInvalid }

func (a *answering) fail(id uint64, err error) {
	status, text := encodeFault(err)
	a.send(&frame{id: id, code: status, payload: text})
}

// send writes one frame. A peer that does not read for writeTimeout loses the connection.
func (a *answering) send(f *frame) {
	b, err := f.encode(maxFrame)
	if err != nil {
		a.conn.Close()
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
		return
	}
	if _, err := a.conn.Write(b); err != nil {
		a.conn.Close()
	}
}

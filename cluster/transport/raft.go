package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// raftTimeout bounds each message of the Raft library; a snapshot gets it once for every 256 KiB.
const raftTimeout = 10 * time.Second

// raftPool is how many idle connections to one node are kept: for heartbeats, votes and replication.
const raftPool = 3

// stream implements raft.StreamLayer on the port.
type stream struct {
	server   *Server
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func newStream(s *Server) *stream {
	return &stream{server: s, accepted: make(chan net.Conn), closed: make(chan struct{})}
}

// offer hands an authenticated connection to the library, or closes it if nobody takes it.
func (r *stream) offer(conn net.Conn) {
	select {
	case r.accepted <- conn:
	case <-r.closed:
		conn.Close()
	case <-r.server.life.Done():
		conn.Close()
	}
}

// Accept implements net.Listener.
func (r *stream) Accept() (net.Conn, error) {
	select {
	case c := <-r.accepted:
		return c, nil
	case <-r.closed:
		return nil, net.ErrClosed
	case <-r.server.life.Done():
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. The port stays open.
func (r *stream) Close() error {
	r.once.Do(func() { close(r.closed) })
	return nil
}

// Addr implements net.Listener: the address that other nodes are told.
func (r *stream) Addr() net.Addr { return advertised(r.server.advertise) }

type advertised string

func (advertised) Network() string  { return "tcp" }
func (a advertised) String() string { return string(a) }

// Dial implements raft.StreamLayer. The address names the node too (see addressed).
func (r *stream) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	node, address, ok := strings.Cut(string(to), "@")
	if !ok {
		return nil, errors.New("transport: a Raft address without node id")
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return r.server.dial(ctx, node, address, protoRaft)
}

// Raft makes the transport of the Raft library on this port. logger takes what the library says.
func (s *Server) Raft(logger hclog.Logger) raft.Transport {
	return &addressed{raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: s.raft, MaxPool: raftPool, Timeout: raftTimeout, Logger: logger,
	})}
}

// addressed gives the stream layer the id of the node that a message is for, which the library knows and does not pass on:
// a connection is made to a node, not to whoever has its address now.
type addressed struct{ *raft.NetworkTransport }

func at(id raft.ServerID, a raft.ServerAddress) raft.ServerAddress {
	return raft.ServerAddress(id) + "@" + a
}

// AppendEntriesPipeline implements raft.Transport.
func (t *addressed) AppendEntriesPipeline(id raft.ServerID, to raft.ServerAddress) (raft.AppendPipeline, error) {
	return t.NetworkTransport.AppendEntriesPipeline(id, at(id, to))
}

// AppendEntries implements raft.Transport.
func (t *addressed) AppendEntries(id raft.ServerID, to raft.ServerAddress, r *raft.AppendEntriesRequest, out *raft.AppendEntriesResponse) error {
	return t.NetworkTransport.AppendEntries(id, at(id, to), r, out)
}

// RequestVote implements raft.Transport.
func (t *addressed) RequestVote(id raft.ServerID, to raft.ServerAddress, r *raft.RequestVoteRequest, out *raft.RequestVoteResponse) error {
	return t.NetworkTransport.RequestVote(id, at(id, to), r, out)
}

// RequestPreVote implements raft.WithPreVote.
func (t *addressed) RequestPreVote(id raft.ServerID, to raft.ServerAddress, r *raft.RequestPreVoteRequest, out *raft.RequestPreVoteResponse) error {
	return t.NetworkTransport.RequestPreVote(id, at(id, to), r, out)
}

// InstallSnapshot implements raft.Transport.
func (t *addressed) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, r *raft.InstallSnapshotRequest, out *raft.InstallSnapshotResponse, data io.Reader) error {
	return t.NetworkTransport.InstallSnapshot(id, at(id, to), r, out, data)
}

// TimeoutNow implements raft.Transport.
func (t *addressed) TimeoutNow(id raft.ServerID, to raft.ServerAddress, r *raft.TimeoutNowRequest, out *raft.TimeoutNowResponse) error {
	return t.NetworkTransport.TimeoutNow(id, at(id, to), r, out)
}

var _ raft.WithPreVote = (*addressed)(nil)

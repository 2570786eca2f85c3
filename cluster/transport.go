package cluster

import (
	"errors"
	"io"
	"time"

	"github.com/hashicorp/raft"
)

// errSilent is what sending says after the disk has failed.
var errSilent = errors.New("cluster: this node's disk has failed, it sends nothing any more")

// clampCommit bounds the commit index of a request by the last entry that the request lets its receiver check.
//
// A follower sets its commit index to the lower of what the leader says and the end of *its own* log; the Raft paper
// says, the index of the last *new* entry. replicateTo fixes the range of entries, sleeps through its backoff, and then
// sends no entries with a fresh commit index: an ex-leader that comes back with a tail of its own then commits and
// applies entries that no majority ever had. With the bound, the receiver commits only what PrevLogEntry's match vouches
// for. The request is copied if it changes, since the library keeps using it.
func clampCommit(r *raft.AppendEntriesRequest) *raft.AppendEntriesRequest {
	end := r.PrevLogEntry + uint64(len(r.Entries))
	if r.LeaderCommitIndex <= end {
		return r
	}
	c := *r
	c.LeaderCommitIndex = end
	return &c
}

// wire is the transport that the library gets: any transport, with the commit index clamped in every AppendEntries,
// without the heartbeat fast path, and silent after a disk failure
// and while the disk hangs.
type wire struct {
	raft.Transport
	life  *lifeline
	stuck func() bool // the disk hangs
	clamp func(*raft.AppendEntriesRequest) *raft.AppendEntriesRequest
}

// wireVote is a wire whose transport knows pre-votes; the library finds that out by the method.
type wireVote struct {
	*wire
	vote raft.WithPreVote
}

// newWire guards a transport. clamp is false only where a test shows what happens without.
func newWire(t raft.Transport, life *lifeline, stuck func() bool, clamp bool) raft.Transport {
	w := &wire{Transport: t, life: life, stuck: stuck, clamp: clampCommit}
	if !clamp {
		w.clamp = func(r *raft.AppendEntriesRequest) *raft.AppendEntriesRequest { return r }
	}
	if v, ok := t.(raft.WithPreVote); ok {
		return &wireVote{w, v}
	}
	return w
}

// silent reports whether the node must not be heard: its disk has failed, or hangs.
func (w *wire) silent() bool { return w.life.stopped() || w.stuck() }

// SetHeartbeatHandler implements raft.Transport by leaving the fast path out: it would handle heartbeats beside the main
// loop and write CurrentTerm from a second goroutine, which can set the term back. A transport that is given no handler
// puts heartbeats on the Consumer channel.
func (w *wire) SetHeartbeatHandler(func(raft.RPC)) {}

// AppendEntries implements raft.Transport.
func (w *wire) AppendEntries(id raft.ServerID, to raft.ServerAddress, r *raft.AppendEntriesRequest, out *raft.AppendEntriesResponse) error {
	if w.silent() {
		return errSilent
	}
	return w.Transport.AppendEntries(id, to, w.clamp(r), out)
}

// AppendEntriesPipeline implements raft.Transport.
func (w *wire) AppendEntriesPipeline(id raft.ServerID, to raft.ServerAddress) (raft.AppendPipeline, error) {
	if w.silent() {
		return nil, errSilent
	}
	p, err := w.Transport.AppendEntriesPipeline(id, to)
	if err != nil {
		return nil, err
	}
	return &clampedPipeline{p, w}, nil
}

// RequestVote implements raft.Transport.
func (w *wire) RequestVote(id raft.ServerID, to raft.ServerAddress, r *raft.RequestVoteRequest, out *raft.RequestVoteResponse) error {
	if w.silent() {
		return errSilent
	}
	return w.Transport.RequestVote(id, to, r, out)
}

// InstallSnapshot implements raft.Transport.
func (w *wire) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, r *raft.InstallSnapshotRequest, out *raft.InstallSnapshotResponse, data io.Reader) error {
	if w.silent() {
		return errSilent
	}
	return w.Transport.InstallSnapshot(id, to, r, out, data)
}

// TimeoutNow implements raft.Transport.
func (w *wire) TimeoutNow(id raft.ServerID, to raft.ServerAddress, r *raft.TimeoutNowRequest, out *raft.TimeoutNowResponse) error {
	if w.silent() {
		return errSilent
	}
	return w.Transport.TimeoutNow(id, to, r, out)
}

// Close implements raft.WithClose: the library closes the transport at its shutdown.
func (w *wire) Close() error {
	if c, ok := w.Transport.(raft.WithClose); ok {
		return c.Close()
	}
	return nil
}

// RequestPreVote implements raft.WithPreVote.
func (w *wireVote) RequestPreVote(id raft.ServerID, to raft.ServerAddress, r *raft.RequestPreVoteRequest, out *raft.RequestPreVoteResponse) error {
	if w.silent() {
		return errSilent
	}
	return w.vote.RequestPreVote(id, to, r, out)
}

// pipelineStall is how long one send may block for room in a pipeline. Back-pressure of a slow peer ends much sooner.
const pipelineStall = 10 * time.Second

type clampedPipeline struct {
	raft.AppendPipeline
	wire *wire
}

// AppendEntries implements raft.AppendPipeline.
func (p *clampedPipeline) AppendEntries(r *raft.AppendEntriesRequest, out *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	if p.wire.silent() {
		return nil, errSilent
	}
	// The library reads answers in one goroutine and sends in another. If the first gives up while the second is blocked
	// in a full pipeline, nobody closes it: replication to that peer stops for good, and Shutdown never returns.
	stuck := time.AfterFunc(pipelineStall, func() { p.Close() })
	defer stuck.Stop()
	return p.AppendPipeline.AppendEntries(p.wire.clamp(r), out)
}

//go:build chaos

package main

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/region/link"
)

// Messages that arrive twice, and out of order. No network does that to what travels over TLS; programs that send again do.

// repeatTimeout bounds a message that is sent again; nobody waits for it.
const repeatTimeout = 10 * time.Second

// repeatingTransport sends some of Raft's messages once more, late, on another connection.
type repeatingTransport struct {
	raft.Transport
	points *failpoints
}

// again has send called once more if the point says so.
func (t *repeatingTransport) again(send func()) {
	if late, ok := t.points.repeat("raft.send"); ok {
		time.AfterFunc(late, send)
	}
}

// AppendEntries implements raft.Transport.
func (t *repeatingTransport) AppendEntries(id raft.ServerID, to raft.ServerAddress, r *raft.AppendEntriesRequest, out *raft.AppendEntriesResponse) error {
	t.append(id, to, r)
	return t.Transport.AppendEntries(id, to, r, out)
}

func (t *repeatingTransport) append(id raft.ServerID, to raft.ServerAddress, r *raft.AppendEntriesRequest) {
	c := *r // the library may go on using it
	t.again(func() { _ = t.Transport.AppendEntries(id, to, &c, new(raft.AppendEntriesResponse)) })
}

// AppendEntriesPipeline implements raft.Transport.
func (t *repeatingTransport) AppendEntriesPipeline(id raft.ServerID, to raft.ServerAddress) (raft.AppendPipeline, error) {
	p, err := t.Transport.AppendEntriesPipeline(id, to)
	if err != nil {
		return nil, err
	}
	return &repeatingPipeline{p, t, id, to}, nil
}

type repeatingPipeline struct {
	raft.AppendPipeline
	t  *repeatingTransport
	id raft.ServerID
	to raft.ServerAddress
}

// AppendEntries implements raft.AppendPipeline.
func (p *repeatingPipeline) AppendEntries(r *raft.AppendEntriesRequest, out *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	p.t.append(p.id, p.to, r)
	return p.AppendPipeline.AppendEntries(r, out)
}

// RequestVote implements raft.Transport.
func (t *repeatingTransport) RequestVote(id raft.ServerID, to raft.ServerAddress, r *raft.RequestVoteRequest, out *raft.RequestVoteResponse) error {
	c := *r
	t.again(func() { _ = t.Transport.RequestVote(id, to, &c, new(raft.RequestVoteResponse)) })
	return t.Transport.RequestVote(id, to, r, out)
}

// RequestPreVote implements raft.WithPreVote, which the port's transport knows.
func (t *repeatingTransport) RequestPreVote(id raft.ServerID, to raft.ServerAddress, r *raft.RequestPreVoteRequest, out *raft.RequestPreVoteResponse) error {
	c, inner := *r, t.Transport.(raft.WithPreVote)
	t.again(func() { _ = inner.RequestPreVote(id, to, &c, new(raft.RequestPreVoteResponse)) })
	return inner.RequestPreVote(id, to, r, out)
}

// TimeoutNow implements raft.Transport.
func (t *repeatingTransport) TimeoutNow(id raft.ServerID, to raft.ServerAddress, r *raft.TimeoutNowRequest, out *raft.TimeoutNowResponse) error {
	c := *r
	t.again(func() { _ = t.Transport.TimeoutNow(id, to, &c, new(raft.TimeoutNowResponse)) })
	return t.Transport.TimeoutNow(id, to, r, out)
}

// Close implements raft.WithClose.
func (t *repeatingTransport) Close() error {
	if c, ok := t.Transport.(raft.WithClose); ok {
		return c.Close()
	}
	return nil
}

// repeatingLink sends some requests to other regions once more, late.
type repeatingLink struct {
	link.Link
	points *failpoints
}

// Call implements link.Link.
func (l *repeatingLink) Call(ctx context.Context, region string, request []byte) ([]byte, error) {
	if late, ok := l.points.repeat("region.request"); ok {
		c := append([]byte(nil), request...)
		time.AfterFunc(late, func() {
			ctx, cancel := context.WithTimeout(context.Background(), repeatTimeout)
			defer cancel()
			_, _ = l.Link.Call(ctx, region, c)
		})
	}
	return l.Link.Call(ctx, region, request)
}

func (d *disturbance) link(l link.Link) link.Link {
	if !d.active {
		return l
	}
	return &repeatingLink{l, &d.points}
}

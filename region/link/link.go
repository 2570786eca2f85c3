// Package link says how the regions of a federation talk to each other, as two small interfaces: a Link carries requests and
// digests out, a Handler takes in what arrives. The synchronization of multi-Region keys stands on it and knows nothing of
// connections; the transport implements it and knows nothing of keys.
//
// A Link promises little, so that whatever is built on it must stand loss, duplication, reordering and delay:
//   - a request that was answered was handed, at least once, to the node that led the region at that moment;
//   - an error means «not known to be delivered»: the request may have been served, and served more than once;
//   - the region a request or digest comes from is proven by the connection that carried it, never claimed by its content;
//   - who is alive is for operators to see. No right to a key ever follows from it.
package link

import (
	"context"
	"encoding/binary"
	"errors"
	"time"
)

// Bounds of what a Link carries, in bytes.
const (
	// MaxRequest is the largest request and the largest answer.
	MaxRequest = 4 << 20
	// MaxDigest is the largest digest.
	MaxDigest = 400
)

// Errors of Call. Others wrap the cause.
var (
	// ErrUnknownRegion reports a region that is not federated with this one.
	ErrUnknownRegion = errors.New("link: the region is not federated with this one")
	// ErrUnreachable reports that no node of the region could be reached, or that none leads it.
	ErrUnreachable = errors.New("link: the region cannot be reached")
	// ErrTooLarge reports a request or an answer above MaxRequest.
	ErrTooLarge = errors.New("link: request or answer too large")
)

// Link is this region's way to the others. It is safe for concurrent use.
type Link interface {
	// Call hands a request to the node that leads the region and returns its answer. It ends with ctx, which must have a
	// deadline. An error means «not known to be delivered», unless it is a *Refusal: the other side's Handler said no.
	Call(ctx context.Context, region string, request []byte) ([]byte, error)
	// SetDigest replaces what is gossiped, best effort, to all nodes of all regions. It begins with the region's
	// incarnation (AppendIncarnation) and is copied. Only the leader's counts; a digest that is too long is not sent.
	SetDigest(digest []byte)
	// Peers returns the other regions, ordered by name.
	Peers() []Peer
}

// Handler serves what other regions send. It is called concurrently. from is the region that the connection proves.
type Handler interface {
	// Serve answers a request. It runs on the node that leads the region, or that was told so. An error reaches the caller as
	// a *Refusal with its text, so that it must hold no secret.
	Serve(ctx context.Context, from string, request []byte) ([]byte, error)
	// Digest takes a digest that was gossiped, on every node. It must not block. digest is only good during the call.
	Digest(from string, digest []byte)
}

// Refusal is an error of the other side's Handler: the request was delivered and answered with no.
type Refusal struct {
	Region string
	Text   string
}

// Error says who refused and why.
func (r *Refusal) Error() string { return "region " + r.Region + ": " + r.Text }

// Peer is another region as this node sees it.
type Peer struct {
	Region string
	// Incarnation is that of the last digest, 0 before the first.
	Incarnation uint64
	// LastContact is when anything proven to come from the region arrived last, by this node's clock; zero if never.
	LastContact time.Time
	// Reachable tells whether some node of the region is thought to be there now.
	Reachable bool
}

// AppendIncarnation begins a digest.
func AppendIncarnation(b []byte, incarnation uint64) []byte {
	return binary.BigEndian.AppendUint64(b, incarnation)
}

// Incarnation reads what a digest begins with; rest is what follows.
func Incarnation(digest []byte) (incarnation uint64, rest []byte, ok bool) {
	if len(digest) < 8 || len(digest) > MaxDigest {
		return 0, nil, false
	}
	return binary.BigEndian.Uint64(digest), digest[8:], true
}

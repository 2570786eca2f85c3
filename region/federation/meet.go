package federation

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
)

// Channel is a connection between two nodes that do not know each other's authority, as what they sign can be bound to it.
type Channel struct {
	// Chain are the certificates that the other end has shown, DER, its own first. It holds the key of that one; nothing else of
	// them was checked.
	Chain [][]byte
	// Binding is 32 bytes that both ends of this connection have, and that no other connection ever has: who stands between two others
	// has one connection with each. Since both ends contribute to it, what is signed with it was signed for this connection.
	Binding []byte
}

// meetLabel and bindingSize say which keying material of a connection is its binding (RFC 8446, 7.5, as RFC 9266 uses it).
const (
	meetLabel   = "EXPORTER-trent-meet-1"
	bindingSize = 32
)

func channelOf(st *tls.ConnectionState) (c Channel, err error) {
	c.Chain = rawChain(st)
	if c.Binding, err = st.ExportKeyingMaterial(meetLabel, nil, bindingSize); err != nil {
		err = fmt.Errorf("federation: bind to the connection: %w", err)
	}
	return c, err
}

// Meet takes what request makes for the connection to whoever is at an address, which should be a node of the region, and has accept
// judge the answer. Nobody's authority is checked: what the two say has to prove who they are, bound to the channel. A refusal is a
// *RemoteError.
func (f *Federation) Meet(
	ctx context.Context, region, address string, request func(Channel) ([]byte, error), accept func(c Channel, answer []byte) error,
) error {
	var c Channel
	answer, err := f.askStranger(ctx, region, address, protoMeet, nil, func(st tls.ConnectionState) (_ []byte, err error) {
		if c, err = channelOf(&st); err != nil {
			return nil, err
		}
		return request(c)
	})
	if err != nil {
		return err
	}
	return accept(c, answer)
}

// meet serves what Meet brings.
func (f *Federation) meet(ctx context.Context, st tls.ConnectionState, request []byte) ([]byte, error) {
	if f.cfg.Meet == nil {
		return nil, ErrRefused
	}
	c, err := channelOf(&st)
	if err != nil {
		return nil, err
	}
	return f.cfg.Meet(ctx, c, request)
}

// Addresses are all addresses at which nodes of another region may be, in order: those of SetRegions, what the pool says, and the seeds.
func (f *Federation) Addresses(region string) []string {
	var all []string
	if r := f.directory.Load().region(region); r != nil {
		all = append(all, r.Addresses...)
	}
	if g := f.gossip.Load(); g != nil {
		for _, m := range g.live(region) {
			all = append(all, m.address)
		}
	}
	f.mu.Lock()
	all = append(all, f.seeds...)
	f.mu.Unlock()
	slices.Sort(all)
	return slices.Compact(all)
}

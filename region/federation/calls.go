package federation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/region/link"
)

// Bounds of requests between regions.
const (
	// maxServed bounds the requests of one connection under way.
	maxServed = 64
	// serveTimeout bounds the work on one request, whatever the asker says.
	serveTimeout = 30 * time.Second
	// maxTries is how many nodes are asked for one request that does not get through; redirects are not counted, but bounded too.
	maxTries     = 2
	maxRedirects = 3
)

// outgoing is the connection to one address for requests, made when it is needed.
type outgoing struct {
	making chan struct{} // holds one: who makes the connection
	asker  atomic.Pointer[transport.Asker]
}

// target is a node to ask. An empty node means whoever is at the address.
type target struct{ node, address string }

// Call implements link.Link.
func (f *Federation) Call(ctx context.Context, region string, request []byte) ([]byte, error) {
	return f.call(ctx, region, codeCall, request)
}

// Control asks the leader of another region for what Config.Control serves there.
func (f *Federation) Control(ctx context.Context, region string, request []byte) ([]byte, error) {
	return f.call(ctx, region, codeControl, request)
}

// call asks the leader of a region: who is said to lead first, then others, which say who leads.
func (f *Federation) call(ctx context.Context, region string, code byte, request []byte) ([]byte, error) {
	r := f.directory.Load().region(region)
	if r == nil || region == f.cfg.Region || r.Pending && code != codeControl {
		return nil, fmt.Errorf("%w (%s)", link.ErrUnknownRegion, region)
	}
	if len(request) > link.MaxRequest {
		return nil, fmt.Errorf("%w: %d bytes", link.ErrTooLarge, len(request))
	}
	var last error
	tried := map[target]bool{}
	queue := f.targets(r)
	for tries, redirects := 0, 0; len(queue) > 0 && tries < maxTries && ctx.Err() == nil; {
		to := queue[0]
		queue = queue[1:]
		if tried[to] {
			continue
		}
		tried[to] = true
		status, answer, err := f.ask(ctx, region, to, code, request)
		switch {
		case err != nil:
			f.forgetLeader(region, to)
			last = fmt.Errorf("%s: %w", to.address, err)
			tries++
		case status == statusOK:
			return answer, nil
		case status == statusFault:
			return nil, &link.Refusal{Region: region, Text: faultText(answer)}
		case status == statusRedirect:
			lead, err := decodeRedirect(answer)
			if err == nil && lead.address != "" && redirects < maxRedirects {
				redirects++
				f.noteLeader(region, lead)
				queue = append([]target{target(lead)}, queue...)
				continue
			}
			f.forgetLeader(region, to)
			last = errors.New("no node there knows a leader")
		default:
			last = errors.New("the node is too busy")
			tries++
		}
	}
	if ctx.Err() != nil {
		last = errors.Join(ctx.Err(), last)
	}
	if last == nil {
		last = errors.New("no address of it is known")
	}
	return nil, fmt.Errorf("%w (%s): %w", link.ErrUnreachable, region, last)
}

// targets are the nodes of a region in the order in which it is best to ask them.
func (f *Federation) targets(r *pinned) (all []target) {
	f.mu.Lock()
	if lead, ok := f.leaders[r.Name]; ok {
		all = append(all, target(lead))
	}
	f.mu.Unlock()
	if g := f.gossip.Load(); g != nil {
		live := g.live(r.Name)
		nodes := make([]string, 0, len(live))
		for node := range live {
			nodes = append(nodes, node)
		}
		// Who leads in the highest term comes first.
		slices.SortFunc(nodes, func(a, b string) int {
			switch x, y := live[a].term, live[b].term; {
			case x > y:
				return -1
			case x < y:
				return 1
			}
			return 0
		})
		for _, node := range nodes {
			all = append(all, target{node, live[node].address})
		}
	}
	for _, a := range r.Addresses {
		if !slices.ContainsFunc(all, func(t target) bool { return t.address == a }) {
			all = append(all, target{"", a})
		}
	}
	return all
}

func (f *Federation) noteLeader(region string, r redirect) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaders[region] = r
}

func (f *Federation) forgetLeader(region string, t target) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.leaders[region].address == t.address {
		delete(f.leaders, region)
	}
}

// ask asks one node.
func (f *Federation) ask(ctx context.Context, region string, to target, code byte, request []byte) (status byte, answer []byte, err error) {
	o := f.outgoing(region, to)
	select {
	case o.making <- struct{}{}:
	case <-ctx.Done():
		return 0, nil, ctx.Err()
	}
	asker := o.asker.Load()
	if asker == nil || asker.Failed() != nil {
		if asker, err = f.connect(ctx, region, to); err != nil {
			<-o.making
			return 0, nil, err
		}
	}
	o.asker.Store(asker)
	<-o.making
	if status, answer, err = asker.Ask(ctx, code, request); err == nil {
		f.contact(region)
	}
	return status, answer, err
}

// connect takes at most half of the time that is left, so that another node can be asked if this one is not there.
func (f *Federation) connect(ctx context.Context, region string, to target) (*transport.Asker, error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	c, err := f.dial(ctx, to.address, protoLink, want{region, to.node})
	if err != nil {
		return nil, err
	}
	return transport.NewAsker(c, MaxMessage), nil
}

// outgoing is the place of the connection to a target. Places of connections that failed are dropped now and then.
func (f *Federation) outgoing(region string, to target) *outgoing {
	key := region + " " + to.node + " " + to.address
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.links[key]
	if o == nil {
		if len(f.links) > 4*maxMembers {
			for _, o := range f.links {
				if a := o.asker.Load(); a != nil {
					a.Close()
				}
			}
			clear(f.links)
		}
		o = &outgoing{making: make(chan struct{}, 1)}
		f.links[key] = o
	}
	return o
}

// serveLink answers another region's requests until the connection ends.
func (f *Federation) serveLink(ctx context.Context, c *conn) {
	err := transport.ServeRequests(ctx, c, MaxMessage, maxServed, func(ctx context.Context, code byte, payload []byte) (byte, []byte) {
		if c.peer.Region != f.cfg.Region {
			f.contact(c.peer.Region)
		}
		ctx, cancel := context.WithTimeout(ctx, serveTimeout)
		defer cancel()
		return f.serve(ctx, c.peer, code, payload)
	})
	f.log.Debug("federation: connection ended", "region", c.peer.Region, "node", c.peer.Node, "error", err)
}

func (f *Federation) serve(ctx context.Context, from Identity, code byte, payload []byte) (status byte, answer []byte) {
	switch {
	case from.Region == f.cfg.Region:
		return statusFault, []byte("nodes of one region do not talk to each other here")
	case code == codeDigest && from.Current:
		f.tookDigest(from.Region, payload)
		return statusOK, nil
	case code == codeCall && !from.Current:
		return statusFault, []byte("the regions are not federated yet, or a group that was restored has not described itself yet")
	case code != codeCall && code != codeControl:
		return statusFault, []byte("this node does not know the request; upgrade it")
	}
	if _, ok := f.cfg.Leading(); !ok {
		return statusRedirect, f.whoLeads().encode()
	}
	out, err := f.handle(ctx, from, code, payload)
	if err != nil {
		text := err.Error()
		return statusFault, []byte(text[:min(len(text), maxFault)])
	}
	if len(out) > link.MaxRequest {
		return statusFault, []byte(link.ErrTooLarge.Error())
	}
	return statusOK, out
}

func (f *Federation) handle(ctx context.Context, from Identity, code byte, payload []byte) ([]byte, error) {
	if code == codeControl {
		if f.cfg.Control == nil {
			return nil, errors.New("this node serves no such request")
		}
		return f.cfg.Control(ctx, from, payload)
	}
	h := f.handler.Load()
	if h == nil {
		return nil, errors.New("this node serves no such request")
	}
	return (*h).Serve(ctx, from.Region, payload)
}

// whoLeads names this region's leader with its address as far as this node knows them.
func (f *Federation) whoLeads() redirect {
	r := redirect{node: f.cfg.Leader()}
	if g := f.gossip.Load(); g != nil && r.node != "" {
		r.address = g.live(f.cfg.Region)[r.node].address
	}
	return r
}

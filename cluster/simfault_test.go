package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// chaos runs writers, readers and faults for a while of virtual time.
func (c *sim) chaos(seed uint64, length time.Duration, members bool) {
	for w := range 3 {
		c.wg.Go(func() {
			for i := 0; !c.over(); i++ {
				if n := c.net.nodes[c.ids[c.net.intn(len(c.ids))]].up(); n != nil {
					c.propose(n, fmt.Sprintf("s%d-w%d-%d", seed, w, i), 500*time.Millisecond)
				}
				if c.net.intn(4) == 0 {
					time.Sleep(c.net.upTo(40 * time.Millisecond))
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	for range 6 {
		c.wg.Go(func() {
			for !c.over() {
				if n := c.net.nodes[c.ids[c.net.intn(len(c.ids))]].up(); n != nil {
					c.read(n)
				}
				time.Sleep(time.Millisecond + c.net.upTo(3*time.Millisecond))
			}
		})
	}
	for end := time.Now().Add(length); time.Now().Before(end) && !c.failed(); {
		pause := 400 * time.Millisecond
		if members {
			pause *= 2
		}
		time.Sleep(20*time.Millisecond + c.net.upTo(pause))
		c.fault(members)
	}
}

// down is how many nodes have no process.
func (c *sim) down() (n int) {
	for _, id := range c.ids {
		if c.net.nodes[id].up() == nil {
			n++
		}
	}
	return n
}

func (c *sim) later(d time.Duration, f func()) {
	c.wg.Go(func() {
		select {
		case <-time.After(d):
		case <-c.quit:
		}
		f()
	})
}

// fault does one thing to the group and sees to its end.
func (c *sim) fault(members bool) {
	pick := func() *simNode {
		if l := c.leader(); l != nil && c.net.intn(2) == 0 {
			return l
		}
		return c.net.nodes[c.ids[c.net.intn(len(c.ids))]]
	}
	switch c.net.intn(10) {
	case 0, 1:
		if p := pick(); p.up() != nil && !c.calm && (c.down() == 0 || c.down() == 1 && !members) {
			c.tally.kills.Add(1)
			c.kill(p.id)
			c.later(20*time.Millisecond+c.net.upTo(700*time.Millisecond), func() { c.start(p.id) })
		}
	case 2, 3, 4:
		c.cutSome(pick())
	case 5:
		p, d := pick(), c.net.upTo(150*time.Millisecond)
		c.slowDown(p.id, d)
		c.later(c.net.upTo(500*time.Millisecond), func() { c.slowDown(p.id, 0) })
	case 6:
		p := pick()
		p.mu.Lock()
		if s := p.store; s != nil {
			c.tally.stalls.Add(1)
			s.stall.Store(int64(c.net.upTo(500 * time.Millisecond)))
			c.later(c.net.upTo(400*time.Millisecond), func() { s.stall.Store(0) })
		}
		p.mu.Unlock()
	case 7:
		p := pick()
		p.slow.Store(int64(c.net.upTo(10 * time.Millisecond)))
		c.later(c.net.upTo(400*time.Millisecond), func() { p.slow.Store(0) })
	default:
		if l := c.leader(); l != nil {
			if n := l.up(); n != nil && members {
				c.changeMember(n)
			} else if n != nil && c.net.intn(2) == 0 {
				n.raft.LeadershipTransfer() // nobody waits: a killed node never answers
			}
		}
	}
}

// cutSome parts the group, at times one way only, and heals the same links later.
func (c *sim) cutSome(p *simNode) {
	c.tally.cuts.Add(1)
	side := map[string]bool{p.id: true}
	for _, id := range c.ids {
		side[id] = side[id] || c.net.intn(3) == 0
	}
	oneWay := c.net.intn(4) == 0
	var links [][2]string
	c.net.mu.Lock()
	for _, a := range c.ids {
		for _, b := range c.ids {
			if side[a] != side[b] && (!oneWay || side[a]) {
				c.net.cut[[2]string{a, b}] = true
				links = append(links, [2]string{a, b})
			}
		}
	}
	c.net.mu.Unlock()
	c.later(50*time.Millisecond+c.net.upTo(700*time.Millisecond), func() {
		c.net.mu.Lock()
		defer c.net.mu.Unlock()
		for _, l := range links {
			delete(c.net.cut, l)
		}
	})
}

func (c *sim) slowDown(id string, d time.Duration) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for _, o := range c.ids {
		c.net.slow[[2]string{id, o}] = d
	}
}

// changeMember adds, promotes, demotes or removes a node; a removed one may come back.
func (c *sim) changeMember(n *Node) {
	id := raft.ServerID(c.ids[c.net.intn(len(c.ids))])
	cfg := n.raft.GetConfiguration().Configuration()
	at := slices.IndexFunc(cfg.Servers, func(s raft.Server) bool { return s.ID == id })
	voters := len(raftVoters(cfg))
	const limit = 30 * time.Millisecond
	change := func() raft.IndexFuture {
		switch {
		case at < 0 && c.net.intn(2) == 0:
			return n.raft.AddNonvoter(id, raft.ServerAddress(id), 0, limit)
		case at < 0 || cfg.Servers[at].Suffrage != raft.Voter:
			return n.raft.AddVoter(id, raft.ServerAddress(id), 0, limit)
		case voters <= 2 || voters == 3 && c.net.intn(3) > 0:
			return nil
		case c.net.intn(2) == 0:
			return n.raft.DemoteVoter(id, 0, limit)
		default:
			return n.raft.RemoveServer(id, 0, limit)
		}
	}
	c.later(0, func() {
		f := change()
		if f == nil {
			return
		}
		n.waiting.Add(1)
		defer n.waiting.Add(-1)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if n.await(ctx, f) == nil {
			c.tally.changes.Add(1)
			c.raise(f.Index())
		}
	})
}

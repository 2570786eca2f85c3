package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// inGroup runs a test with a group of three in virtual time.
func inGroup(t *testing.T, mod func(*Config), f func(t *testing.T, c *sim)) {
	inBubble(t, func(t *testing.T) {
		c := newSim(t, 2, 3, mod)
		c.boot(3)
		f(t, c)
		for _, e := range c.end() {
			t.Error(e)
		}
	})
}

func (c *sim) followers(of *simNode) (ps []*simNode) {
	for _, id := range c.ids {
		if id != of.id {
			ps = append(ps, c.net.nodes[id])
		}
	}
	return ps
}

func TestForwarding(t *testing.T) {
	inGroup(t, nil, func(t *testing.T, c *sim) {
		l := c.awaitLeader("")
		for i, p := range c.followers(l) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			res, err := p.up().Propose(ctx, simCommand(fmt.Sprint("x", i)))
			cancel()
			if err != nil || p.up().State().Index() < res.Index {
				t.Errorf("through %s: %v; its own state is at %d, the command at %d", p.id, err, p.up().State().Index(), res.Index)
			}
			if _, err := p.up().ProposeHere(t.Context(), Gate{}, simCommand("y")); !errors.Is(err, ErrNotLeader) || !NotWritten(err) {
				t.Errorf("as if forwarded to a follower: %v", err)
			}
		}
		// The question arrives and is committed, the answer is lost.
		p := c.followers(l)[0]
		c.net.mu.Lock()
		c.net.cut[[2]string{l.id, p.id}] = true
		c.net.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := l.up().State().Index()
		_, err := p.up().Propose(ctx, simCommand("lost-answer"))
		if !errors.Is(err, ErrUnknown) || NotWritten(err) {
			t.Errorf("a lost answer: %v", err)
		}
		if l.up().State().Index() == before {
			t.Error("the command did not arrive: the test proves nothing")
		}
	})
}

// A write on a leader that is cut off is in its log and nowhere else: its outcome is unknown. One that comes later finds
// no leader there.
func TestCutOffLeader(t *testing.T) {
	inGroup(t, nil, func(t *testing.T, c *sim) {
		l := c.awaitLeader("")
		c.propose(l.up(), "before", time.Second)
		c.isolate(l.id)
		if err := c.propose(l.up(), "during", 2*time.Second); !errors.Is(err, ErrUnknown) {
			t.Errorf("on a leader that was cut off: %v", err)
		}
		if err := c.propose(l.up(), "after", 500*time.Millisecond); !errors.Is(err, ErrNoLeader) {
			t.Errorf("on a node without a leader: %v", err)
		}
		if s, err := l.up().View(t.Context()); !errors.Is(err, ErrNoQuorum) {
			t.Errorf("a node that is cut off served %v, %v", s.Index(), err)
		}
		time.Sleep(4 * time.Second)
		if err := l.up().Healthy(); err == nil {
			t.Error("a node that is cut off is healthy")
		}
		next := c.awaitLeader(l.id)
		if err := c.propose(next.up(), "elsewhere", time.Second); err != nil {
			t.Errorf("on the others: %v", err)
		}
		c.net.heal()
		time.Sleep(2 * time.Second)
		if err := l.up().Healthy(); err != nil {
			t.Errorf("after the network healed: %v", err)
		}
		if s, err := c.read(l.up()); err != nil || c.tally.stale.Load() > 0 {
			t.Errorf("after the network healed: %v, %v", s, err)
		}
	})
}

// The group serves reads while it has no leader: what was acknowledged a moment before the leader died was learned by
// the survivors within two commit timeouts.
func TestReadsWithoutLeader(t *testing.T) {
	inGroup(t, nil, func(t *testing.T, c *sim) {
		l := c.awaitLeader("")
		c.propose(l.up(), "x", time.Second)
		time.Sleep(50 * time.Millisecond)
		c.kill(l.id)
		p := c.followers(l)[0]
		for range 20 { // 20 x 5 ms: before anybody can have been elected
			if c.leader() != nil {
				t.Error("elected already: the test proves nothing")
			}
			if _, err := c.read(p.up()); err != nil {
				t.Errorf("without a leader: %v", err)
			}
			time.Sleep(5 * time.Millisecond)
		}
		if err := p.up().Healthy(); err != nil {
			t.Errorf("that there is no leader is no illness: %v", err)
		}
	})
}

func TestLeaderWorkFollowsLeadership(t *testing.T) {
	inGroup(t, nil, func(t *testing.T, c *sim) {
		var mu sync.Mutex
		var log []string
		var running atomic.Int32
		for _, id := range c.ids {
			c.net.nodes[id].up().WhileLeader("test", func(ctx context.Context, term uint64) {
				if ctx.Err() == nil && running.Add(1) > 1 {
					t.Error("two at a time although the old leader stepped down by itself")
				}
				mu.Lock()
				log = append(log, fmt.Sprintf("%s %d", id, term))
				mu.Unlock()
				<-ctx.Done()
				running.Add(-1)
			})
		}
		l := c.awaitLeader("")
		term, _ := l.up().Leading()
		time.Sleep(10 * time.Millisecond)
		// Lose and regain: the same node, a later term.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := l.up().StepDown(ctx); err != nil {
			t.Errorf("step down: %v", err)
		}
		next := c.awaitLeader(l.id)
		term2, _ := next.up().Leading()
		time.Sleep(10 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		want := []string{fmt.Sprintf("%s %d", l.id, term), fmt.Sprintf("%s %d", next.id, term2)}
		if term2 <= term || len(log) != 2 || log[0] != want[0] || log[1] != want[1] {
			t.Errorf("work ran as %v, want %v", log, want)
		}
	})
}

// A leader whose volume fills up gives leadership to one whose volume does not.
func TestFullLeaderStepsDown(t *testing.T) {
	var full sync.Map
	inGroup(t, func(cfg *Config) {
		cfg.MinFree, cfg.DiskInterval = 1<<20, 10*time.Millisecond
		dir := cfg.Peers.(simPeers).id
		cfg.Dir = dir
		cfg.FreeSpace = func(string) (uint64, error) {
			if _, ok := full.Load(dir); ok {
				return 0, nil
			}
			return plenty, nil
		}
	}, func(t *testing.T, c *sim) {
		l := c.awaitLeader("")
		full.Store(l.id, true)
		next := c.awaitLeader(l.id)
		if !l.up().Status().DiskLow {
			t.Error("not noticed")
		}
		// The full node still takes writes, for the others.
		if err := c.propose(l.up(), "x", time.Second); err != nil {
			t.Errorf("through the full node: %v", err)
		}
		if err := c.propose(next.up(), "y", time.Second); err != nil {
			t.Errorf("on the new leader: %v", err)
		}
	})
}

// A leader whose disk hangs is heard no more, so that the others elect one who can write: within three seconds and an
// election. It says why it is ill, and follows once the disk is back.
func TestLeaderWithAHungDisk(t *testing.T) {
	for _, planted := range []bool{false, true} {
		inGroup(t, nil, func(t *testing.T, c *sim) {
			l := c.awaitLeader("")
			c.propose(l.up(), "before", time.Second)
			if planted {
				l.up().store.base = time.Now().Add(time.Hour) // it never looks stuck
			}
			l.store.append.Store(int64(30 * time.Second))
			start := time.Now()
			c.wg.Go(func() { c.propose(l.up(), "hangs", time.Second) })
			time.Sleep(stuckLimit + 3*time.Second)
			next := c.leader()
			if planted {
				if next != nil && next.id != l.id {
					t.Error("planted: the others elected although they heard from the leader; the test proves nothing")
				}
				time.Sleep(30 * time.Second)
				return
			}
			next = c.awaitLeader(l.id)
			c.propose(c.followers(l)[0].up(), "after", 5*time.Second)
			if err := c.propose(next.up(), "later", time.Second); err != nil {
				t.Errorf("on the new leader after %v: %v", time.Since(start), err)
			}
			if err := l.up().Healthy(); err == nil || !strings.Contains(err.Error(), "a write of the log has been stuck") {
				t.Errorf("the node with the hung disk: %v", err)
			}
			l.store.append.Store(0)
			time.Sleep(30 * time.Second)
			if err := l.up().Healthy(); err != nil || c.leader() == l {
				t.Errorf("once the disk is back: %v", err)
			}
		})
	}
}

// A leader that is told to be unfit gives leadership to a node that is not.
func TestUnfitLeaderStepsDown(t *testing.T) {
	inIllGroup(t, false, func(t *testing.T, c *sim, unfit *sync.Map) {
		l := c.awaitLeader("")
		others := c.followers(l)
		for _, fit := range others {
			unfit.Clear()
			time.Sleep(resignInterval)
			for _, id := range c.ids {
				if id != fit.id {
					unfit.Store(id, true)
				}
			}
			start := time.Now()
			for range 10_000 {
				if now := c.leader(); now == fit {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if d := time.Since(start); c.leader() != fit || d > 5*time.Second {
				t.Errorf("after %v the one node that is fit does not lead", d)
			}
		}
	})
}

// If every node is unfit, as with an HSM that they share, the leader stays, until another node is better.
func TestUnfitLeaderStaysIfNobodyIsBetter(t *testing.T) {
	for _, planted := range []bool{false, true} {
		inIllGroup(t, planted, func(t *testing.T, c *sim, unfit *sync.Map) {
			l := c.awaitLeader("")
			term, _ := l.up().Leading()
			for _, id := range c.ids {
				unfit.Store(id, true)
			}
			time.Sleep(resignInterval + 5*time.Second)
			now, ok := l.up().Leading()
			if planted {
				if ok && now == term {
					t.Error("planted: it stayed; the test proves nothing")
				}
				return
			}
			if !ok || now != term {
				t.Error("leadership went to a node that is as ill")
			}
			fit := c.followers(l)[1]
			unfit.Delete(fit.id)
			time.Sleep(lookInterval + time.Second)
			if c.leader() != fit {
				t.Error("the node that is well again does not lead")
			}
		})
	}
}

// inIllGroup is inGroup with nodes that can be told to be unfit; blind ones do not ask each other.
func inIllGroup(t *testing.T, blind bool, f func(t *testing.T, c *sim, unfit *sync.Map)) {
	var unfit sync.Map
	var group *sim
	inGroup(t, func(cfg *Config) {
		id := cfg.Peers.(simPeers).id
		cfg.Unfit = func() error {
			if _, ok := unfit.Load(id); ok {
				return errors.New("the HSM hangs")
			}
			return nil
		}
		if blind {
			return
		}
		cfg.UnfitThere = func(_ context.Context, s raft.Server) (string, error) {
			if err := group.net.nodes[string(s.ID)].up().Unfit(); err != nil {
				return err.Error(), nil
			}
			return "", nil
		}
	}, func(t *testing.T, c *sim) {
		group = c
		f(t, c, &unfit)
	})
}

// Region time is what a majority has passed, on every node, and a node that is off refuses to propose.
func TestRegionTimeOfAGroup(t *testing.T) {
	ahead := map[string]time.Duration{"n0": 0, "n1": 5 * time.Second, "n2": time.Hour}
	inGroup(t, func(cfg *Config) {
		id := cfg.Peers.(simPeers).id
		cfg.Clock = func() time.Time { return time.Now().Add(ahead[id]) }
		cfg.PingInterval = 200 * time.Millisecond
	}, func(t *testing.T, c *sim) {
		c.awaitLeader("")
		c.net.mu.Lock()
		for _, id := range []string{"n0", "n1"} { // so that n2 is never among the first majority to answer a round
			c.net.slow[[2]string{"n2", id}] = 20 * time.Millisecond
		}
		c.net.mu.Unlock()
		time.Sleep(clockFresh + time.Second)
		for _, id := range c.ids {
			n := c.net.nodes[id].up()
			if d := time.Until(n.Now()); d < 4900*time.Millisecond || d > 5100*time.Millisecond {
				t.Errorf("%s: region time is %v ahead, want the median, 5 s", id, d)
			}
			st := n.Status()
			if off := st.ClockOff; !st.ClockKnown || (off-ahead[id]+5*time.Second).Abs() > 100*time.Millisecond {
				t.Errorf("%s: own clock off by %v", id, off)
			}
			if err := n.Healthy(); (err != nil) != (id == "n2") {
				t.Errorf("%s: health %v", id, err)
			}
		}
		if err := c.net.nodes["n2"].up().clockErr(); !errors.Is(err, ErrClockOff) {
			t.Errorf("a clock an hour ahead: %v", err)
		}
		// It cannot stay in office: nothing would be written as long as it is there.
		c.awaitLeader("n2")
		// Two silent voters: nobody passes any instant.
		c.isolate("n0")
		n := c.net.nodes["n0"].up()
		time.Sleep(clockFresh + time.Second)
		at := n.Now()
		time.Sleep(time.Minute)
		if now := n.Now(); now.After(at) {
			t.Errorf("region time went on alone by %v", now.Sub(at))
		}
	})
}

// One node becomes three, and the first leaves: no redesign, no downtime for reads on those that stay.
func TestGrowAndReplace(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := newSim(t, 3, 3, nil)
		c.boot(1)
		n := c.awaitLeader("").up()
		for i := range 5 {
			c.propose(n, fmt.Sprint("one", i), time.Second)
		}
		if _, err := c.read(c.net.nodes["n1"].up()); !errors.Is(err, ErrNoQuorum) {
			t.Errorf("a node that belongs to nothing: %v", err)
		}
		change := func(f raft.IndexFuture) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := n.await(ctx, f); err != nil {
				t.Errorf("change: %v", err)
			}
			c.raise(f.Index())
		}
		for _, id := range []string{"n1", "n2"} {
			change(n.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(id), 0, time.Second))
			change(n.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(id), 0, time.Second))
		}
		c.propose(c.net.nodes["n2"].up(), "three", 5*time.Second)
		c.settle()
		change(n.raft.RemoveServer("n0", 0, time.Second))
		c.awaitLeader("n0")
		c.propose(c.net.nodes["n1"].up(), "two", 5*time.Second)
		for _, id := range []string{"n1", "n2"} {
			if _, err := c.read(c.net.nodes[id].up()); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
		if s, err := n.View(t.Context()); err == nil && s.Index() < c.floor.Load() {
			t.Errorf("the removed node served %d, %d was acknowledged", s.Index(), c.floor.Load())
		}
		if c.tally.stale.Load() > 0 {
			t.Error("stale reads")
		}
		for _, e := range c.end() {
			t.Error(e)
		}
	})
}

package cluster

import (
	"cmp"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// How soon a follower stands for election after its leader has fallen silent.
//
// The library looks at its last contact when a timer of one to two timeouts fires, and sets the timer anew if there was
// contact within the timeout: a silence is noticed after one to three timeouts. And a follower that has not noticed it
// yet refuses its vote, so the election waits for the last of a majority to notice; two that notice at the same time split
// the votes, which costs one to two timeouts more. So the silence is measured here, and the library's timers, set a little
// higher, are what is left if this fails. Standing only brings forward the library's own look at its last contact: what it
// then does, pre-vote first, is its own, and nothing here bears on who may win.

const (
	// silenceTicks is how often within the timeout a follower looks whether it hears its leader.
	silenceTicks = 20
	// silencePause is the part of the timeout, one in so many, by which a look may be late before this node takes it that it
	// was itself not running: what it did not hear meanwhile says nothing about the leader.
	silencePause = 4
	// silenceStep is the part of the timeout, one in so many, between two followers: the last of a majority to notice wins, and
	// by the time it stands the others have noticed.
	silenceStep = 10
)

// backstop is the library's own timeout for a follower: longer than the one that is measured here.
func backstop(timeout time.Duration) time.Duration { return timeout + timeout/silenceStep }

// vigil is what a follower knows of its leader's silence. It belongs to one goroutine.
type vigil struct {
	limit   time.Duration // Config.HeartbeatTimeout
	looked  time.Time     // the latest look
	awake   time.Time     // since when this node runs without a pause, as far as it can tell
	place   *atomic.Int64 // how many of the other voters stand before this node; nil before they are asked
	lowered bool          // the library has been told of the lower timeout
}

// watchSilence has this node stand for election when its leader has been silent for HeartbeatTimeout.
func (n *Node) watchSilence() {
	if n.cfg.Transport == nil || n.cfg.mutation.noVigil {
		return // nobody else could lead
	}
	v := &vigil{limit: n.cfg.HeartbeatTimeout, looked: time.Now(), awake: time.Now()}
	if n.alone() { // there is no leader whose silence could be waited for
		v.lowered = true
		n.setTimeout(v.limit)
	}
	tick := time.NewTicker(v.limit / silenceTicks)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n.lookForLeader(v)
		case <-n.alive.Done():
			return
		}
	}
}

// alone tells that this node is the only voter.
func (n *Node) alone() bool {
	voters := raftVoters(n.raft.GetConfiguration().Configuration())
	return len(voters) == 1 && voters[0].ID == n.server
}

// silence is how long the leader has been silent for a node that runs, if it was heard last at the time given.
func (v *vigil) silence(now, heard time.Time) time.Duration {
	if now.Sub(v.looked) > v.limit/silencePause {
		v.awake = now
	}
	v.looked = now
	if heard.Before(v.awake) {
		heard = v.awake
	}
	return now.Sub(heard)
}

// lookForLeader is one look.
func (n *Node) lookForLeader(v *vigil) {
	silent := v.silence(time.Now(), n.raft.LastContact())
	_, leader := n.raft.LeaderWithID()
	if n.raft.State() != raft.Follower || leader == "" {
		if n.raft.State() == raft.Leader {
			n.endVigil(v)
		}
		return
	}
	switch {
	case silent < v.limit/2:
		n.endVigil(v)
	case v.place == nil:
		v.place = n.findPlace(leader)
	case silent >= v.limit+time.Duration(v.place.Load())*v.limit/silenceStep && !v.lowered:
		n.cfg.Logger.Info("cluster: the leader is silent, this node stands for election", "leader", leader,
			"silent", silent.Round(time.Millisecond), "place", v.place.Load())
		v.lowered = true
		n.setTimeout(v.limit) // a lower timeout has the library look now
	}
}

// endVigil puts everything back as it is while a leader is heard.
func (n *Node) endVigil(v *vigil) {
	v.place = nil
	if v.lowered {
		v.lowered = false
		n.setTimeout(backstop(v.limit))
	}
}

// setTimeout changes the library's timeout for followers; the one for candidates must not be lower.
func (n *Node) setTimeout(d time.Duration) {
	c := n.raft.ReloadableConfig()
	c.HeartbeatTimeout, c.ElectionTimeout = d, max(d, n.cfg.ElectionTimeout)
	if err := n.raft.ReloadConfig(c); err != nil {
		n.cfg.Logger.Warn("cluster: the election timeout could not be changed", "error", err)
	}
}

// findPlace finds out how many of the voters that are up should stand before this one: those whose log ends before its
// own, since the last to stand gets the votes, and only of those whose logs do not go further. Until a voter has answered it
// does not count.
func (n *Node) findPlace(leader raft.ServerID) *atomic.Int64 {
	place := new(atomic.Int64)
	own, err := n.lastIndex()
	if err != nil {
		return place
	}
	_, cfg := n.fsm.State().Config()
	for _, s := range raftVoters(cfg) {
		if s.ID == n.server || s.ID == leader {
			continue
		}
		n.background(func() {
			a, err := n.question(n.alive, s)
			if n.cfg.mutation.noPlace {
				a.LastIndex = own
			}
			if err == nil && cmp.Or(cmp.Compare(a.LastIndex, own), cmp.Compare(s.ID, n.server)) < 0 {
				place.Add(1)
			}
		})
	}
	return place
}

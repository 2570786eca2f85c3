package fsm

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/hashicorp/raft"
)

func tokenDigest(n int) []byte { return bytes.Repeat([]byte{byte(n)}, 32) }

func newNode(n int) Node {
	return Node{ID: fmt.Sprint("node-", n), Address: fmt.Sprint("host:", n), Transport: []byte("spki"), Mechanism: 2, FeatureLevel: 1}
}

func servers(ids ...int) (cfg raft.Configuration) {
	for _, n := range ids {
		id := fmt.Sprint("node-", n)
		cfg.Servers = append(cfg.Servers, raft.Server{ID: raft.ServerID(id), Address: raft.ServerAddress("host:" + id)})
	}
	return cfg
}

func (l *lab) configure(ids ...int) {
	l.index++
	l.fsm.StoreConfiguration(l.index, servers(ids...))
}

func joinToken(n int, life int64) *PutJoinToken {
	return &PutJoinToken{JoinToken{Digest: tokenDigest(n), CreatedAt: now0, ExpiresAt: now0 + life}}
}

func admit(n, tok, key int) *AdmitNode {
	return &AdmitNode{Digest: tokenDigest(tok), Key: tokenDigest(key), Node: newNode(n)}
}

func TestAdmission(t *testing.T) {
	l := newRegion(t)
	l.configure(1)
	l.ok(joinToken(7, day))
	l.refused(joinToken(7, day), now0, Conflict, "the join token exists already")
	l.refused(admit(2, 8, 1), now0, Conflict, RefusedToken)
	l.refused(admit(2, 7, 1), now0+day, Conflict, RefusedToken)
	l.refused(admit(1, 7, 1), now0, Conflict, RefusedMember)
	l.ok(admit(2, 7, 1))
	if n := l.state().Node("node-2"); n == nil || n.JoinedAt != now0 || n.Version != l.index {
		t.Errorf("admitted as %+v", n)
	}
	l.ok(admit(2, 7, 1)) // the answer was lost
	l.refused(admit(2, 7, 2), now0, Conflict, RefusedToken)
	l.refused(admit(3, 7, 1), now0, Conflict, RefusedToken)
	l.ok(joinToken(9, 2*day))
	l.refused(admit(2, 9, 1), now0, Conflict, RefusedMember)
	// Expired tokens go with the next one.
	l.do(joinToken(10, 3*day), now0+day)
	if l.state().JoinToken(tokenDigest(7)) != nil || l.state().JoinToken(tokenDigest(9)) == nil {
		t.Error("an expired token stays, or one that has not expired went")
	}
}

func TestOutstandingTokensAreBounded(t *testing.T) {
	l := newRegion(t)
	for n := range maxJoinTokens {
		c := joinToken(0, day)
		c.Token.Digest = append(tokenDigest(1)[:30], byte(n>>8), byte(n))
		l.ok(c)
	}
	l.refused(joinToken(2, day), now0, Conflict, "too many join tokens are outstanding; wait until some have expired")
}

// An id that leaves the configuration is refused from the same entry on, with what was wrapped for it.
func TestRemovedNodesAreRemembered(t *testing.T) {
	l := newRegion(t)
	l.configure(1, 2)
	l.ok(&PutNode{newNode(1)})
	l.ok(&PutNode{newNode(2)})
	l.refused(&PutNode{newNode(3)}, now0, Conflict, "the node does not belong to the region")
	l.ok(&WrapDomainKey{1, WrappedDomain{"node-2", []byte("new")}})
	l.ok(&WrapDomainKey{1, WrappedDomain{"node-1", []byte("one")}})
	l.refused(&WrapDomainKey{1, WrappedDomain{"node-3", []byte("x")}}, now0, Conflict, "the domain key version or the node does not exist")
	if d := l.state().DomainKey(1); len(d.Wrapped) != 2 || d.Wrapped[0].NodeID != "node-1" {
		t.Fatalf("wrapped: %+v", d.Wrapped)
	}
	before := l.state()
	l.configure(1)
	s := l.state()
	if !s.Removed("node-2") || s.Removed("node-1") || s.Node("node-2") != nil || s.Node("node-1") == nil {
		t.Error("the wrong node was removed")
	}
	if d := s.DomainKey(1); len(d.Wrapped) != 1 || d.Wrapped[0].NodeID != "node-1" {
		t.Errorf("wrapped after the removal: %+v", d.Wrapped)
	}
	if before.Removed("node-2") || len(before.DomainKey(1).Wrapped) != 2 {
		t.Error("the earlier state has changed")
	}
	l.refused(&PutNode{newNode(2)}, now0, Conflict, RefusedRemoved)
	l.ok(joinToken(1, day))
	l.refused(admit(2, 1, 1), now0, Conflict, RefusedRemoved)
	loaded, err := ReadSnapshot(reader(snapshotOf(t, s)))
	if err != nil || !loaded.Removed("node-2") {
		t.Errorf("after a snapshot: %v", err)
	}
}

// A node that was admitted and never got into the configuration can be forgotten, so that it does not stay for ever.
func TestForgetNode(t *testing.T) {
	l := newRegion(t)
	l.configure(1)
	l.ok(&PutNode{newNode(1)})
	l.ok(joinToken(1, day))
	l.ok(admit(2, 1, 1))
	l.ok(&WrapDomainKey{1, WrappedDomain{"node-2", []byte("x")}})
	l.refused(&ForgetNode{"node-1"}, now0, Conflict, "the node does not exist, or is in the Raft configuration")
	l.ok(&ForgetNode{"node-2"})
	if s := l.state(); s.Node("node-2") != nil || !s.Removed("node-2") || len(s.DomainKey(1).Wrapped) != 0 {
		t.Error("the node was not forgotten")
	}
	l.refused(admit(2, 1, 1), now0, Conflict, RefusedRemoved)
}

func TestAuthority(t *testing.T) {
	l := newRegion(t)
	a := func(v uint32) *PutAuthority {
		return &PutAuthority{Authority{Version: v, Cert: []byte("der"), Domain: 1, Key: []byte("sealed"), CreatedAt: now0}}
	}
	l.ok(a(1))
	l.refused(a(1), now0, Stale, "the version of the certificate authority is not above all others")
	l.ok(a(2))
	if l.state().Authority().Version != 2 {
		t.Error("the newest authority does not issue")
	}
	c := a(3)
	c.Authority.Domain = 9
	l.refused(c, now0, Conflict, noDomain)
}

func TestFeatureLevelIsThatOfTheOldestNode(t *testing.T) {
	l := newRegion(t)
	l.configure(1)
	if l.state().FeatureLevel() != MaxLevel() {
		t.Error("a node that is alone")
	}
	l.configure(1, 2)
	if l.state().FeatureLevel() != LevelInitial {
		t.Error("without nodes")
	}
	for n, level := range []int{3, 2} {
		node := newNode(n + 1)
		node.FeatureLevel = level
		l.ok(&PutNode{node})
	}
	if got := l.state().FeatureLevel(); got != 2 {
		t.Errorf("level %d", got)
	}
}

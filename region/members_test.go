package region

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
	"github.com/trentkms/trent/hsm/soft"
	"github.com/trentkms/trent/region/shape"
)

// memberNode is a whole node below the API: HSM, log, port, service, membership.
type memberNode struct {
	id      string
	dir     string
	module  hsm.Module
	wire    *transport.Server
	opened  chan struct{} // closed once node is there: the port asks for it from the start
	node    *cluster.Node
	members *Members
	saved   *NodeFile
}

// memberLab is a region of several nodes in one process.
type memberLab struct {
	t      *testing.T
	region string
	nodes  []*memberNode
}

func newMemberLab(t *testing.T) *memberLab { return newRegionLab(t, "us-east-1", "cluster-1") }

func newRegionLab(t *testing.T, region, clusterID string) *memberLab {
	l := &memberLab{t: t, region: region}
	first := l.prepare("n1", l.token("n1"))
	l.open(first, cluster.Config{Bootstrap: true, ClusterID: clusterID}, nil)
	l.until("the first node leads", func() bool { _, ok := first.node.Leading(); return ok })
	secret := shape.NewSecret([]byte("a secret access key of forty characters."))
	if err := first.members.service.Initialize(l.ctx(), InitConfig{ClusterID: clusterID, Account: "111122223333", AccessKeyID: "AKIAROOT", Secret: secret}); err != nil {
		t.Fatal(err)
	}
	l.keep(first)
	l.until("the first node has a certificate", func() bool { return first.wire.Credentials() != nil })
	return l
}

func (l *memberLab) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	l.t.Cleanup(cancel)
	return ctx
}

func (l *memberLab) until(what string, ok func() bool) {
	l.t.Helper()
	ctx := l.ctx()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			l.t.Fatalf("not in two minutes: %s", what)
		}
	}
}

// token is an embedded HSM of a node's own.
func (l *memberLab) token(name string) hsm.Module {
	l.t.Helper()
	m, err := soft.Open(soft.Options{GenerateRSA: publishedrsa.Generate, InMemory: true, Label: name})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { m.Close() })
	return m
}

// prepare opens a node's port.
func (l *memberLab) prepare(id string, module hsm.Module) *memberNode {
	l.t.Helper()
	return l.prepareAt("127.0.0.1:0", id, module)
}

func (l *memberLab) prepareAt(address, id string, module hsm.Module) *memberNode {
	l.t.Helper()
	n := &memberNode{id: id, dir: l.t.TempDir(), module: module, opened: make(chan struct{})}
	var err error
	if n.wire, err = transport.Listen(transport.Config{Listen: address, Refused: func(peer string) error {
		select {
		case <-n.opened:
			return Refused(n.node.State(), peer)
		default:
			return nil
		}
	}}); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { n.wire.Close() })
	l.nodes = append(l.nodes, n)
	return n
}

// open opens the rest of a node.
func (l *memberLab) open(n *memberNode, cc cluster.Config, creds *transport.Credentials) {
	l.t.Helper()
	machine, err := fsm.New(fsm.Options{Fatal: func(err error) { l.t.Errorf("%s: %v", n.id, err) }})
	if err != nil {
		l.t.Fatal(err)
	}
	if creds != nil {
		n.wire.SetCredentials(creds)
	}
	cc.Dir, cc.FSM, cc.NodeID, cc.Address, cc.Peers, cc.Forwarder = n.dir, machine, n.id, n.wire.Advertise(), n.wire, n.wire
	cc.Fatal = func(err error) { l.t.Errorf("%s: %v", n.id, err) }
	cc.Ballast, cc.MinFree, cc.PingInterval = -1, -1, 200*time.Millisecond
	if cc.HeartbeatTimeout == 0 {
		cc.HeartbeatTimeout = 500 * time.Millisecond
	}
	cc.ElectionTimeout, cc.LeaseTimeout = cc.HeartbeatTimeout, cc.HeartbeatTimeout
	cc.Transport = func(cluster.Identity) (raft.Transport, error) { return n.wire.Raft(hclog.NewNullLogger()), nil }
	if n.node, err = cluster.Open(cc); err != nil {
		l.t.Fatal(err)
	}
	s := New(Config{Partition: "aws", Region: l.region, Cluster: n.node, HSM: n.module, Record: func(InternalEvent) []byte { return nil }})
	n.members = NewMembers(s, n.node, n.wire)
	n.wire.Handle(transport.Handlers{Answer: n.node.Answer, Propose: n.node.ProposeHere, Hold: n.node.HoldHere, Release: n.node.ReleaseHere, Call: n.members.Call, Join: n.members.Join, Member: n.members.Member})
	close(n.opened)
	l.t.Cleanup(func() { n.node.Close() })
}

// keep runs the node's upkeep and tells that it serves.
func (l *memberLab) keep(n *memberNode) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.members.Keep(ctx, func(ctx context.Context, c *transport.Credentials, key crypto.Signer) (err error) {
			n.saved, err = SealNode(ctx, n.module, n.members.ActiveDomain(), c, key)
			return err
		})
	}()
	l.t.Cleanup(func() { cancel(); <-done })
	n.members.Ready()
}

func (l *memberLab) newToken(via *memberNode) transport.JoinToken {
	l.t.Helper()
	text, _, err := via.members.NewToken(l.ctx(), time.Hour)
	if err != nil {
		l.t.Fatal(err)
	}
	token, err := transport.ParseJoinToken(text)
	if err != nil {
		l.t.Fatal(err)
	}
	return token
}

func (l *memberLab) joining(n *memberNode, via *memberNode) Joining {
	key, err := transport.NewKey()
	if err != nil {
		l.t.Fatal(err)
	}
	return Joining{Token: l.newToken(via), Via: via.wire.Advertise(), NodeID: n.id, Address: n.wire.Advertise(), Region: "us-east-1", HSM: n.module, Key: key}
}

// join adds a node by way of another and waits for its vote.
func (l *memberLab) join(id string, via *memberNode, module hsm.Module) *memberNode {
	l.t.Helper()
	n := l.prepare(id, module)
	joined, err := JoinRegion(l.ctx(), l.joining(n, via))
	if err != nil {
		l.t.Fatal(err)
	}
	l.open(n, cluster.Config{ClusterID: joined.ClusterID}, joined.Credentials)
	l.until("the node reads", func() bool { _, err := n.node.View(l.ctx()); return err == nil })
	if err := n.members.ImportDomains(l.ctx()); err != nil {
		l.t.Fatal(err)
	}
	if err := n.members.service.Unlock(l.ctx()); err != nil {
		l.t.Fatal(err)
	}
	l.keep(n)
	l.until("the node has its vote", func() bool { return n.node.Status().Voter })
	return n
}

func TestJoin(t *testing.T) {
	t.Parallel()
	l := newMemberLab(t)
	first := l.nodes[0]
	second := l.join("n2", first, l.token("n2"))
	third := l.join("n3", second, l.token("n3")) // a follower passes the request on
	all, err := third.members.List(l.ctx())
	if err != nil || len(all) != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	for _, m := range all {
		if !m.Voter || !m.Reachable || m.FeatureLevel != fsm.MaxLevel() || m.JoinedAt.IsZero() || m.Leader != (m.ID == "n1") {
			t.Errorf("member %+v", m)
		}
	}
	// What one HSM sealed, another opens.
	st, err := third.node.View(l.ctx())
	if err != nil {
		t.Fatal(err)
	}
	secret, err := third.members.service.AccessSecret(l.ctx(), st, st.AccessKey("AKIAROOT"))
	if err != nil || !strings.HasPrefix(string(secret.Bytes()), "a secret") {
		t.Errorf("access key on another node: %v", err)
	}
	// The authority's key is in the state sealed only.
	var snap bytes.Buffer
	if err := fsm.WriteSnapshot(&snap, st); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(snap.Bytes(), []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d}) {
		t.Error("a PKCS #8 key is in the snapshot in the clear")
	}
}

func TestJoinIsRefused(t *testing.T) {
	t.Parallel()
	l := newMemberLab(t)
	first := l.nodes[0]
	n := l.prepare("n2", l.token("n2"))
	for name, c := range map[string]struct {
		change func(*Joining)
		want   string
	}{
		"another region": {func(j *Joining) { j.Region = "eu-west-1" }, "this is region us-east-1"},
		"a member's id":  {func(j *Joining) { j.NodeID = "n1" }, fsm.RefusedMember},
		"no token":       {func(j *Joining) { j.Token = transport.NewJoinToken(j.Token.Pin, [32]byte{1}) }, fsm.RefusedToken},
		"another kind":   {func(j *Joining) { j.HSM = otherKind{j.HSM} }, "--allow-mixed-hsm"},
	} {
		j := l.joining(n, first)
		c.change(&j)
		if _, err := JoinRegion(l.ctx(), j); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	j := l.joining(n, first)
	if _, err := JoinRegion(l.ctx(), j); err != nil {
		t.Fatal(err)
	}
	// The answer was lost: the same request again gets it.
	if _, err := JoinRegion(l.ctx(), j); err != nil {
		t.Errorf("again: %v", err)
	}
	thief, other := j, l.joining(n, first)
	thief.Key = other.Key
	if _, err := JoinRegion(l.ctx(), thief); err == nil || !strings.Contains(err.Error(), fsm.RefusedToken) {
		t.Errorf("a used token with another key: %v", err)
	}
	if _, err := JoinRegion(l.ctx(), other); err == nil || !strings.Contains(err.Error(), fsm.RefusedMember) {
		t.Errorf("a new token under a member's id: %v", err)
	}
	if _, _, err := first.members.NewToken(l.ctx(), MaxTokenLife+1); err == nil {
		t.Error("a token for ever")
	}
}

type otherKind struct{ hsm.Module }

func (otherKind) Info() hsm.Info { return hsm.Info{Kind: "pkcs11"} }

// shared is a module of a partition that several nodes share: it has no transport key and finds the domain key there.
type shared struct{ hsm.Module }

func (shared) Transport(context.Context) (hsm.TransportKey, error) {
	return hsm.TransportKey{}, fmt.Errorf("%w: no transport", hsm.ErrUnsupported)
}

func TestSharedPartition(t *testing.T) {
	t.Parallel()
	l := newMemberLab(t)
	first := l.nodes[0]
	l.join("n2", first, shared{first.module})
	if row := first.node.State().Node("n2"); row == nil || row.Transport != nil {
		t.Errorf("node %+v", row)
	}
	// A module that is not on the partition is told so, before it gets a vote.
	n := l.prepare("n3", shared{l.token("n3")})
	if _, err := JoinRegion(l.ctx(), l.joining(n, first)); err == nil || !strings.Contains(err.Error(), "share the partition") {
		t.Errorf("a module without the domain key: %v", err)
	}
	// It was admitted and is in nobody's way.
	if err := first.members.Remove(l.ctx(), "n3"); err != nil || !first.node.State().Removed("n3") {
		t.Errorf("removal of a node that never came: %v", err)
	}
}

// A certificate of which a third is over is renewed while the node runs.
func TestCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	l := newMemberLab(t)
	first := l.nodes[0]
	second := l.join("n2", first, l.token("n2"))
	key, err := transport.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	request, err := transport.NewRequest(key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := first.members.issue(l.ctx(), "n2", request)
	if err != nil {
		t.Fatal(err)
	}
	// The same request, dated so that its certificate is due.
	old := dated(t, l, first, request, time.Now().Add(-transport.CertLife/2))
	creds, err := transport.NewCredentials(old, key, c.Authorities)
	if err != nil {
		t.Fatal(err)
	}
	second.wire.SetCredentials(creds)
	select {
	case second.members.wake <- struct{}{}:
	default:
	}
	l.until("the certificate is renewed", func() bool { return second.wire.Credentials() != creds })
	now := second.wire.Credentials()
	if now.Due(time.Now()) || now.NodeID != "n2" {
		t.Errorf("renewed to %v", now.Leaf().NotAfter)
	}
	opened, err := OpenNode(l.ctx(), second.module, "n2", second.saved)
	if err != nil || !bytes.Equal(opened.Leaf().Raw, now.Leaf().Raw) {
		t.Errorf("what was saved: %v", err)
	}
	if _, err := OpenNode(l.ctx(), second.module, "n1", second.saved); err == nil {
		t.Error("the key opens for another node")
	}
	if _, err := OpenNode(l.ctx(), l.token("x"), "n2", second.saved); !errors.Is(err, hsm.ErrNoDomain) {
		t.Errorf("the key opens without the HSM: %v", err)
	}
}

// dated issues a certificate at another time than now.
func dated(t *testing.T, l *memberLab, n *memberNode, request []byte, at time.Time) []byte {
	t.Helper()
	st := n.node.State()
	a := st.Authority()
	key, err := n.members.openAuthority(l.ctx(), st, a)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := transport.Issue(a.Cert, key, request, "n2", "cluster-1", at)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// A leader that is to be removed gives leadership away, and its successor removes it.
func TestLeaderIsRemoved(t *testing.T) {
	t.Parallel()
	l := newMemberLab(t)
	first := l.nodes[0]
	second := l.join("n2", first, l.token("n2"))
	third := l.join("n3", first, l.token("n3"))
	if err := second.members.MayRemove(l.ctx(), "n1"); err != nil || third.node.State().Removed("n1") {
		t.Fatalf("may the leader be removed: %v", err)
	}
	if err := second.members.MayRemove(l.ctx(), "n9"); !errors.Is(err, cluster.ErrNoSuchMember) {
		t.Errorf("may nobody be removed: %v", err)
	}
	if err := second.members.Remove(l.ctx(), "n1"); err != nil {
		t.Fatal(err)
	}
	l.until("the others know", func() bool {
		return second.node.State().Removed("n1") && third.node.State().Removed("n1")
	})
	if d := third.node.State().ActiveDomainKey(); wrappedFor(d, "n1") != nil || wrappedFor(d, "n2") == nil {
		t.Error("the domain key is still wrapped for the removed node, or no longer for another")
	}
	if err := second.members.StepDown(l.ctx()); err != nil {
		t.Errorf("step down: %v", err)
	}
	all, err := third.members.List(l.ctx())
	if err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
}

package region

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/fsm"
	fed "github.com/trentkms/trent/region/federation"
	"github.com/trentkms/trent/region/multiregion"
)

// restore begins a new group of a region with an older state, as trent operator snapshot restore does, on the HSM that it had. Its
// certificate authority is a new one.
func (f *federated) restore(st *fsm.State, cluster_, address string, seeds ...string) *federated {
	f.t.Helper()
	old := f.nodes[len(f.nodes)-1]
	l := &memberLab{t: f.t, region: f.region}
	n := l.prepareAt(address, "n-"+cluster_, old.module)
	born, err := fsm.Reincarnate(st, fsm.Reincarnation{
		ClusterID: cluster_, Above: old.node.State().Index(), Server: raft.Server{ID: raft.ServerID(n.id), Address: raft.ServerAddress(n.wire.Advertise())},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cluster.Seed(n.dir, cluster.Identity{NodeID: n.id, ClusterID: cluster_}, born); err != nil {
		f.t.Fatal(err)
	}
	l.open(n, cluster.Config{HeartbeatTimeout: 50 * time.Millisecond}, nil) // nobody else could lead
	l.until("the restored region leads", func() bool { _, ok := n.node.Leading(); return ok })
	if err := n.members.service.Unlock(l.ctx()); err != nil {
		f.t.Fatal(err)
	}
	l.keep(n)
	again := &federated{memberLab: l, audit: f.audit}
	again.join(RegionsConfig{Seeds: seeds}, func(ctx context.Context) {
		s := n.members.service
		e := multiregion.New(multiregion.Config{
			Cluster: n.node, Link: again.Link(), Materials: s, Sessions: s, Identities: s, Every: 50 * time.Millisecond,
		})
		again.Link().Handle(e)
		e.Run(ctx)
	})
	return again
}

func (f *federated) address() string { return f.nodes[len(f.nodes)-1].wire.Advertise() }

// ends ends a region's node with its port.
func (f *federated) ends() {
	f.end()
	n := f.nodes[len(f.nodes)-1]
	if err := errors.Join(n.node.Close(), n.wire.Close()); err != nil {
		f.t.Error(err)
	}
}

// reunited waits until restored regions have met and have heard all from each other.
func reunited(t *testing.T, all ...*federated) {
	t.Helper()
	for _, f := range all {
		for _, o := range all {
			if f == o {
				continue
			}
			var got RegionInfo
			f.until(f.region+" knows the new "+o.region, func() bool {
				got = f.info(o)
				return got.Authority == o.info(o).Authority && got.Incarnation == o.info(o).Incarnation && got.Reachable
			})
		}
		f.until(f.region+" has heard from all", func() bool { return !f.members.node.State().Unheard() })
	}
}

// restoredTogether: regions that were restored at the same time, of which none knows another's authority any more, find each other by
// their signing keys; and nobody else does.
func restoredTogether(t *testing.T, a, b, c *federated, night []*fsm.State) {
	states := []*fsm.State{a.members.node.State(), b.members.node.State()}
	ports := []string{a.address(), b.address()}
	a.ends()
	b.ends()
	a2, b2 := a.restore(states[0], "cluster-a2", ports[0]), b.restore(states[1], "cluster-b2", ports[1])
	reunited(t, a2, b2)
	t.Run("forgotten", func(t *testing.T) { // c was forgotten by both
		for _, f := range []*federated{a2, b2} {
			err := errors.New("not tried")
			for ctx := c.long(); err != nil && !turnedAway(err) && ctx.Err() == nil; { // a slow machine breaks off connections
				err = c.meet(ctx, f.region, f.address())
			}
			if !turnedAway(err) {
				t.Errorf("a forgotten region was met: %v", err)
			}
		}
	})
	t.Run("attacks", func(t *testing.T) { meetingsAreRefused(t, a2, b2, c) })

	// Now all three, from states of before c was forgotten, while a whole group of b's earlier life goes on: all that a and c know is its
	// address. Everybody has moved; of the new addresses all know is that of a.
	c.ends()
	a2.ends()
	a3 := a2.restore(night[0], "cluster-a3", "127.0.0.1:0")
	b3 := b2.restore(night[1], "cluster-b3", "127.0.0.1:0", a3.address())
	c3 := c.restore(night[2], "cluster-c3", "127.0.0.1:0", a3.address())
	reunited(t, a3, b3, c3)
	if err := b2.meet(b2.long(), a3.region, a3.address()); err == nil || !strings.Contains(err.Error(), "later life") {
		t.Errorf("the group of an earlier life was met: %v", err)
	}
	if got := a3.info(b3); got.ClusterID != "cluster-b3" {
		t.Errorf("known is %+v", got)
	}
}

func turnedAway(err error) bool {
	var said *fed.RemoteError
	return errors.As(err, &said)
}

// meetingsAreRefused has others than the restored region b try to be met by a as b, and others than a answer b.
func meetingsAreRefused(t *testing.T, a, b, stranger *federated) {
	ctx := a.long()
	was := a.info(b)
	channel := func(f *federated) fed.Channel {
		return fed.Channel{Chain: f.nodes[len(f.nodes)-1].wire.Credentials().Certificate().Certificate, Binding: make([]byte, 32)}
	}
	here := channel(b)
	good, err := b.say(ctx, meetingAsks, a.region, here)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.serveMeeting(ctx, here, good); err != nil {
		t.Fatalf("what is changed below is no good by itself: %v", err)
	}
	there := channel(b)
	there.Binding[0] = 1
	change := func(how func(*meeting)) []byte {
		var m meeting
		if err := json.Unmarshal(good, &m); err != nil {
			t.Fatal(err)
		}
		how(&m)
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	say := func(by *federated, part byte, to string) []byte {
		out, err := by.say(ctx, part, to, here)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	// described is what b's key signs about b, changed; signed by another one's key if that is not b.
	described := func(by *federated, how func(*description)) []byte {
		_, d, err := b.describe(ctx)
		if err != nil {
			t.Fatal(err)
		}
		other := *d
		how(&other)
		body, err := json.Marshal(other)
		if err != nil {
			t.Fatal(err)
		}
		st := by.members.node.State()
		first, err := by.service.signRegion(ctx, st, purposeDescription, body)
		if err != nil {
			t.Fatal(err)
		}
		second, err := by.service.signRegion(ctx, st, purposeMeeting, meetingStatement(meetingAsks, other.Name, a.region, body, here.Binding))
		if err != nil {
			t.Fatal(err)
		}
		out, err := json.Marshal(meeting{signedDescription{body, first}, second})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	authority, elsewhere := otherAuthority(t, b)
	elsewhere.Binding = here.Binding
	strangers := stranger.members.node.State().RegionKeys().Signing.Public
	for _, bad := range []struct {
		what, want string
		c          fed.Channel
		message    []byte
	}{
		{"over another connection: a replay, or somebody between the two", errStranger.Error(), there, good},
		{"by who has not the node's key", "signed by unknown authority", channel(stranger), good},
		{"said to another region", errStranger.Error(), here, say(b, meetingAsks, stranger.region)},
		{"an answer", errStranger.Error(), here, say(b, meetingAnswers, a.region)},
		{"signed as something else", errStranger.Error(), here, change(func(m *meeting) { m.Signature = m.Self.Signature })},
		{"another signing key, which it names", errStranger.Error(), here, described(stranger, func(d *description) { d.Signing = strangers })},
		{"another signing key", errStranger.Error(), here, described(stranger, func(*description) {})},
		{"a region that is not known", errStranger.Error(), here, described(b, func(d *description) { d.Name = "sa-east-1" })},
		{"an earlier life", "later life", here, described(b, func(d *description) { d.Incarnation-- })},
		{"another group", "another cluster", here, described(b, func(d *description) { d.ClusterID = "cluster-x" })},
		{"another authority in the same life", "in the same life", elsewhere, described(b, func(d *description) { d.CA = authority })},
		{"nothing", errStranger.Error(), here, []byte("{}")},
		{"no message", errStranger.Error(), here, []byte("{")},
	} {
		if out, err := a.serveMeeting(ctx, bad.c, bad.message); err == nil || !strings.Contains(err.Error(), bad.want) || out != nil {
			t.Errorf("%s: %q, %v; want %q", bad.what, out, err, bad.want)
		}
	}
	t.Run("between", func(t *testing.T) { somebodyStandsBetween(t, a, b, stranger) })
	if got := a.info(b); got.Incarnation != was.Incarnation || got.Authority != was.Authority {
		t.Errorf("taken over was %+v, it was %+v", got, was)
	}
}

// otherAuthority makes another authority for a region, and what a node that it has certified shows.
func otherAuthority(t *testing.T, of *federated) ([]byte, fed.Channel) {
	id := of.members.node.Identity()
	cert, key, err := transport.NewAuthority(id.ClusterID, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := transport.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	request, err := transport.NewRequest(leaf)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := transport.Issue(cert, key, request, id.NodeID, id.ClusterID, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return cert, fed.Channel{Chain: [][]byte{issued, cert}}
}

// somebodyStandsBetween has a restored region connect to who passes everything on to the one that is meant, over a connection of its own.
func somebodyStandsBetween(t *testing.T, a, b, stranger *federated) {
	creds := stranger.nodes[len(stranger.nodes)-1].wire.Credentials()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	passed := make(chan error, 1)
	go func() {
		passed <- func() error {
			raw, err := ln.Accept()
			if err != nil {
				return err
			}
			in := tls.Server(raw, &tls.Config{
				Certificates: []tls.Certificate{creds.Certificate()}, NextProtos: []string{"trent-meet/1"}, ClientAuth: tls.RequestClientCert,
			})
			defer func() { _ = in.Close() }()
			out, err := (&tls.Dialer{Config: &tls.Config{
				Certificates: []tls.Certificate{creds.Certificate()}, NextProtos: []string{"trent-meet/1"}, InsecureSkipVerify: true,
			}}).Dial("tcp", a.address())
			if err != nil {
				return err
			}
			defer func() { _ = out.Close() }()
			go func() { _, _ = io.Copy(out, in) }()
			_, err = io.Copy(in, out)
			return err
		}()
	}()
	if err := b.meet(b.long(), a.region, ln.Addr().String()); !turnedAway(err) || !strings.Contains(err.Error(), errStranger.Error()) {
		t.Errorf("met through somebody else: %v", err)
	}
	if err := <-passed; err != nil {
		t.Error(err)
	}
}

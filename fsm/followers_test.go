package fsm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

// namedFollower is a region with the signing key that the tests give every region.
func namedFollower(name string) Follower {
	key := sha256.Sum256([]byte{1})
	return Follower{name, key[:]}
}

// withFollowers makes what a home tells name some regions.
func withFollowers(names ...string) func(*SyncIdentities) {
	return func(c *SyncIdentities) {
		for _, name := range names {
			c.Followers = append(c.Followers, namedFollower(name))
		}
	}
}

const sibling = "ap-south-1"

// TestSessionsOfSiblings: a region that follows accepts the sessions of exactly those regions that its home has named last and that it is
// federated with itself.
func TestSessionsOfSiblings(t *testing.T) {
	federated := func(name string, signing byte) *PutOtherRegion {
		return &PutOtherRegion{Region: OtherRegion{
			Name: name, ClusterID: "c", Incarnation: 8, CA: []byte{1}, Transport: []byte{1}, Mechanism: 4, Signing: []byte{signing}, State: RegionFederated,
		}}
	}
	with := func(b *PutOtherRegion, state RegionState, by string) *PutOtherRegion {
		b.Region.State, b.Region.By = state, by
		return b
	}
	keys := &TakeSessionKeys{sibling, 8, []SessionKey{sessionKey(3, 8, now0)}}
	next := func(change ...func(*SyncIdentities)) *SyncIdentities {
		return then(func(c *SyncIdentities) {
			for _, f := range change {
				f(c)
			}
		})
	}
	parts := func(n int) func(*SyncIdentities) {
		return func(c *SyncIdentities) { c.Part, c.Parts = n, 2 }
	}
	again := func(change ...func(*SyncIdentities)) *SyncIdentities {
		c := next(change...)
		c.Was, c.Position = c.Position, c.Position+10
		return c
	}
	for _, c := range []struct {
		name     string
		bodies   []Body
		accepted bool
	}{
		{"nobody is named", []Body{federated(sibling, 1), keys, everything()}, false},
		{"named at the adoption", []Body{federated(sibling, 1), keys, everything(withFollowers(sibling))}, true},
		{"named since", []Body{federated(sibling, 1), keys, everything(), next(withFollowers("af-south-1", sibling, "sa-east-1"))}, true},
		{"another one is named", []Body{federated(sibling, 1), keys, everything(withFollowers("af-south-1", "sa-east-1"))}, false},
		{"named no more", []Body{federated(sibling, 1), keys, everything(withFollowers(sibling)), next()}, false},
		{"named by the last part alone", []Body{federated(sibling, 1), keys, everything(), next(parts(0)), next(parts(1), withFollowers(sibling))}, true},
		{"named by a part that waits for the last", []Body{federated(sibling, 1), keys, everything(), next(parts(0), withFollowers(sibling))}, false},
		{"federated after it was named", []Body{everything(withFollowers(sibling)), federated(sibling, 1), keys}, true},
		{"introduced", []Body{everything(withFollowers(sibling)), with(federated(sibling, 1), RegionIntroduced, "sa-east-1")}, false},
		{"federated from this side", []Body{everything(withFollowers(sibling)), with(federated(sibling, 1), RegionPending, "")}, false},
		{"another region of that name", []Body{federated(sibling, 2), keys, everything(withFollowers(sibling))}, false},
		{"in its next life", []Body{federated(sibling, 1), keys, everything(withFollowers(sibling)), &MarkFeed{Region: sibling, Incarnation: 9}}, false},
		{"parted with", []Body{federated(sibling, 1), keys, everything(withFollowers(sibling)), &DropRegion{sibling}}, false},
		{"forgotten", []Body{federated(sibling, 1), keys, everything(withFollowers(sibling)), &ForgetRegion{sibling, 50}}, false},
		{"the home is forgotten", []Body{federated(sibling, 1), keys, everything(withFollowers(sibling)), &ForgetRegion{followerName, 50}}, false},
		{"the home is released", []Body{federated(sibling, 1), keys, everything(withFollowers(sibling)), &ReleaseHome{followerName}}, false},
		{"the home in its next life", []Body{
			federated(sibling, 1), keys, everything(withFollowers(sibling)), next(func(c *SyncIdentities) {
				c.Incarnation, c.Position, c.Full = 8, 5, true
				c.Rows = everything().Sync.Rows
			}),
		}, false},
		{"late news", []Body{federated(sibling, 1), keys, everything(withFollowers(sibling)), next(), again()}, false},
		{"it follows this one, which is no home", []Body{
			federated(sibling, 1), keys, &AllowFollower{sibling, true}, everything(), &PutFollower{sibling, 8, true},
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := follower(t)
			for _, body := range c.bodies {
				if r := l.do(body, now0); r.Code != OK && (c.accepted || r.Code == Stale) {
					t.Fatalf("%T: %+v", body, r)
				}
			}
			if got := l.accepted(sibling) != ""; got != c.accepted || l.state().SessionKey(sibling, keys.Keys[0].ID) != nil != got {
				t.Errorf("accepted %v", got)
			}
			if !l.state().AcceptsSessionsOf("us-east-1") || l.state().AcceptsSessionsOf("sa-east-1") {
				t.Error("this region's own sessions, or those of one that it does not know")
			}
			checkInvariants(t, l.state())
		})
	}

	// What comes late says nothing.
	l := follower(t)
	for _, body := range []Body{federated(sibling, 1), keys, everything(withFollowers(sibling)), next()} {
		l.ok(body)
	}
	l.refused(next(withFollowers(sibling)), now0, Stale, "the identities were synchronized in the meantime")
	back := again(withFollowers(sibling))
	back.Position = back.Was - 1
	l.refused(back, now0, Conflict, "the home is known in a later state")
	other := again(withFollowers(sibling))
	other.Home = sibling
	l.refused(other, now0, Conflict, "the region is not the home of this one's identities")
}

// TestFollowersAreNews: that a region begins or ends to follow moves the feed of identities on, whatever led to it.
func TestFollowersAreNews(t *testing.T) {
	l := follower(t)
	in := uint64(7)
	put := func(change func(*OtherRegion)) Body {
		o := *l.state().OtherRegion(followerName)
		was := o.Version
		o.Follows, o.Allowed, o.Version, o.Position = false, false, 0, 0
		change(&o)
		return &PutOtherRegion{Region: o, Was: was}
	}
	for i, c := range []struct {
		body    func() Body
		changes bool
		follow  int
	}{
		{func() Body { return &AllowFollower{followerName, true} }, false, 0},
		{func() Body { return &PutFollower{followerName, in, true} }, true, 1},
		{func() Body { return &MarkFeed{Region: followerName, Incarnation: in, Position: 3} }, false, 1},
		{func() Body { return put(func(o *OtherRegion) { o.Addresses = []string{"host:1"} }) }, false, 1},
		{func() Body { return put(func(o *OtherRegion) { o.State = RegionPending }) }, true, 0},
		{func() Body { return put(func(o *OtherRegion) { o.State = RegionFederated }) }, true, 1},
		{func() Body { return &PutFollower{followerName, in, false} }, true, 0},
		{func() Body { return &PutFollower{followerName, in, true} }, true, 1},
		{func() Body { return &AllowFollower{followerName, false} }, true, 0},
		{func() Body { return &AllowFollower{followerName, true} }, false, 0},
		{func() Body { return &PutFollower{followerName, in, true} }, true, 1},
		{func() Body { return &ForgetRegion{followerName, 50} }, true, 0},
	} {
		at, events := l.state().FollowersAt(), len(l.events)
		l.ok(c.body())
		s := l.state()
		if c.changes {
			at = l.index
		}
		told := len(l.events) > events && l.events[len(l.events)-1].Kind == EventIdentities
		if s.FollowersAt() != at || s.IdentitiesChangedAt() < at || told != c.changes || len(s.Followers()) != c.follow {
			t.Errorf("step %d, %T at %d: followers %v, changed at %d, told %v", i, c.body(), l.index, s.Followers(), s.FollowersAt(), told)
		}
	}
}

func TestCheckFollowers(t *testing.T) {
	many := func(n int) (all []Follower) {
		for i := range n {
			all = append(all, namedFollower(fmt.Sprintf("region-%03d", i)))
		}
		return all
	}
	for _, c := range []struct {
		name string
		all  []Follower
		good bool
	}{
		{"none", nil, true},
		{"as many as there can be", many(maxOtherRegions), true},
		{"more", many(maxOtherRegions + 1), false},
		{"not in order", []Follower{namedFollower("b"), namedFollower("a")}, false},
		{"twice", []Follower{namedFollower("a"), namedFollower("a")}, false},
		{"without a name", []Follower{namedFollower("")}, false},
		{"a long name", []Follower{namedFollower(strings.Repeat("a", maxID+1))}, false},
		{"without a key", []Follower{{Name: "a"}}, false},
		{"half a key", []Follower{{"a", make([]byte, 16)}}, false},
	} {
		if err := CheckFollowers(c.all); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := everything(func(s *SyncIdentities) { s.Followers = c.all }).check(); (err == nil) != c.good {
			t.Errorf("%s, to adopt: %v", c.name, err)
		}
	}
}

// TestFollowersOnTheWire pins the bytes of what logs and snapshots hold of followers; commands without them are in testdata.
func TestFollowersOnTheWire(t *testing.T) {
	const pinned = "0c81a2016a61702d736f7574682d31025820" + "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"
	want, err := hex.DecodeString(pinned)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []Body{then(withFollowers(sibling)), everything(withFollowers(sibling))} {
		b, err := Encode(Command{ID: commandID(1), Attempt: 1, Time: now0, Body: body})
		if err != nil || !bytes.Contains(b, want) {
			t.Errorf("%T: %x, %v", body, b, err)
		}
	}
	l := follower(t)
	l.ok(everything(withFollowers(sibling)))
	snapshot := snapshotOf(t, l.state())
	if !bytes.Contains(snapshot, want[1:]) {
		t.Error("the snapshot has other bytes")
	}
	again := newLab(t)
	if err := again.fsm.Restore(reader(snapshot)); err != nil {
		t.Fatal(err)
	}
	eq(t, "home", again.state().Home(), l.state().Home())
}

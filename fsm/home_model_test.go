package fsm

import (
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"testing"

	"github.com/hashicorp/raft"
)

// A home and a region that follows it, over the real state machine. What the home tells is kept and arrives any number of times, in any
// order, or never; either region may be restored from an older state. After every step the follower has exactly what the home had at one
// index, and never goes back.

type homeModel struct {
	*rand.Rand
	t        *testing.T
	home     *lab
	follower *lab
	// lives are the home's states by incarnation and index: what the follower may be.
	lives map[[2]uint64]*State
	// sent are the commands that were made of what the home told, the parts of one together.
	sent  [][]*SyncIdentities
	saved []*State // of the home
	past  []*State // of the follower
	last  [2]uint64
}

const homeName, followerName = "us-east-1", "eu-west-1"

// siblings are regions that begin and end to follow the home too.
var siblings = []string{"ap-south-1", "sa-east-1"}

func newHomeModel(t *testing.T, seed int64) *homeModel {
	m := &homeModel{Rand: rand.New(rand.NewSource(seed)), t: t, home: newRegion(t), lives: map[[2]uint64]*State{}}
	m.follower = newLab(t)
	init := initBody()
	init.Region.Name, init.Region.ClusterID, init.Region.CreatedAt = followerName, "cluster-2", now0+1
	m.follower.ok(init)
	m.federate(m.home, followerName, m.follower.state().Region().Incarnation())
	m.federate(m.follower, homeName, m.home.state().Region().Incarnation())
	for n, name := range siblings {
		m.federate(m.home, name, uint64(n+1))
		m.federate(m.follower, name, uint64(n+1))
	}
	m.home.ok(&AllowFollower{followerName, true})
	m.home.ok(&PutFollower{followerName, m.follower.state().Region().Incarnation(), true})
	m.note()
	return m
}

func (m *homeModel) federate(l *lab, name string, incarnation uint64) {
	l.ok(&PutOtherRegion{Region: OtherRegion{
		Name: name, ClusterID: "c", Incarnation: incarnation, CA: []byte{1}, Transport: []byte{1}, Mechanism: 4, Signing: []byte{1}, State: RegionFederated,
	}})
}

func (m *homeModel) note() {
	s := m.home.state()
	m.lives[[2]uint64{s.Region().Incarnation(), s.Index()}] = s
}

// change changes something at the home.
func (m *homeModel) change() {
	c := chance{Rand: m.Rand, s: m.home.state()}
	var body Body
	switch m.Intn(10) {
	case 9:
		n := c.Intn(len(siblings))
		if body = (&AllowFollower{siblings[n], c.Intn(3) > 0}); c.flag() {
			body = &PutFollower{siblings[n], uint64(n + 1), c.flag()}
		}
	case 0, 1:
		body = c.putIdentity()
	case 2:
		body = c.deleteIdentity()
	case 3:
		body = c.putManagedPolicy()
	case 4:
		id := policyID(c.Intn(3))
		body = &DeleteManagedPolicy{id, c.s.Version(Read{Doc: DocManagedPolicy, Name: id})}
	case 5:
		body = c.oidcProvider()
	case 6:
		body = userKey(c.Intn(3), fmt.Sprint("AKIAU", c.Intn(4)))
	case 7:
		body = &DeleteAccessKey{fmt.Sprint("AKIAU", c.Intn(4))}
	case 8:
		body = &SetAccessKeyStatus{fmt.Sprint("AKIAU", c.Intn(4)), c.flag()}
	}
	before := m.home.state()
	m.home.do(body, before.Now())
	s := m.home.state()
	if changed := !EqualFollowers(before.Followers(), s.Followers()); changed != (s.FollowersAt() == s.Index()) || changed && s.IdentitiesChangedAt() != s.Index() {
		m.t.Fatalf("%T at %d: the regions that follow have changed: %v, last at %d", body, s.Index(), changed, s.FollowersAt())
	}
	m.note()
}

// ask asks the home and keeps what is to be done with the answer.
func (m *homeModel) ask() {
	s, f := m.home.state(), m.follower.state()
	c := SyncIdentities{
		Home: homeName, Incarnation: s.Region().Incarnation(), Position: s.Index(), Operator: account1, CurrentAt: f.Now(), Full: true,
		Followers: s.Followers(),
	}
	after := uint64(0)
	if h := f.Home(); h != nil {
		c.WasIn, c.Was = h.Incarnation, h.Position
		if h.HeardIn == f.Region().Incarnation() && h.Incarnation == c.Incarnation && s.IdentitiesSince(h.Position) && m.Intn(8) > 0 {
			c.Full, after = false, h.Position
		}
	}
	parts := []*SyncIdentities{}
	rows := slices.Collect(s.IdentityChanges(after))
	size := len(rows)/(m.Intn(3)+1) + 1
	for part := range slices.Chunk(rows, size) {
		p := c
		for _, row := range part {
			p.Rows.Add(row)
		}
		parts = append(parts, &p)
	}
	if len(parts) == 0 {
		parts = append(parts, &c)
	}
	for i, p := range parts {
		p.Part, p.Parts = i, len(parts)
		for j := range p.Rows.AccessKeys {
			p.Rows.AccessKeys[j].Domain, p.Rows.AccessKeys[j].Secret = 1, []byte("sealed here")
		}
	}
	m.sent = append(m.sent, parts)
}

// arrive lets one of the last answers arrive, whole or in parts that are lost.
func (m *homeModel) arrive() {
	if len(m.sent) == 0 {
		return
	}
	from := max(0, len(m.sent)-6)
	parts := m.sent[from+m.Intn(len(m.sent)-from)]
	for _, p := range parts {
		if m.Intn(12) == 0 {
			continue
		}
		var body Body = p
		if m.follower.state().Home() == nil && p.Part == p.Parts-1 {
			body = &AdoptHome{*p, true}
		}
		m.follower.do(body, m.follower.state().Now())
		m.check()
	}
}

// restoreHome begins a new life of the home with an older state.
func (m *homeModel) restoreHome() {
	if len(m.saved) == 0 {
		return
	}
	old := m.home.state().Region().Incarnation()
	m.home = m.restored(m.saved[m.Intn(len(m.saved))], homeName, m.home)
	m.home.ok(&BeginIncarnation{old + uint64(m.Intn(5)) + 2, "cluster-9"})
	m.note()
}

func (m *homeModel) restoreFollower() {
	if len(m.past) == 0 {
		return
	}
	old := m.follower.state().Region().Incarnation()
	m.follower = m.restored(m.past[m.Intn(len(m.past))], followerName, m.follower)
	m.follower.ok(&BeginIncarnation{old + uint64(m.Intn(5)) + 2, "cluster-8"})
	m.last = [2]uint64{} // it has gone back, as restored states do, and says so
}

func (m *homeModel) restored(s *State, id string, before *lab) *lab {
	s, err := Reincarnate(s, Reincarnation{
		ClusterID: "cluster-7", Server: raft.Server{ID: raft.ServerID(id), Address: "host:1"}, Above: before.state().Index(),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	l := newLab(m.t)
	if err := l.fsm.Restore(reader(snapshotOf(m.t, s))); err != nil {
		m.t.Fatal(err)
	}
	l.index = s.Index()
	return l
}

// check holds the follower to what is promised.
func (m *homeModel) check() {
	m.t.Helper()
	s := m.follower.state()
	h := s.Home()
	if h == nil {
		return
	}
	at := [2]uint64{h.Incarnation, h.Position}
	if at[0] < m.last[0] || at[0] == m.last[0] && at[1] < m.last[1] {
		m.t.Fatalf("went back from %v to %v", m.last, at)
	}
	m.last = at
	was := m.lives[at]
	if was == nil {
		m.t.Fatalf("is at %v, which the home never was", at)
	}
	if got, want := identityPicture(s), identityPicture(was); !reflect.DeepEqual(got, want) {
		m.t.Fatalf("at %v:\n%v\nthe home had\n%v", at, got, want)
	}
	if s.IdentityDigest() != was.IdentityDigest() {
		m.t.Fatalf("at %v: the digests differ", at)
	}
	for _, name := range siblings {
		follows := was.OtherRegion(name).Follows && was.OtherRegion(name).Allowed
		if s.AcceptsSessionsOf(name) != follows {
			m.t.Fatalf("at %v: sessions of %s are accepted: %v; it follows the home: %v", at, name, !follows, follows)
		}
	}
	checkInvariants(m.t, s)
	// What was revoked at the home by then is so here.
	if r := m.follower.do(&PutAccount{Account{ID: account1}}, s.Now()); r.Code != Conflict || r.Detail != DecidedAtHome {
		m.t.Fatalf("a local change of an identity: %+v", r)
	}
}

// identityPicture is all that regions share of identities, and the counters.
func identityPicture(s *State) (all []any) {
	for a := range s.Accounts("") {
		if row := *a; !row.Local {
			row.KeyCount = 0
			all = append(all, row)
		}
	}
	for p := range from[ManagedPolicy](&s.view, tableManagedPolicies, indexID, nil) {
		all = append(all, *p)
	}
	for i := range from[Identity](&s.view, tableIdentities, indexID, nil) {
		all = append(all, *i)
	}
	for p := range from[OIDCProvider](&s.view, tableOIDCProviders, indexID, nil) {
		all = append(all, *p)
	}
	for k := range from[AccessKey](&s.view, tableAccessKeys, indexID, nil) {
		row := *k
		row.Domain, row.Secret = 0, nil
		all = append(all, row)
	}
	return all
}

func TestFollowersAreWhatTheirHomeWas(t *testing.T) {
	seeds := int64(60)
	if testing.Short() {
		seeds = 20
	}
	reached := map[string]int{}
	for seed := range seeds {
		m := newHomeModel(t, seed)
		for range 120 {
			switch n := m.Intn(100); {
			case n < 45:
				m.change()
			case n < 65:
				m.ask()
			case n < 94:
				m.arrive()
			case n < 96:
				m.saved = append(m.saved, m.home.state())
			case n < 98:
				if s := m.follower.state(); s.Home() != nil {
					m.past = append(m.past, s)
				}
			default:
				if which := m.Intn(3); which == 0 {
					m.restoreHome()
				} else if m.restoreFollower(); which == 1 { // both at the same time
					m.restoreHome()
				}
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		// Once messages flow again, the follower has what the home has.
		home := m.home.state()
		for range 2 { // the second in case the first was an adoption in the middle of a life
			m.ask()
			for _, p := range m.sent[len(m.sent)-1] {
				var body Body = p
				if m.follower.state().Home() == nil && p.Part == p.Parts-1 {
					body = &AdoptHome{*p, true}
				}
				m.follower.do(body, m.follower.state().Now())
			}
		}
		m.check()
		if got, want := identityPicture(m.follower.state()), identityPicture(home); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: in the end\n%v\nthe home has\n%v", seed, got, want)
		}
		for _, name := range siblings {
			reached[fmt.Sprintf("a sibling is accepted %t", m.follower.state().AcceptsSessionsOf(name))]++
		}
		for _, p := range m.sent {
			reached[fmt.Sprintf("full %t, several parts %t, gone %t", p[0].Full, len(p) > 1, len(p[0].Rows.Gone) > 0)]++
		}
	}
	for _, want := range []string{"a sibling is accepted true", "a sibling is accepted false", "full true, several parts true, gone false", "full false, several parts true, gone true", "full false, several parts false, gone false"} {
		if reached[want] == 0 {
			t.Errorf("nothing was tried with %s: %v", want, reached)
		}
	}
}

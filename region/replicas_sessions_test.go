package region

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/envelope"
	"github.com/trentkms/trent/region/multiregion"
)

// awaitSessionKey waits until a region has the session key that another one seals with, and returns its id.
func (f *regionsLab) awaitSessionKey(region, of string) []byte {
	f.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if k := f.labs[of].node.State().SealingKey(); k != nil && f.labs[region].node.State().SessionKey(of, k.ID) != nil {
			return k.ID
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%s does not know the session key of %s", region, of)
		}
	}
}

// session makes a session of the root user, whose access key all regions of the lab have.
func (f *regionsLab) session(region string) *SessionCredentials {
	f.t.Helper()
	l := f.labs[region]
	now := l.service.Now()
	cred, _, err := l.service.sealSession(f.t.Context(), l.node.State(), &Session{
		Kind: PrincipalRoot, Account: labAccount, Principal: RootPrincipal, Parent: "AKIAIOSFODNN7EXAMPLE", Name: "of " + region,
		Issued: now, Expires: now.Add(time.Hour),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return cred
}

// open opens a session in a region; nil if the region does not accept it.
func (f *regionsLab) open(region string, c *SessionCredentials) *Session {
	f.t.Helper()
	l := f.labs[region]
	s, secret, err := l.service.OpenSession(f.t.Context(), l.node.State(), c.AccessKeyID, c.SessionToken)
	switch {
	case errors.Is(err, ErrSessionToken):
		return nil
	case err != nil:
		f.t.Fatal(err)
	case !bytes.Equal(secret.Bytes(), c.SecretAccessKey.Bytes()):
		f.t.Errorf("%s: the session has another secret", region)
	}
	return s
}

// foreignSessions: a region that keys alone are shared with makes no sessions for others. Afterwards regions A and C follow region B, and
// accept each other's sessions for as long as B names them.
func (f *regionsLab) foreignSessions(t *testing.T) {
	f.sameTime()
	for region := range f.labs {
		f.awaitSessionKeys(region)
	}
	for from := range f.labs {
		cred := f.session(from)
		for to := range f.labs {
			if accepted := f.open(to, cred) != nil; accepted != (from == to) {
				t.Errorf("regions that share keys alone: %s accepts a root session of %s: %v", to, from, accepted)
			}
		}
	}
	for _, follower := range []string{regionA, regionC} {
		if err := f.labs[regionB].service.ShareIdentities(t.Context(), follower, true); err != nil {
			t.Fatal(err)
		}
		if _, err := f.labs[follower].service.AdoptHome(t.Context(), regionB, false, true); err != nil {
			t.Fatal(err)
		}
		f.awaitSessionKey(regionB, follower)
		f.awaitSessionKey(follower, regionB)
		if follower == regionA {
			f.isolated(t, regionC)
		}
	}
	f.awaitSessionKey(regionA, regionC)
	f.awaitSessionKey(regionC, regionA)
	opened := map[string]*Session{}
	for from := range f.labs {
		cred := f.session(from)
		for to := range f.labs {
			s := f.open(to, cred)
			if s == nil || s.Ended(f.state(to)) {
				t.Fatalf("with home %s, %s does not accept a session of %s", regionB, to, from)
			}
			if from == regionC {
				opened[to] = s
			}
		}
	}
	f.onlyTheHomeNames(t)

	// A session that is in use ends when its region may not follow any more: at home at once, elsewhere with the news.
	b := f.labs[regionB].service
	if err := b.ShareIdentities(t.Context(), regionC, false); err != nil {
		t.Fatal(err)
	}
	if !opened[regionB].Ended(f.state(regionB)) {
		t.Error("a session of a region that may not follow any more is accepted")
	}
	for deadline := time.Now().Add(20 * time.Second); !opened[regionA].Ended(f.state(regionA)); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a session of a region that may not follow the home any more is accepted in another one that does")
		}
	}
	f.isolated(t, regionC)
	if err := b.ShareIdentities(t.Context(), regionC, true); err != nil {
		t.Fatal(err)
	}
	f.awaitSessionKey(regionB, regionC)
	f.awaitSessionKey(regionA, regionC)
}

// isolated checks that no other region accepts what one makes that does not follow their home.
func (f *regionsLab) isolated(t *testing.T, region string) {
	t.Helper()
	cred := f.session(region)
	for to := range f.labs {
		if to != region && f.open(to, cred) != nil {
			t.Errorf("%s accepts a session of %s, which does not follow its home", to, region)
		}
	}
}

// onlyTheHomeNames: what another region that follows signs of who follows is not the home's.
func (f *regionsLab) onlyTheHomeNames(t *testing.T) {
	a, st, nonce, told := f.labs[regionA].service, f.state(regionA), bytes.Repeat([]byte{7}, 32), []byte("these follow")
	for by, good := range map[string]bool{regionB: true, regionC: false} {
		signature, err := f.labs[by].service.SignIdentities(t.Context(), f.state(by), f.state(by).OtherRegion(regionA), nonce, told)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.VerifyIdentities(st, st.OtherRegion(regionB), nonce, told, signature); (err == nil) != good {
			t.Errorf("signed by %s: %v", by, err)
		}
	}
}

// sameTime ends differences between the regions' clocks.
func (f *regionsLab) sameTime() {
	f.t.Helper()
	var latest int64
	for _, l := range f.labs {
		latest = max(latest, l.ahead.Load())
	}
	latest += int64(2 * sessionKeyLead) // for the session keys that are made meanwhile
	for region, l := range f.labs {
		l.pass(time.Duration(latest - l.ahead.Load()))
		f.propose(region, &fsm.TermStart{Node: "clock"})
	}
}

// awaitSessionKeys waits until a region has been handed the session keys that the others seal with, whether or not it accepts them.
func (f *regionsLab) awaitSessionKeys(region string) {
	f.t.Helper()
	for of, l := range f.labs {
		for deadline := time.Now().Add(20 * time.Second); of != region; time.Sleep(5 * time.Millisecond) {
			k := l.node.State().SealingKey()
			if k != nil && slices.ContainsFunc(f.state(region).OtherRegion(of).Sessions, func(o fsm.SessionKey) bool { return bytes.Equal(o.ID, k.ID) }) {
				break
			}
			if time.Now().After(deadline) {
				f.t.Fatalf("%s has not got the session key of %s", region, of)
			}
		}
	}
}

// forgedSessions: a region that may make sessions says in them what regions say, or is not believed.
func (f *regionsLab) forgedSessions(t *testing.T) {
	f.newUser(regionB, "ann")
	ann := f.newAccessKey(regionB, "ann").AccessKeyID
	role, err := perform(f.labs[regionB], "CreateRole", (*Service).CreateRole, &CreateRoleInput{Path: "/", RoleName: "ops", MaxSessionDuration: 3600,
		AssumeRolePolicyDocument: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + labAccount + `"},"Action":"sts:AssumeRole"}}`})
	must(f.labs[regionB], role, err)
	st, now := f.state(regionB), f.labs[regionB].service.Now()
	user, ops := st.IdentityNamed(labAccount, fsm.IdentityUser, "ann").ID, st.IdentityNamed(labAccount, fsm.IdentityRole, "ops").ID
	const root, other = "AKIAIOSFODNN7EXAMPLE", "999988887777"
	of := func(kind PrincipalKind, principal, parent string) Session {
		return Session{Kind: kind, Account: labAccount, Principal: principal, Parent: parent, Name: "s", Issued: now, Expires: now.Add(time.Hour)}
	}
	with := func(s Session, change func(*Session)) Session { change(&s); return s }
	asRoot := of(PrincipalRoot, RootPrincipal, root)
	federated := &Federation{Account: labAccount, URL: "https://idp.example", ID: "1"}
	for _, c := range []struct {
		what string
		s    Session
		good bool
	}{
		{"the root user", asRoot, true},
		{"a user", of(PrincipalUser, user, ann), true},
		{"a user's role", of(PrincipalRoleSession, ops, ann), true},
		{"clocks that differ", with(asRoot, func(s *Session) { s.Issued = now.Add(4 * time.Minute) }), true},
		{"the longest session", with(asRoot, func(s *Session) { s.Expires = now.Add(36 * time.Hour) }), true},

		{"issued later", with(asRoot, func(s *Session) { s.Issued, s.Expires = now.Add(7*time.Minute), now.Add(time.Hour) }), false},
		{"too long", with(asRoot, func(s *Session) { s.Expires = now.Add(36*time.Hour + time.Millisecond) }), false},
		{"without end", with(asRoot, func(s *Session) { s.Expires = time.UnixMilli(1<<63 - 1) }), false},
		{"longer than numbers are", with(asRoot, func(s *Session) { s.Issued, s.Expires = time.UnixMilli(-1<<62), time.UnixMilli(1<<62+1) }), false},
		{"over before it begins", with(asRoot, func(s *Session) { s.Expires = now.Add(-time.Hour) }), false},
		{"a role session of the root user", of(PrincipalRoleSession, RootPrincipal, ann), false},
		{"a user session of the root user", of(PrincipalUser, RootPrincipal, root), false},
		{"a root session of a user", of(PrincipalRoot, user, ann), false},
		{"a user session of a role", of(PrincipalUser, ops, ann), false},
		{"a role session of a user", of(PrincipalRoleSession, user, ann), false},
		{"no kind", of(0, user, ann), false},
		{"a service", of(PrincipalService, user, ann), false},
		{"nobody", of(PrincipalUser, "AIDANOBODY", ann), false},
		{"the root user of another account", with(asRoot, func(s *Session) { s.Account = other }), false},
		{"a user of another account", with(of(PrincipalUser, user, ann), func(s *Session) { s.Account = other }), false},
		{"a role of another account", with(of(PrincipalRoleSession, ops, ann), func(s *Session) { s.Account = other }), false},
		{"the root user by a user's access key", of(PrincipalRoot, RootPrincipal, ann), false},
		{"a user by another's access key", of(PrincipalUser, user, root), false},
		{"a role by the root user's access key", of(PrincipalRoleSession, ops, root), false},
		{"an access key that is not there", of(PrincipalUser, user, "AKIANOBODY"), false},
		{"no beginning", of(PrincipalRoleSession, ops, ""), false},
		{"two beginnings", with(of(PrincipalRoleSession, ops, ann), func(s *Session) { s.Federation = federated }), false},
		{"a user by a provider", with(of(PrincipalUser, user, ""), func(s *Session) { s.Federation = federated }), false},
		{"the root user by a provider", with(of(PrincipalRoot, RootPrincipal, ""), func(s *Session) { s.Federation = federated }), false},
	} {
		from := f.labs[regionA]
		cred, _, err := from.service.sealSession(t.Context(), from.node.State(), &c.s)
		if err != nil {
			t.Fatal(err)
		}
		s := f.open(regionB, cred)
		if good := s != nil && !s.Ended(f.state(regionB)); good != c.good {
			t.Errorf("%s: accepted %v", c.what, good)
		}
	}
}

// sessions: what one region has sealed all open, as long as it is what that region has sealed. Region B is the home of the others.
func (f *regionsLab) sessions(t *testing.T) {
	a, b := f.labs[regionA], f.labs[regionB]
	for region, l := range f.labs {
		s := f.open(region, f.session(regionB))
		if s == nil || s.Name != "of "+regionB || s.Ended(l.node.State()) {
			t.Errorf("%s does not accept the session: %+v", region, s)
		}
	}
	cred := f.session(regionA)
	other := *cred
	other.AccessKeyID = "ASIAIOSFODNN7EXAMPLE"
	if f.open(regionB, &other) != nil {
		t.Error("a token is good for another access key")
	}
	raw, err := base64.StdEncoding.DecodeString(cred.SessionToken)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		changed := slices.Clone(raw)
		changed[i] ^= 1
		other := *cred
		other.SessionToken = base64.StdEncoding.EncodeToString(changed)
		if f.open(regionB, &other) != nil {
			t.Errorf("a token is good with byte %d changed", i)
		}
	}

	// A region that can open the tokens of another one can make none.
	st := b.node.State()
	k := st.OtherRegion(regionA).Sessions[0]
	sealed, err := envelope.SealSecret(t.Context(), b.service.sessionKeyPRF(st, regionA, &k), sessionBinding(regionA, cred.AccessKeyID), []byte{0xa0})
	if err != nil {
		t.Fatal(err)
	}
	head := slices.Concat([]byte(sessionMagic2), []byte{byte(len(regionA))}, []byte(regionA), k.ID)
	signature, err := b.service.signToken(t.Context(), st, cred.AccessKeyID, slices.Concat(head, sealed))
	if err != nil {
		t.Fatal(err)
	}
	forged := *cred
	forged.SessionToken = base64.StdEncoding.EncodeToString(slices.Concat(head, []byte{byte(len(signature))}, signature, sealed))
	for region := range f.labs {
		if f.open(region, &forged) != nil {
			t.Errorf("%s accepts a token of %s that %s has made", region, regionA, regionB)
		}
	}

	// Another key takes its turn a minute after it was made; what the last one has sealed stays good.
	was := a.node.State().SealingKey().ID
	b.pass(8 * day)
	f.labs[regionC].pass(8 * day)
	age := a.service.Now().Sub(time.UnixMilli(a.node.State().OwnSessionKeys()[0].CreatedAt))
	a.pass(sessionKeyLife - age - time.Hour)
	a.pass(2 * time.Hour) // the key is due from this moment on, and no time passes after it
	for deadline := time.Now().Add(20 * time.Second); len(b.node.State().OtherRegion(regionA).Sessions) < 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a region does not hand out its next session key")
		}
	}
	if now := a.node.State().SealingKey(); now == nil || !bytes.Equal(now.ID, was) {
		t.Error("a region seals with a key that others may not have yet")
	}
	f.sameTime()
	if now := f.awaitSessionKey(regionB, regionA); bytes.Equal(now, was) || f.open(regionB, f.session(regionA)) == nil || f.open(regionB, cred) == nil {
		t.Error("not both session keys are good")
	}
}

// sessionsAreBound: a bundle of session keys is good for one request of one region in one incarnation.
func (f *regionsLab) sessionsAreBound(t *testing.T) {
	a, b := f.labs[regionA], f.labs[regionB]
	f.awaitSessionKey(regionB, regionA)
	st, nonce := a.node.State(), bytes.Repeat([]byte{1}, 32)
	bundle := func() *multiregion.SessionBundle {
		got, err := a.service.HandOutSessionKeys(t.Context(), st, st.OtherRegion(regionB), nonce)
		if err != nil || len(got.Items) == 0 {
			t.Fatal(got, err)
		}
		return got
	}
	bst := b.node.State()
	from := bst.OtherRegion(regionA)
	take := func(from *fsm.OtherRegion, nonce []byte, x *multiregion.SessionBundle) error {
		_, err := b.service.TakeInSessionKeys(t.Context(), bst, from, nonce, x)
		return err
	}
	if err := take(from, nonce, bundle()); err != nil {
		t.Fatal(err)
	}
	older := *from
	older.Incarnation--
	if take(&older, nonce, bundle()) == nil || take(from, bytes.Repeat([]byte{2}, 32), bundle()) == nil {
		t.Error("a bundle of another incarnation or request is taken")
	}
	for name, change := range map[string]func(*multiregion.SessionBundle){
		"id":      func(x *multiregion.SessionBundle) { x.Items[0].ID[0] ^= 1 },
		"wrapped": func(x *multiregion.SessionBundle) { x.Items[0].Wrapped[400] ^= 1 },
		"end":     func(x *multiregion.SessionBundle) { x.Items[0].Until++ },
		"date":    func(x *multiregion.SessionBundle) { x.Items[0].CreatedAt++ },
		"use":     func(x *multiregion.SessionBundle) { x.Items[0].UseFrom++ },
		"none":    func(x *multiregion.SessionBundle) { x.Items = nil },
		"signed":  func(x *multiregion.SessionBundle) { x.Signature[8] ^= 1 },
	} {
		x := bundle()
		x.Items[0].ID = slices.Clone(x.Items[0].ID)
		change(x)
		if take(from, nonce, x) == nil {
			t.Errorf("a bundle with another %s is taken", name)
		}
	}
	c := f.labs[regionC]
	if _, err := c.service.TakeInSessionKeys(t.Context(), c.node.State(), c.node.State().OtherRegion(regionA), nonce, bundle()); err == nil {
		t.Error("a bundle for another region is taken")
	}
}

// sessionsEnd: a region that was forgotten, and a region's earlier life, have no say in who is authenticated; the keys that they had are
// not sealed with any more. It loses the region A.
func (f *regionsLab) sessionsEnd(t *testing.T) {
	b, c := f.labs[regionB], f.labs[regionC]
	f.awaitSessionKey(regionB, regionA)
	f.awaitSessionKey(regionB, regionC)
	of := map[string]*SessionCredentials{regionA: f.session(regionA), regionC: f.session(regionC)}
	opened := map[string]*Session{}
	for name, cred := range of {
		if opened[name] = f.open(regionB, cred); opened[name] == nil {
			t.Fatalf("a session of %s is not accepted", name)
		}
	}
	was := b.node.State().SealingKey().ID
	f.forgotten(t)
	if f.open(regionB, of[regionA]) != nil || !opened[regionA].Ended(b.node.State()) {
		t.Error("a session of a region that was forgotten is accepted")
	}
	if now := f.awaitSessionKey(regionC, regionB); bytes.Equal(now, was) {
		t.Error("a region seals with a key that a forgotten region has")
	}

	life := c.node.State().Region().Incarnation() + 1
	old := c.node.State().SealingKey().ID
	f.propose(regionC, &fsm.BeginIncarnation{Incarnation: life, ClusterID: "restored"})
	if f.open(regionC, of[regionC]) != nil {
		t.Error("a restored region accepts a session of its earlier life")
	}
	if now := f.awaitSessionKey(regionB, regionC); bytes.Equal(now, old) || f.open(regionB, of[regionC]) != nil || !opened[regionC].Ended(b.node.State()) {
		t.Error("a session of the earlier life of a region is accepted")
	}
	if f.open(regionB, f.session(regionC)) == nil {
		t.Error("a session of a restored region is not accepted")
	}
}

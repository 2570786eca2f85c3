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

// sessions: what one region has sealed all open, as long as it is what that region has sealed.
func (f *regionsLab) sessions(t *testing.T) {
	a, b := f.labs[regionA], f.labs[regionB]
	f.awaitSessionKey(regionB, regionA)
	f.awaitSessionKey(regionC, regionA)
	cred := f.session(regionA)
	for region, l := range f.labs {
		if s := f.open(region, cred); s == nil || s.Name != "of "+regionA || s.Ended(l.node.State()) {
			t.Errorf("%s does not accept the session: %+v", region, s)
		}
	}
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
	a.pass(8 * day)
	for deadline := time.Now().Add(20 * time.Second); len(b.node.State().OtherRegion(regionA).Sessions) < 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a region does not hand out its next session key")
		}
	}
	if now := a.node.State().SealingKey(); now == nil || !bytes.Equal(now.ID, was) {
		t.Error("a region seals with a key that others may not have yet")
	}
	a.pass(2 * sessionKeyLead)
	f.propose(regionA, &fsm.TermStart{Node: "clock"})
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

package fsm

import (
	"bytes"
	"testing"
)

func sessionKey(n byte, incarnation uint64, useFrom int64) SessionKey {
	return SessionKey{ID: bytes.Repeat([]byte{n}, SessionKeySize), Incarnation: incarnation, Domain: 1, Blob: []byte{n}, CreatedAt: 1, UseFrom: useFrom}
}

// accepted tells which of the session keys 1 to 9 of a region are accepted.
func (l *lab) accepted(region string) (ids string) {
	for n := byte(1); n < 10; n++ {
		if l.state().SessionKey(region, bytes.Repeat([]byte{n}, SessionKeySize)) != nil {
			ids += string('0' + rune(n))
		}
	}
	return ids
}

func (l *lab) seals() (id string) {
	if k := l.state().SealingKey(); k != nil {
		id = string('0' + rune(k.ID[0]))
	}
	return id
}

// TestSessionKeys: a region's session keys take turns, are accepted while anything they have sealed can be in use, and no longer once
// the regions have parted or one has begun anew.
func TestSessionKeys(t *testing.T) {
	l := newRotated(t)
	other := func(name string, incarnation uint64) *PutOtherRegion {
		return &PutOtherRegion{Region: OtherRegion{Name: name, ClusterID: "c", Incarnation: incarnation, CA: []byte{1}, Transport: []byte{1}, Mechanism: 4, Signing: []byte{1}, State: RegionFederated}}
	}
	in := l.state().Region().Incarnation()
	pair := RegionPair{Public: []byte{1}, Blob: []byte{2}}
	l.refused(&PutSessionKey{sessionKey(1, in, now0)}, now0, Conflict, "the region has no key pairs towards others")
	l.ok(&PutRegionKeys{Keys: RegionKeys{Domain: 1, Transport: pair, Mechanism: 4, Signing: RegionPair{Public: []byte{3}, Blob: []byte{4}}}})
	l.ok(other("eu-west-1", 7))
	l.ok(other("ap-south-1", 8))
	l.ok(&AllowFollower{"ap-south-1", true})
	l.ok(&PutFollower{"ap-south-1", 8, true})

	// The first is used at once, the second from its time on; the first stays as long as a session can last.
	eq(t, "seals", l.seals(), "")
	l.ok(&PutSessionKey{sessionKey(1, in, now0)})
	l.refused(&PutSessionKey{sessionKey(1, in, now0)}, now0, Stale, "the region has the session key")
	l.refused(&PutSessionKey{sessionKey(2, in+1, now0)}, now0, Stale, "the region has begun a new incarnation")
	l.ok(&PutSessionKey{sessionKey(2, in, now0+1000)})
	eq(t, "seals", l.seals(), "1")
	eq(t, "accepted", l.accepted("us-east-1"), "12")
	l.do(&TermStart{"n"}, now0+1000)
	eq(t, "seals", l.seals(), "2")
	l.do(&TermStart{"n"}, now0+1000+SessionTail)
	eq(t, "accepted", l.accepted("us-east-1"), "2")

	// Those of others: replaced as a whole, for their present incarnation.
	l.ok(&TakeSessionKeys{"eu-west-1", 7, []SessionKey{sessionKey(3, 7, now0), sessionKey(4, 7, now0)}})
	l.refused(&TakeSessionKeys{"eu-west-1", 7, []SessionKey{sessionKey(3, 7, now0), sessionKey(4, 7, now0)}}, now0, Conflict, "nothing new")
	l.refused(&TakeSessionKeys{"eu-west-1", 6, []SessionKey{sessionKey(5, 6, now0)}}, now0, Conflict, "the region has begun a new incarnation")
	l.refused(&TakeSessionKeys{"sa-east-1", 7, []SessionKey{sessionKey(5, 7, now0)}}, now0, Conflict, "the region is not federated")
	eq(t, "accepted of a region that shares keys alone", l.accepted("eu-west-1"), "")
	l.ok(&AllowFollower{"eu-west-1", true})
	eq(t, "accepted of a region that may follow and does not", l.accepted("eu-west-1"), "")
	l.ok(&PutFollower{"eu-west-1", 7, true})
	eq(t, "accepted", l.accepted("eu-west-1"), "34")
	l.ok(&AllowFollower{"eu-west-1", false})
	eq(t, "accepted of a region that may not follow any more", l.accepted("eu-west-1"), "")
	l.ok(&AllowFollower{"eu-west-1", true})
	l.ok(&PutFollower{"eu-west-1", 7, true})

	// However another region dates its keys, none is good for ever.
	l.ok(&TakeSessionKeys{"eu-west-1", 7, []SessionKey{
		sessionKey(3, 7, now0+MaxSessionKeyLead+2*SessionTail), sessionKey(4, 7, now0), sessionKey(5, 7, now0-MaxSessionKeyUse),
	}})
	eq(t, "accepted", l.accepted("eu-west-1"), "4")
	eq(t, "of another region", l.accepted("ap-south-1"), "")
	l.ok(&TakeSessionKeys{"eu-west-1", 7, []SessionKey{sessionKey(4, 7, now0)}})
	eq(t, "accepted", l.accepted("eu-west-1"), "4")

	// Everything goes over to another domain key version.
	l.ok(&TakeSessionKeys{"ap-south-1", 8, []SessionKey{sessionKey(6, 8, now0), sessionKey(7, 8, now0)}})
	l.ok(&BeginRotation{DomainKey: version(2, "node-1", "node-2"), Total: 5})
	l.ok(&AdvanceRotation{2, RotationRewrapping})
	l.ok(rewrapAll(l.state(), 2))
	for _, keys := range [][]SessionKey{l.state().OwnSessionKeys(), l.state().OtherRegion("eu-west-1").Sessions, l.state().OtherRegion("ap-south-1").Sessions} {
		for _, k := range keys {
			if k.Domain != 2 || string(k.Blob) != "under 2" {
				t.Errorf("session key %x is under version %d", k.ID, k.Domain)
			}
		}
	}
	l.ok(&AdvanceRotation{2, RotationDone})

	// A region that is known to have begun anew has to hand out its keys again; one that was parted with or is lost has no say, and the
	// keys that it had are not sealed with any more.
	eq(t, "seals", l.seals(), "2")
	l.ok(&MarkFeed{Region: "eu-west-1", Incarnation: 9})
	eq(t, "accepted", l.accepted("eu-west-1"), "")
	l.ok(&AllowFollower{"eu-west-1", false})
	l.ok(&DropRegion{"eu-west-1"})
	eq(t, "seals", l.seals(), "")
	eq(t, "accepted", l.accepted("us-east-1"), "2")
	l.ok(&PutSessionKey{inDomain(2, sessionKey(8, in, now0))})
	eq(t, "seals", l.seals(), "8")
	l.ok(&ForgetRegion{"ap-south-1", 1_000_000})
	eq(t, "accepted", l.accepted("ap-south-1")+l.accepted("eu-west-1"), "")
	eq(t, "seals", l.seals(), "")

	// This region begins anew.
	l.ok(&PutSessionKey{inDomain(2, sessionKey(9, in, now0))})
	l.ok(&BeginIncarnation{in + 1, "cluster-9"})
	eq(t, "accepted", l.accepted("us-east-1")+l.seals(), "")
	checkInvariants(t, l.state())
}

func inDomain(version uint32, k SessionKey) SessionKey {
	k.Domain = version
	return k
}

// TestNobodyTakesTheNameOfAFederatedRegion: whoever brings a token in the name of a region that is federated gets what that region has been
// allowed only with its signing key.
func TestNobodyTakesTheNameOfAFederatedRegion(t *testing.T) {
	const name = "eu-west-1"
	row := func(signing byte, incarnation uint64) OtherRegion {
		return OtherRegion{
			Name: name, ClusterID: "c", Incarnation: incarnation, CA: []byte{signing}, Transport: []byte{1}, Mechanism: 4, Signing: []byte{signing}, State: RegionFederated,
		}
	}
	l := newRegion(t)
	token := func(n byte) []byte {
		digest := DigestRegionToken(name, []byte{n})
		l.ok(&PutJoinToken{Token: JoinToken{Digest: digest, CreatedAt: now0, ExpiresAt: now0 + 100_000}})
		return digest
	}
	first, second := token(1), token(2)
	l.ok(&AdmitRegion{Digest: first, Region: row(1, 8)})
	l.ok(&AllowFollower{name, true})
	l.ok(&PutFollower{name, 8, true})
	l.ok(&TakeSessionKeys{name, 8, []SessionKey{sessionKey(3, 8, now0)}})
	was := func() uint64 { return l.state().OtherRegion(name).Version }
	for _, incarnation := range []uint64{8, 9} {
		l.refused(&AdmitRegion{Digest: second, Region: row(2, incarnation), Was: was()}, now0, Conflict, RefusedSigning)
		l.refused(&PutOtherRegion{Region: row(2, incarnation), Was: was()}, now0, Conflict, RefusedSigning)
	}
	l.ok(&AdmitRegion{Digest: second, Region: row(1, 9), Was: was()}) // the region itself, in its next life
	l.ok(&PutFollower{name, 9, false})
	l.ok(&DropRegion{name})
	l.ok(&PutOtherRegion{Region: row(2, 9)})
	if o := l.state().OtherRegion(name); o.Allowed || o.Follows || len(o.Sessions) > 0 {
		t.Errorf("what another region of that name had been allowed is its: %+v", o)
	}
}

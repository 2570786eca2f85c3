package fsm

import (
	"bytes"
	"fmt"
	"slices"
)

// goldenSetBodies are the golden bodies about other regions and multi-Region keys.
func goldenSetBodies() []Body {
	ref := KeyRef{"111122223333", "key-1"}
	pair := RegionPair{[]byte{0x21}, []byte{0x22}, 2}
	fresh := &NewReplica{"{}", []PolicyPrincipal{{"arn:aws:iam::111122223333:user/u", "AIDA1"}}, "d", []Tag{{"k", "v"}}, []byte("{}")}
	member := Member{"eu-west-1", 5, fresh, SetVersion{1, 2}, 6, []byte{0x23}, true}
	material := Material{
		ID: []byte{0xa1, 0xa2}, Domain: 3, Blob: []byte{0xb1}, Public: []byte{0xc1}, State: MaterialCurrent,
		AddedAt: 1001, RotatedAt: 1002, RotationType: "AUTOMATIC", Expires: true, ExpiresAt: 1003, Description: "first",
	}
	return []Body{
		&PutRegionKeys{RegionKeys{1, pair, 4, pair, nil}, true},
		&PutOtherRegion{OtherRegion{
			Name: "eu-west-1", ClusterID: "cluster-2", Incarnation: 7, CA: []byte{0x24}, Addresses: []string{"host:1"}, Transport: []byte{0x25},
			Mechanism: 4, Signing: []byte{0x26}, State: RegionFederated, CreatedAt: 1021, Version: 19,
		}, 20},
		&ForgetRegion{"eu-west-1", 1_000_000},
		&BeginIncarnation{8, "cluster-3"},
		&MarkFeed{"eu-west-1", 9, 10, true, 11, 12, nil},
		&AdmitRegion{bytes.Repeat([]byte{0x31}, 32), OtherRegion{
			Name: "ap-south-1", ClusterID: "cluster-3", Incarnation: 8, CA: []byte{0x27}, Addresses: []string{"host:2"}, Transport: []byte{0x28},
			Mechanism: 4, Signing: []byte{0x29}, State: RegionFederated, CreatedAt: 1022, Version: 21,
		}, 22},
		&DropRegion{"ap-south-1"},
		&PutSessionKey{SessionKey{bytes.Repeat([]byte{0x32}, 16), 9, 1, []byte{0x33}, 1023, 1024, 0}},
		&TakeSessionKeys{"eu-west-1", 9, []SessionKey{{bytes.Repeat([]byte{0x34}, 16), 9, 1, []byte{0x35}, 1025, 1026, 1027}}},
		&AddReplica{ref, "eu-west-1", *fresh},
		&MovePrimary{ref, "eu-west-1", []byte("{}")},
		&ScheduleSetDeletion{ref, 7},
		&SyncKeys{"eu-west-1", 9, []KeyDoc{{
			Account: ref.Account, ID: ref.ID, Version: SetVersion{1, 3}, Primary: "eu-west-1", Members: []Member{member}, Spec: "SYMMETRIC_DEFAULT",
			Usage: "ENCRYPT_DECRYPT", Origin: "AWS_KMS", Materials: []Material{material}, SpreadType: "ON_DEMAND", Rotation: &Rotation{true, 365, 1009},
			OnDemand: 2, Handover: []byte{0x27}, Since: 4, Creating: true, Holding: []byte{0xa1}, Gone: false,
		}}},
		&TendKeys{[]KeyRef{ref}},
		&DropEnds{[]EndRef{{ref.Account, ref.ID, 13}}},
	}
}

// setBody draws a body about other regions and multi-Region keys. The region is us-east-1.
func (c chance) setBody(ref KeyRef, k *Key) Body {
	other := []string{"eu-west-1", "ap-south-1", "sa-east-1"}[c.Intn(3)]
	incarnation := uint64(c.Intn(2) + 1)
	row := c.s.OtherRegion(other)
	if row != nil && c.Intn(4) > 0 {
		incarnation = row.Incarnation
	}
	switch c.Intn(22) {
	case 18:
		return &PutSessionKey{SessionKey{c.sessionID(), c.s.Region().Incarnation(), 1, []byte{9}, 1, c.s.Now() + int64(c.Intn(2)), 0}}
	case 19:
		b := &TakeSessionKeys{other, incarnation, []SessionKey{{c.sessionID(), incarnation, 1, []byte{9}, 1, 2, int64(c.Intn(2)) << 50}}}
		if c.Intn(4) == 0 {
			b.Keys = nil
		}
		return b
	case 0:
		return &PutRegionKeys{RegionKeys{1, RegionPair{[]byte{1}, []byte{2}, 0}, 4, RegionPair{[]byte{3}, []byte{4}, 0}, nil}, c.flag()}
	case 1, 2:
		o := OtherRegion{Name: other, ClusterID: "c", Incarnation: uint64(c.Intn(3) + 1), CA: []byte{1}, Transport: []byte{1}, Mechanism: 4, Signing: []byte{1}, State: RegionFederated}
		b := &PutOtherRegion{Region: o}
		if row != nil {
			b.Was = row.Version
			if row.State == RegionForgotten {
				b.Region.Incarnation = row.Incarnation + 1
			}
		}
		return b
	case 3:
		if c.Intn(3) > 0 {
			break
		}
		return &ForgetRegion{other, c.s.Fenced() + uint64(c.Intn(2))*100 + 1}
	case 4:
		if c.Intn(20) > 0 {
			break
		}
		return &BeginIncarnation{c.s.Region().Incarnation() + uint64(c.Intn(2)), "cluster"}
	case 5, 6:
		b := &MarkFeed{Region: other, Incarnation: incarnation, Position: uint64(c.Intn(50))}
		if c.flag() {
			b.Heard, b.HeardIn, b.Forgets, b.Lives = true, c.s.Region().Incarnation(), c.s.Forgets(), c.s.Lives()
		}
		return b
	case 7, 8:
		return &AddReplica{ref, other, NewReplica{Policy: policy1}}
	case 9:
		for led := range c.led() {
			return &MovePrimary{led, other, nil}
		}
	case 10:
		for led := range c.led() {
			if c.Intn(3) == 0 {
				return &ScheduleSetDeletion{led, 7}
			}
		}
	case 11, 13:
		for led := range c.led() {
			if c.flag() {
				return &TendKeys{[]KeyRef{led}}
			}
		}
		return &TendKeys{[]KeyRef{ref}}
	case 12:
		if e := c.s.ReplicaEnd(ref.Account, ref.ID); e != nil && c.Intn(6) > 0 {
			return &DropEnds{[]EndRef{{e.Account, e.ID, e.ChangedAt}}}
		}
	case 16:
		return c.admitRegion(other, row)
	case 17:
		if c.Intn(6) == 0 {
			return &DropRegion{other}
		}
	case 20, 21:
		return c.homeBody(other, incarnation)
	}
	return &SyncKeys{other, incarnation, []KeyDoc{c.keyDoc(ref, k, other)}}
}

// sessionID draws one of a few ids.
func (c chance) sessionID() []byte { return bytes.Repeat([]byte{byte(c.Intn(8))}, SessionKeySize) }

// admitRegion draws a region's token, or what uses one. The secret is always the same, so that a token is met again.
func (c chance) admitRegion(other string, row *OtherRegion) Body {
	digest := DigestRegionToken(other, []byte("secret"))
	if c.s.JoinToken(digest) == nil {
		return &PutJoinToken{JoinToken{Digest: digest, CreatedAt: 1, ExpiresAt: 1 << 50}}
	}
	b := &AdmitRegion{Digest: digest, Region: OtherRegion{
		Name: other, ClusterID: "c", Incarnation: uint64(c.Intn(3) + 1), CA: []byte{1}, Transport: []byte{1}, Mechanism: 4, Signing: []byte{byte(c.Intn(2) + 1)}, State: RegionFederated,
	}}
	if row != nil {
		b.Was = row.Version
	}
	return b
}

// led yields the primaries that have replicas.
func (c chance) led() func(yield func(KeyRef) bool) {
	return func(yield func(KeyRef) bool) {
		for k := range c.s.SetChanges(0, KeyRef{}) {
			if k.waitsForReplicas() && !yield(KeyRef{k.Account, k.ID}) {
				return
			}
		}
	}
}

// keyDoc draws what another region could say: often a version close to what is known.
func (c chance) keyDoc(ref KeyRef, k *Key, other string) KeyDoc {
	d := KeyDoc{
		Account: ref.Account, ID: ref.ID, Version: SetVersion{1, uint64(c.Intn(9))}, Primary: other, Spec: "SYMMETRIC_DEFAULT",
		Usage: "ENCRYPT_DECRYPT", Origin: "AWS_KMS", Current: 0, Since: uint64(c.Intn(3) + 1),
		Members: []Member{{Region: other, Since: 1}, {Region: "us-east-1", Since: uint64(c.Intn(3) + 1), New: &NewReplica{Policy: policy1, Tags: c.tags()}}},
	}
	m := c.material(MaterialCurrent)
	m.Expires, m.ExpiresAt = false, 0
	d.Materials = []Material{m}
	if s := k.Set; s != nil {
		if own := c.s.Doc(k); c.Intn(3) > 0 {
			d, d.Version = *own, s.Version
			d.Creating = false
			d.Materials = slices.Clone(own.Materials)
			for i := range d.Materials {
				d.Materials[i].Domain, d.Materials[i].Blob = 1, fmt.Append(nil, "from ", other)
			}
			if m := s.Member(other); m != nil {
				d.Since = m.Since
			}
		}
		d.Version.Index = s.Version.Index + uint64(c.Intn(3)) - 1
		d.Version.Term = s.Version.Term + uint64(c.Intn(8)/7)
		if c.Intn(3) == 0 {
			d.Primary = d.Members[c.Intn(len(d.Members))].Region
		}
		if m := s.Member(other); m != nil && c.Intn(5) == 0 {
			return KeyDoc{Account: ref.Account, ID: ref.ID, Version: s.Version, Since: m.Since, Gone: true}
		}
	}
	return d
}

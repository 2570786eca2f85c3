package fsm

import (
	"errors"
	"fmt"
)

// KeyDoc is what one region tells another of a multi-Region key: what it knows of the shared properties, and how things stand
// with its own key. It is what a region has to say at one index, so that a later one replaces an earlier one.
type KeyDoc struct {
	Account string `cbor:"1,keyasint"`
	ID      string `cbor:"2,keyasint"`

	// Version is the newest that the region has, with all its material unless Creating.
	Version SetVersion `cbor:"3,keyasint"`
	Primary string     `cbor:"4,keyasint,omitempty"`
	// Members are without what each region keeps for itself.
	Members []Member `cbor:"5,keyasint,omitempty"`
	Spec    string   `cbor:"6,keyasint,omitempty"`
	Usage   string   `cbor:"7,keyasint,omitempty"`
	Origin  string   `cbor:"8,keyasint,omitempty"`
	// Materials have ids, states and dates; in a command also the blobs of those that the receiver had not, wrapped under its own
	// domain key.
	Materials  []Material `cbor:"9,keyasint,omitempty"`
	Current    int        `cbor:"10,keyasint"`
	SpreadType string     `cbor:"11,keyasint,omitempty"`
	Rotation   *Rotation  `cbor:"12,keyasint,omitempty"`
	OnDemand   int        `cbor:"13,keyasint,omitempty"`

	// Handover is the audit record of the region that is to take the primary over, for it to write then.
	Handover []byte `cbor:"14,keyasint,omitempty"`

	// Since is the membership that the region's own key belongs to, 0 if it knows of none.
	Since uint64 `cbor:"20,keyasint,omitempty"`
	// Gone tells that the region has no key of this membership any more, or made none for the reason Refused. There are no
	// shared properties then, and Version is the newest that the region has seen.
	Gone    bool   `cbor:"21,keyasint,omitempty"`
	Refused string `cbor:"22,keyasint,omitempty"`
	// Creating tells that the region's replica has not all its material.
	Creating bool `cbor:"23,keyasint,omitempty"`
	// Holding is the id of the imported material pending rotation that the region has.
	Holding []byte `cbor:"24,keyasint,omitempty"`
}

// Check holds a document to what apply takes for granted. It is for whoever receives one.
func (d *KeyDoc) Check() error {
	if err := errors.Join(checkAccount(d.Account), checkName("key id", d.ID, maxID), checkLength("length of the reason", len(d.Refused), maxEnum*4)); err != nil {
		return err
	}
	if d.Gone {
		if d.Primary != "" || len(d.Members) != 0 || len(d.Materials) != 0 || d.Rotation != nil {
			return errors.New("the end of a replica with properties of a key")
		}
		return nil
	}
	if len(d.Members) < 1 || len(d.Members) > maxOtherRegions+1 {
		return fmt.Errorf("a set of %d regions", len(d.Members))
	}
	primary := false
	for i := range d.Members {
		m := &d.Members[i]
		if err := checkName("region", m.Region, maxID); err != nil {
			return err
		}
		if i > 0 && d.Members[i-1].Region >= m.Region {
			return errors.New("regions of a set are not in order")
		}
		if m.New != nil {
			if err := m.New.check(); err != nil {
				return err
			}
		}
		primary = primary || m.Region == d.Primary
	}
	if !primary {
		return errors.New("the primary is not in the set")
	}
	if d.Rotation != nil {
		if err := d.Rotation.check(); err != nil {
			return err
		}
	}
	return errors.Join(
		checkName("key spec", d.Spec, maxEnum), checkName("key usage", d.Usage, maxEnum), checkName("origin", d.Origin, maxEnum),
		checkMaterials(d.Materials, d.Current), checkLength("on-demand rotations", d.OnDemand, maxQuota),
		checkLength("length of the rotation type", len(d.SpreadType), maxEnum), checkLength("length of a material id", len(d.Holding), maxMaterialID),
		checkLength("length of the audit record", len(d.Handover), maxRecord),
	)
}

// Doc returns what this region tells others of a key of a set; nil if it is in none. It shares memory with the state.
func (s *State) Doc(k *Key) *KeyDoc {
	if k == nil || k.Set == nil || s.region == nil {
		return nil
	}
	set := k.Set
	d := &KeyDoc{
		Account: k.Account, ID: k.ID, Version: set.Version, Primary: set.Primary, Spec: k.Spec, Usage: k.Usage, Origin: k.Origin,
		Current: k.Current, SpreadType: set.SpreadType, Rotation: k.Rotation, OnDemand: k.OnDemandRotations, Creating: set.Creating,
		Handover: set.Handover,
		Members:  make([]Member, len(set.Members)), Materials: make([]Material, len(k.Materials)),
	}
	for i := range set.Members {
		m := &set.Members[i]
		d.Members[i] = Member{Region: m.Region, Since: m.Since, New: m.New}
		if m.Region == s.region.Name {
			d.Since = m.Since
		}
	}
	for i := range k.Materials {
		m := &k.Materials[i]
		d.Materials[i] = Material{ID: m.ID, Public: m.Public, State: m.State, AddedAt: m.AddedAt, RotatedAt: m.RotatedAt, RotationType: m.RotationType}
		if k.Origin == originExternal {
			d.Materials[i].Public = nil
			if m.State == MaterialPendingRotation && m.Present() {
				d.Holding = m.ID
			}
		}
	}
	return d
}

// EndDoc returns what this region tells others of the end of a replica.
func (s *State) EndDoc(e *ReplicaEnd) *KeyDoc {
	return &KeyDoc{Account: e.Account, ID: e.ID, Version: e.Seen, Since: e.Since, Gone: true, Refused: e.Refused}
}

func (d *KeyDoc) member(region string) *Member {
	for i := range d.Members {
		if d.Members[i].Region == region {
			return &d.Members[i]
		}
	}
	return nil
}

// Lacks returns the ids of the generated materials of a document that this region has to have, and has not, before it can take the
// document over.
func (s *State) Lacks(d *KeyDoc) (ids [][]byte) {
	if d.Gone || d.Origin == originExternal || s.region == nil || d.member(s.region.Name) == nil {
		return nil
	}
	k := s.key(d.Account, d.ID)
	if k == nil || k.Set == nil || d.Version.Compare(k.Set.Version) <= 0 {
		return nil
	}
	for i := range d.Materials {
		id := d.Materials[i].ID
		if j := findMaterial(k.Materials, id); j < 0 || !k.Materials[j].Present() {
			ids = append(ids, id)
		}
	}
	return ids
}

package fsm

import (
	"bytes"
	"crypto/sha256"
	"iter"
	"slices"
)

// under yields what is wrapped or sealed under versions below a domain key version: key material of the keys after the key
// after (the zero KeyRef = all), ordered by account and id, then everything else. Blob is that of the state. It looks at every
// key.
func (v *view) under(region *Region, below uint32, after KeyRef) iter.Seq[RewrapItem] {
	return func(yield func(RewrapItem) bool) {
		for k := range from[Key](v, tableKeys, indexID, past(name2(nil, after.Account, after.ID), after.ID)) {
			for i := range k.Materials {
				m := &k.Materials[i]
				if m.Present() && m.Domain < below &&
					!yield(RewrapItem{Kind: RewrapKeyMaterial, Account: k.Account, ID: k.ID, Material: m.ID, From: m.Domain, Blob: m.Blob}) {
					return
				}
			}
		}
		for a := range from[AccessKey](v, tableAccessKeys, indexID, nil) {
			if a.Domain < below && !yield(RewrapItem{Kind: RewrapAccessKey, Account: a.Account, ID: a.ID, Was: a.Version, From: a.Domain, Blob: a.Secret}) {
				return
			}
		}
		if region != nil && region.AuditKey != nil && region.AuditKey.Domain < below {
			m := region.AuditKey
			if !yield(RewrapItem{Kind: RewrapAuditKey, Material: m.ID, From: m.Domain, Blob: m.Blob}) {
				return
			}
		}
		if region != nil && region.Keys != nil {
			for _, i := range append(region.Keys.under(below), sessionItems("", region.Keys.Sessions, below)...) {
				if !yield(i) {
					return
				}
			}
		}
		for o := range v.otherRegions() {
			for _, i := range sessionItems(o.Name, o.Sessions, below) {
				if !yield(i) {
					return
				}
			}
		}
		for a := range from[Authority](v, tableAuthorities, indexID, nil) {
			if a.Domain < below && !yield(RewrapItem{Kind: RewrapAuthority, Was: uint64(a.Version), From: a.Domain, Blob: a.Key}) {
				return
			}
		}
	}
}

// UnderOlder yields what is wrapped or sealed under domain key versions below one: key material of the keys after the key after
// (the zero KeyRef = from the start), ordered by account and id, then the rest. It looks at every key. Blob is the state's and
// must not be modified.
func (s *State) UnderOlder(below uint32, after KeyRef) iter.Seq[RewrapItem] {
	return s.under(s.region, below, after)
}

// applyRewrap counts what it replaced. Several materials of one key come in one command, so that a key's changes are gathered
// before they are staged.
func applyRewrap(t *tx, c *Rewrap) outcome {
	old := t.rotation()
	if old == nil || old.Phase != RotationRewrapping || old.To != c.To {
		return conflict("no rotation to this version wraps anew")
	}
	w := rewrapping{t: t, to: c.To}
	for i := range c.Items {
		if w.item(&c.Items[i]) {
			w.done++
		}
	}
	for _, k := range w.keys {
		t.putKey(k)
	}
	for _, o := range w.others {
		t.putOther(o)
	}
	r := *old
	r.Done += w.done
	t.put(tableRotations, &r)
	return done()
}

// rewrapping is one Rewrap on its way.
type rewrapping struct {
	t    *tx
	to   uint32
	keys []*Key // copies, with materials of their own
	// others are copies of other regions' rows.
	others []*OtherRegion
	done   uint64
}

func (w *rewrapping) item(i *RewrapItem) bool {
	switch i.Kind {
	case RewrapKeyMaterial:
		return w.material(i)
	case RewrapAccessKey:
		return w.accessKey(i)
	case RewrapAuditKey:
		return w.auditKey(i)
	case RewrapAuthority:
		return w.authority(i)
	case RewrapRegionTransport, RewrapRegionSigning:
		return w.regionKey(i)
	case RewrapSessionKey:
		return w.sessionKey(i)
	}
	return false
}

func (w *rewrapping) material(i *RewrapItem) bool {
	k := w.key(i)
	if k == nil {
		return false
	}
	at := findMaterial(k.Materials, i.Material)
	if at < 0 || !k.Materials[at].Present() || k.Materials[at].Domain != i.From {
		return false
	}
	k.Materials[at].Domain, k.Materials[at].Blob = w.to, i.Blob
	return true
}

// key is the copy of a key that the command changes.
func (w *rewrapping) key(i *RewrapItem) *Key {
	at := slices.IndexFunc(w.keys, func(k *Key) bool { return k.Account == i.Account && k.ID == i.ID })
	if at >= 0 {
		return w.keys[at]
	}
	old := w.t.key(i.Account, i.ID)
	if old == nil {
		return nil
	}
	k := *old
	k.Materials = slices.Clone(k.Materials)
	w.keys = append(w.keys, &k)
	return &k
}

// accessKey keeps the row's version: the secret is the same, and so is what was decided on it.
func (w *rewrapping) accessKey(i *RewrapItem) bool {
	old := w.t.accessKey(i.ID)
	if old == nil || old.Version != i.Was || old.Domain != i.From {
		return false
	}
	a := *old
	a.Domain, a.Secret = w.to, i.Blob
	w.t.put(tableAccessKeys, &a)
	return true
}

func (w *rewrapping) auditKey(i *RewrapItem) bool {
	r := w.t.d.region
	if r.AuditKey == nil || !bytes.Equal(r.AuditKey.ID, i.Material) || r.AuditKey.Domain != i.From {
		return false
	}
	key := *r.AuditKey
	key.Domain, key.Blob = w.to, i.Blob
	w.t.regionRow().AuditKey = &key
	return true
}

// under are the region's own keys that are wrapped below a domain key version.
func (k *RegionKeys) under(below uint32) (items []RewrapItem) {
	for _, kind := range []RewrapKind{RewrapRegionTransport, RewrapRegionSigning} {
		if p := k.pair(kind); k.DomainOf(p) < below {
			items = append(items, RewrapItem{Kind: kind, Material: p.id(), From: k.DomainOf(p), Blob: p.Blob})
		}
	}
	return items
}

func (k *RegionKeys) pair(kind RewrapKind) *RegionPair {
	if kind == RewrapRegionTransport {
		return &k.Transport
	}
	return &k.Signing
}

func (p *RegionPair) id() []byte {
	sum := sha256.Sum256(p.Public)
	return sum[:]
}

func (w *rewrapping) regionKey(i *RewrapItem) bool {
	region := w.t.regionRow() // the other pair, or the audit key, is in the same command
	if region.Keys == nil {
		return false
	}
	keys := *region.Keys
	p := keys.pair(i.Kind)
	if !bytes.Equal(p.id(), i.Material) || keys.DomainOf(p) != i.From {
		return false
	}
	p.Domain, p.Blob = w.to, i.Blob
	region.Keys = &keys
	return true
}

func (w *rewrapping) authority(i *RewrapItem) bool {
	for old := range from[Authority](&w.t.view, tableAuthorities, indexID, nil) {
		if uint64(old.Version) == i.Was && old.Domain == i.From {
			a := *old
			a.Domain, a.Key = w.to, i.Blob
			w.t.put(tableAuthorities, &a)
			return true
		}
	}
	return false
}

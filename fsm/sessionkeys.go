package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
)

// LevelSessions is the feature level of session keys.
const LevelSessions = 3

// Kinds of commands about session keys.
const (
	KindPutSessionKey   Kind = 97
	KindTakeSessionKeys Kind = 98
)

// SessionKey is the key by which a region seals its session tokens and the regions that it is federated with open them. The key itself
// is wrapped under the domain key of the region whose state it is in.
type SessionKey struct {
	// ID are 16 random bytes, by which tokens name the key.
	ID []byte `cbor:"1,keyasint"`
	// Incarnation is that of the region that seals with it. In another one nothing that it has sealed is accepted.
	Incarnation uint64 `cbor:"2,keyasint"`
	Domain      uint32 `cbor:"3,keyasint"`
	Blob        []byte `cbor:"4,keyasint"`
	CreatedAt   int64  `cbor:"5,keyasint"`
	// UseFrom is when its region begins to seal with it, at a time at which the others have it already; milliseconds.
	UseFrom int64 `cbor:"6,keyasint"`
	// Until is when what it has sealed is over, 0 while its region seals with it or is about to.
	Until int64 `cbor:"7,keyasint,omitempty"`
}

// Bounds of session keys.
const (
	SessionKeySize = 16 // of an ID, in bytes
	MaxSessionKeys = 16 // of one region
	// SessionTail is how long after a region has ceased to seal with a key it is still opened with, in milliseconds: longer than any
	// session.
	SessionTail = 37 * 60 * 60 * 1000
	// MaxSessionKeyUse is how long what another region seals with one key is accepted at most, in milliseconds, even if that region does not
	// say that the key has ended: well above the week after which a region that works has another one.
	MaxSessionKeyUse = 30 * 24 * 60 * 60 * 1000
	// MaxSessionKeyLead is how long before its use another region hands out a key at most, in milliseconds, with what clocks differ.
	MaxSessionKeyLead = 60 * 60 * 1000
)

// PutSessionKey gives the region another session key. Those it has are for opening only from then on, and what is over is dropped.
type PutSessionKey struct {
	Key SessionKey `cbor:"1,keyasint"`
}

// TakeSessionKeys replaces what is known of another region's session keys by what it has handed out, in an incarnation.
type TakeSessionKeys struct {
	Region      string       `cbor:"1,keyasint"`
	Incarnation uint64       `cbor:"2,keyasint"`
	Keys        []SessionKey `cbor:"3,keyasint"`
}

// Kind implements Body.
func (PutSessionKey) Kind() Kind   { return KindPutSessionKey }
func (TakeSessionKeys) Kind() Kind { return KindTakeSessionKeys }

func (k *SessionKey) check() error {
	if len(k.ID) != SessionKeySize || k.Incarnation == 0 || k.Domain == 0 {
		return errors.New("a session key without id, incarnation or domain key version")
	}
	if k.Until < 0 {
		return errors.New("a session key that ends before time began")
	}
	return errors.Join(checkBytes("wrapped session key", k.Blob, 1, maxBlob), checkTime("CreatedAt", k.CreatedAt), checkTime("UseFrom", k.UseFrom))
}

func (c *PutSessionKey) check() error {
	if c.Key.Until != 0 {
		return errors.New("a new session key does not end")
	}
	return c.Key.check()
}

func (c *TakeSessionKeys) check() error {
	if len(c.Keys) > MaxSessionKeys {
		return fmt.Errorf("%d session keys, %d are allowed", len(c.Keys), MaxSessionKeys)
	}
	for i := range c.Keys {
		k := &c.Keys[i]
		if err := k.check(); err != nil {
			return err
		}
		if k.Incarnation != c.Incarnation || findSessionKey(c.Keys[:i], k.ID) != nil {
			return errors.New("a session key of another incarnation, or one twice")
		}
	}
	return checkName("region", c.Region, maxID)
}

func findSessionKey(keys []SessionKey, id []byte) *SessionKey {
	for i := range keys {
		if bytes.Equal(keys[i].ID, id) {
			return &keys[i]
		}
	}
	return nil
}

func applyPutSessionKey(t *tx, c *PutSessionKey) outcome {
	r := t.regionRow()
	switch {
	case r.Keys == nil:
		return conflict("the region has no key pairs towards others")
	case c.Key.Incarnation != t.incarnation():
		return stale("the region has begun a new incarnation")
	case findSessionKey(r.Keys.Sessions, c.Key.ID) != nil:
		return stale("the region has the session key")
	case !t.wraps(c.Key.Domain):
		return stale(noDomain)
	}
	keys := *r.Keys
	keys.Sessions = []SessionKey{c.Key}
	for _, old := range r.Keys.Sessions {
		if old.Until == 0 {
			old.Until = max(t.now, c.Key.UseFrom) + SessionTail
		}
		if old.Incarnation == t.incarnation() && old.Until > t.now && len(keys.Sessions) < MaxSessionKeys {
			keys.Sessions = append(keys.Sessions, old)
		}
	}
	r.Keys = &keys
	return done()
}

// retireSessionKeys has the region make another session key: one that parts from it has the old one.
func (t *tx) retireSessionKeys() {
	r := t.regionRow()
	if r.Keys == nil || len(r.Keys.Sessions) == 0 {
		return
	}
	keys := *r.Keys
	keys.Sessions = slices.Clone(keys.Sessions)
	for i := range keys.Sessions {
		if k := &keys.Sessions[i]; k.Until == 0 {
			k.Until = t.now + SessionTail
		}
	}
	r.Keys = &keys
}

func applyTakeSessionKeys(t *tx, c *TakeSessionKeys) outcome {
	o, out := t.source(c.Region, c.Incarnation)
	if !out.ok() {
		return out
	}
	for i := range c.Keys {
		if !t.wraps(c.Keys[i].Domain) {
			return stale(noDomain)
		}
	}
	if SessionKeysDigest(o.Sessions) == SessionKeysDigest(c.Keys) {
		return conflict("nothing new")
	}
	o.Sessions = c.Keys
	t.putOther(o)
	return done()
}

// SessionKeysDigest tells one list of session keys from another, whatever they are wrapped under; 0 for none.
func SessionKeysDigest(keys []SessionKey) uint64 {
	if len(keys) == 0 {
		return 0
	}
	h := fnv.New64a()
	for i := range keys {
		k := &keys[i]
		b := append(make([]byte, 0, SessionKeySize+4*8), k.ID...)
		for _, n := range []uint64{k.Incarnation, uint64(k.CreatedAt), uint64(k.UseFrom), uint64(k.Until)} {
			b = binary.BigEndian.AppendUint64(b, n)
		}
		h.Write(b)
	}
	return max(h.Sum64(), 1)
}

// OwnSessionKeys are the region's own session keys, the newest first. They must not be modified.
func (s *State) OwnSessionKeys() []SessionKey {
	if s.region == nil || s.region.Keys == nil {
		return nil
	}
	return s.region.Keys.Sessions
}

// SealingKey is the session key that the region seals with, nil if it has none yet.
func (s *State) SealingKey() *SessionKey {
	own := s.OwnSessionKeys()
	for i := range own {
		k := &own[i]
		if k.UseFrom <= s.now && (k.Until == 0 || i > 0 && own[0].Until == 0 && own[0].UseFrom > s.now) && s.SessionKey(s.region.Name, k.ID) != nil {
			return k
		}
	}
	return nil
}

// SessionKey is the key of that id by which a region, this one or one that it shares identities with, seals session tokens; nil if
// there is none, or nothing that it has sealed is accepted (any more).
func (s *State) SessionKey(region string, id []byte) *SessionKey {
	if s.region == nil {
		return nil
	}
	keys, incarnation := s.OwnSessionKeys(), s.region.Incarnation()
	if region != s.region.Name {
		o := s.otherRegion(region)
		if o == nil || !s.sharesIdentities(o) {
			return nil
		}
		keys, incarnation = o.Sessions, o.Incarnation
	}
	k := findSessionKey(keys, id)
	if k != nil && region != s.region.Name && (k.UseFrom > s.now+MaxSessionKeyLead || k.UseFrom+MaxSessionKeyUse <= s.now) {
		return nil
	}
	if k == nil || k.Incarnation != incarnation || k.Until != 0 && k.Until <= s.now {
		return nil
	}
	return k
}

// sharesIdentities tells whether a region has a say in who is authenticated here: it is the home of this one's identities, or one that the
// home has named as following it too, or follows this one with the consent of this one's operator. A federation alone is for keys.
func (s *State) sharesIdentities(o *OtherRegion) bool {
	if o.State != RegionFederated {
		return false
	}
	if h := s.Home(); h != nil {
		return h.Name == o.Name || h.names(o)
	}
	return o.followsWith() != nil
}

// sessionItems are session keys that are wrapped below a domain key version. region is "" for the region's own.
func sessionItems(region string, keys []SessionKey, below uint32) (items []RewrapItem) {
	for i := range keys {
		if k := &keys[i]; k.Domain < below {
			items = append(items, RewrapItem{Kind: RewrapSessionKey, ID: region, Material: k.ID, From: k.Domain, Blob: k.Blob})
		}
	}
	return items
}

// sessionKey replaces the blob of one session key.
func (w *rewrapping) sessionKey(i *RewrapItem) bool {
	replaced := func(keys []SessionKey) []SessionKey {
		out := slices.Clone(keys)
		if k := findSessionKey(out, i.Material); k != nil && k.Domain == i.From {
			k.Domain, k.Blob = w.to, i.Blob
			return out
		}
		return nil
	}
	if i.ID == "" {
		r := w.t.regionRow()
		if r.Keys == nil {
			return false
		}
		keys := *r.Keys
		if keys.Sessions = replaced(keys.Sessions); keys.Sessions == nil {
			return false
		}
		r.Keys = &keys
		return true
	}
	o := w.other(i.ID)
	if o == nil {
		return false
	}
	keys := replaced(o.Sessions)
	if keys != nil {
		o.Sessions = keys
	}
	return keys != nil
}

// other is the copy of another region's row that the command changes.
func (w *rewrapping) other(name string) *OtherRegion {
	at := slices.IndexFunc(w.others, func(o *OtherRegion) bool { return o.Name == name })
	if at >= 0 {
		return w.others[at]
	}
	old := w.t.otherRegion(name)
	if old == nil {
		return nil
	}
	o := *old
	w.others = append(w.others, &o)
	return &o
}

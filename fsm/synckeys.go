package fsm

import (
	"errors"
	"fmt"
	"slices"
)

// SyncKeys takes over what another region, in an incarnation, tells of keys. Each key is judged on its own; what is not newer
// than what is known has no effect. The command is refused if nothing of it has any.
type SyncKeys struct {
	Region      string   `cbor:"1,keyasint"`
	Incarnation uint64   `cbor:"2,keyasint"`
	Docs        []KeyDoc `cbor:"3,keyasint"`
}

func (c *SyncKeys) check() error {
	if c.Incarnation == 0 {
		return errors.New("no incarnation")
	}
	if len(c.Docs) == 0 || len(c.Docs) > MaxSyncKeys {
		return fmt.Errorf("%d keys, 1 to %d are allowed", len(c.Docs), MaxSyncKeys)
	}
	if err := checkRefs(len(c.Docs), func(i int) KeyRef { return KeyRef{c.Docs[i].Account, c.Docs[i].ID} }); err != nil {
		return err
	}
	for i := range c.Docs {
		if err := c.Docs[i].Check(); err != nil {
			return err
		}
	}
	return checkName("region", c.Region, maxID)
}

func applySyncKeys(t *tx, c *SyncKeys) outcome {
	from, out := t.source(c.Region, c.Incarnation)
	if !out.ok() {
		return out
	}
	m := &merge{tx: t, from: from}
	for i := range c.Docs {
		m.doc(&c.Docs[i])
	}
	m.countCreated()
	if len(t.changes) == 0 {
		return conflict("nothing new")
	}
	if old := t.otherRegion(c.Region); old.Incarnation != from.Incarnation {
		t.putOther(from)
	}
	return done()
}

// rehearsal is a command that is judged against a published state and never takes effect.
func (s *State) rehearsal() *tx {
	return &tx{
		view: s.view, index: s.index + 1, time: s.now, now: s.now,
		d: &draft{view: s.view, region: s.region, quotas: s.quotas, now: s.now},
	}
}

// Wants reports whether a SyncKeys of this document alone, from a region in an incarnation, would have any effect.
func (s *State) Wants(region string, incarnation uint64, d *KeyDoc) bool {
	if s.region == nil {
		return false
	}
	t := s.rehearsal()
	from, out := t.source(region, incarnation)
	if !out.ok() {
		return false
	}
	(&merge{tx: t, from: from}).doc(d)
	return len(t.changes) > 0
}

// mayOwe is false for nearly all keys to which nothing is owed, and only for such: a region looks at each of its keys every now and then.
func (s *State) mayOwe(k *Key) bool {
	gone := func(region string) bool {
		o := s.otherRegion(region)
		return o == nil || o.State == RegionForgotten
	}
	home := s.region.Name
	if k.Set.Primary != home {
		return gone(k.Set.Primary)
	}
	return k.spreading() >= 0 || k.PendingWindowDays != 0 || slices.ContainsFunc(k.Set.Members, func(m Member) bool {
		return m.Gone || m.Region != home && gone(m.Region)
	})
}

// Owes reports whether a TendKeys of this key alone would have any effect.
func (s *State) Owes(k *Key) bool {
	if k.Set == nil || s.region == nil || !s.mayOwe(k) {
		return false
	}
	row := *k
	row.Set = k.Set.clone()
	return s.rehearsal().tend(&row)
}

package fsm

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
)

func (d *DomainKey) check() error {
	if d.Version == 0 {
		return errors.New("domain key versions start at 1")
	}
	if err := checkLength("number of nodes", len(d.Wrapped), maxWrapped); err != nil {
		return err
	}
	for i := range d.Wrapped {
		w := &d.Wrapped[i]
		if err := errors.Join(checkName("node id", w.NodeID, maxID), checkBytes("wrapped domain key", w.Blob, 1, maxBlob)); err != nil {
			return err
		}
		if slices.ContainsFunc(d.Wrapped[:i], func(o WrappedDomain) bool { return o.NodeID == w.NodeID }) {
			return errors.New("the domain key is wrapped twice for one node")
		}
	}
	return errors.Join(
		checkName("domain key id", d.ID, maxID),
		checkBytes("probe", d.Probe, 0, maxSecret),
		checkTime("CreatedAt", d.CreatedAt),
	)
}

func sortWrapped(wrapped []WrappedDomain) []WrappedDomain {
	sorted := slices.Clone(wrapped)
	slices.SortFunc(sorted, func(a, b WrappedDomain) int { return cmp.Compare(a.NodeID, b.NodeID) })
	return sorted
}

func (c *PutDomainKey) check() error { return c.DomainKey.check() }

// applyPutDomainKey accepts a version above all others, or a known one with the same identity: what a version is does
// not change, only for whom it is wrapped and whether it is the active one. Versions are not used twice, since blobs
// name them.
func applyPutDomainKey(t *tx, c *PutDomainKey) outcome {
	d := c.DomainKey
	d.Wrapped = sortWrapped(d.Wrapped)
	active := t.activeDomainKey()
	if old := t.domainKey(d.Version); old != nil {
		if old.ID != d.ID || !bytes.Equal(old.Probe, d.Probe) {
			return conflict("the domain key version is another key")
		}
		d.CreatedAt = old.CreatedAt
		d.Active = d.Active || old.Active
	} else {
		for other := range from[DomainKey](&t.view, tableDomainKeys, indexID, nil) {
			if other.Version >= d.Version {
				return stale("the domain key version is not above all others")
			}
		}
	}
	if d.Active && active != nil && active.Version != d.Version {
		retired := *active
		retired.Active = false
		t.put(tableDomainKeys, &retired)
	}
	t.put(tableDomainKeys, &d)
	return done()
}

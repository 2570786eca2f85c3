package fsm

import (
	"errors"
)

func (c *LastUsage) check() error {
	if err := checkLength("number of keys", len(c.Uses), maxUses); err != nil {
		return err
	}
	for i := range c.Uses {
		if err := c.Uses[i].check(); err != nil {
			return err
		}
	}
	return nil
}

func (u *KeyUse) check() error {
	if u.At <= 0 {
		return errors.New("a use without time")
	}
	return errors.Join(
		checkAccount(u.Account), checkName("key id", u.KeyID, maxID),
		checkName("operation", u.Operation, maxEnum),
		checkLength("length of the event id", len(u.EventID), maxEnum),
		checkLength("length of the request id", len(u.RequestID), maxEnum),
	)
}

// applyLastUsage keeps the latest use of each key. Of two uses at the same time the one that is known already stays,
// so that the order in which nodes report does not matter more than it must. Uses of keys that are gone are skipped:
// a key id is not used again, so that they cannot come back to life.
func applyLastUsage(t *tx, c *LastUsage) outcome {
	latest := make(map[KeyRef]int, len(c.Uses)) // looked up, never ranged over
	for i := range c.Uses {
		u := &c.Uses[i]
		ref := KeyRef{u.Account, u.KeyID}
		if j, ok := latest[ref]; !ok || u.At > c.Uses[j].At {
			latest[ref] = i
		}
	}
	for i := range c.Uses {
		u := c.Uses[i]
		if latest[KeyRef{u.Account, u.KeyID}] != i {
			continue
		}
		k := t.key(u.Account, u.KeyID)
		if k == nil {
			continue
		}
		if old := t.keyUse(u.Account, u.KeyID); old != nil && old.At >= u.At {
			continue
		}
		u.Account, u.KeyID, u.Operation = k.Account, k.ID, t.d.interner.string(u.Operation)
		t.put(tableKeyUses, &u)
	}
	return done()
}

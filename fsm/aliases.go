package fsm

import (
	"errors"

	"github.com/trentkms/trent/fsm/planted"
)

func (c *CreateAlias) check() error {
	return errors.Join(checkAccount(c.Account), checkAliasName(c.Name), checkName("key id", c.KeyID, maxID))
}

func applyCreateAlias(t *tx, c *CreateAlias) outcome {
	k, out := t.aliasTarget(c.Account, c.KeyID)
	switch {
	case !out.ok():
		return out
	case t.alias(c.Account, c.Name) != nil && !planted.Bug(planted.AliasTaken):
		return stale("the alias name is taken")
	case t.aliasesFull(k):
		return stale("the key's aliases are at the quota")
	}
	t.put(tableAliases, &Alias{Account: k.Account, Name: c.Name, KeyID: k.ID, CreatedAt: t.now, UpdatedAt: t.now, Version: t.index})
	t.countAliases(k, 1)
	return done()
}

// aliasTarget returns a copy of a key that an alias may be pointed to (spec 01 ALI-13).
func (t *tx) aliasTarget(account, id string) (*Key, outcome) {
	return t.notPending(&KeyRef{Account: account, ID: id})
}

// aliasesFull reports whether the quota leaves no room for another alias. It is about the aliases that customers make
// (spec 01 ALI-06), which AWS managed keys cannot have.
func (t *tx) aliasesFull(k *Key) bool {
	return k.Manager == managedByCustomer && k.AliasCount >= t.d.quotas.AliasesPerKey
}

// countAliases stages a key whose set of aliases has changed.
func (t *tx) countAliases(k *Key, by int) {
	k.AliasCount += by
	k.AliasVersion = t.index
	t.putKey(k)
}

func (c *UpdateAlias) check() error {
	return errors.Join(checkAccount(c.Account), checkAliasName(c.Name),
		checkName("key id", c.From, maxID), checkName("key id", c.KeyID, maxID))
}

// applyUpdateAlias moves an alias; the key that it leaves may be pending deletion (spec 01 ALI-13). Pointing it to the
// key that it points to is a change of its date only.
func applyUpdateAlias(t *tx, c *UpdateAlias) outcome {
	old := t.alias(c.Account, c.Name)
	if old == nil || old.KeyID != c.From {
		return conflict("the alias does not exist or points to another key")
	}
	k, out := t.aliasTarget(c.Account, c.KeyID)
	if !out.ok() {
		return out
	}
	if c.From == c.KeyID {
		t.countAliases(k, 0)
	} else {
		if t.aliasesFull(k) {
			return stale("the key's aliases are at the quota")
		}
		left, out := t.existing(&KeyRef{Account: c.Account, ID: c.From})
		if !out.ok() {
			return out
		}
		t.countAliases(left, -1)
		t.countAliases(k, 1)
	}
	moved := *old
	moved.KeyID, moved.UpdatedAt, moved.Version = k.ID, t.now, t.index
	t.put(tableAliases, &moved)
	return done()
}

func (c *DeleteAlias) check() error {
	return errors.Join(checkAccount(c.Account), checkAliasName(c.Name), checkName("key id", c.KeyID, maxID))
}

// applyDeleteAlias works in every key state (spec 01 ALI-14).
func applyDeleteAlias(t *tx, c *DeleteAlias) outcome {
	old := t.alias(c.Account, c.Name)
	if old == nil || old.KeyID != c.KeyID {
		return conflict("the alias does not exist or points to another key")
	}
	k, out := t.existing(&KeyRef{Account: c.Account, ID: c.KeyID})
	if !out.ok() {
		return out
	}
	t.remove(tableAliases, old)
	t.countAliases(k, -1)
	return done()
}

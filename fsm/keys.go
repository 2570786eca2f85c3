package fsm

import (
	"cmp"
	"errors"
	"slices"

	"github.com/trentkms/trent/fsm/planted"
)

// managedByCustomer is the Manager of keys that count against the quotas (spec 01 GEN-05).
const managedByCustomer = "CUSTOMER"

// originExternal is the Origin of keys whose material is imported (spec 01 GEN-13).
const originExternal = "EXTERNAL"

func (c *CreateKey) check() error {
	k := &c.Key
	if k.DeletionAt != 0 || k.PendingWindowDays != 0 || k.OnDemandRotations != 0 || k.Set != nil {
		return errors.New("a new key with a scheduled deletion, rotations behind it or related keys")
	}
	if k.Manager != managedByCustomer && k.Manager != "AWS" {
		return errors.New("key manager is neither CUSTOMER nor AWS")
	}
	if k.Rotation != nil {
		if err := k.Rotation.check(); err != nil {
			return err
		}
	}
	return errors.Join(
		checkAccount(k.Account), checkName("key id", k.ID, maxID),
		checkName("key spec", k.Spec, maxEnum), checkName("key usage", k.Usage, maxEnum), checkName("origin", k.Origin, maxEnum),
		checkLength("length of the description", len(k.Description), maxDescription),
		checkPolicy(k.Policy), checkPrincipals(k.PolicyPrincipals), checkTags(k.Tags), checkMaterials(k.Materials, k.Current),
		checkTime("CreatedAt", k.CreatedAt),
	)
}

func applyCreateKey(t *tx, c *CreateKey) outcome {
	k := c.Key
	account := t.account(k.Account)
	switch {
	case account == nil:
		return conflict("the account does not exist")
	case t.key(k.Account, k.ID) != nil:
		return stale("the key id is taken")
	case t.remains(k.Account, k.ID) != nil:
		return stale("grants of a deleted key with this id are still being removed")
	case t.replicaEnd(k.Account, k.ID) != nil:
		return stale("the key id was a replica's")
	case len(k.Policy) > t.d.quotas.PolicyBytes:
		return stale("the key policy is over the quota")
	case len(k.Tags) > t.d.quotas.TagsPerKey:
		return stale("tags are over the quota")
	}
	if k.Manager == managedByCustomer {
		if account.KeyCount >= t.d.quotas.KeysPerAccount {
			return stale("the account's keys are at the quota")
		}
		t.countKeys(account, 1)
	}
	for i := range k.Materials {
		if m := &k.Materials[i]; m.Present() && !t.wraps(m.Domain) {
			return conflict(noDomain)
		}
	}
	sortTags(k.Tags)
	k.AliasCount, k.GrantCount = 0, 0
	k.PolicyVersion, k.TagsVersion, k.AliasVersion = t.index, t.index, t.index
	t.d.interner.key(&k)
	t.putKey(&k)
	return done(k.ID)
}

func sortTags(tags []Tag) {
	slices.SortFunc(tags, func(a, b Tag) int { return cmp.Compare(a.Key, b.Key) })
}

// existing returns a copy of a key to be changed, or the refusal.
func (t *tx) existing(ref *KeyRef) (*Key, outcome) {
	old := t.key(ref.Account, ref.ID)
	if old == nil {
		return nil, conflict("the key does not exist")
	}
	k := *old
	return &k, done()
}

// notPending is like existing, and refuses a key whose deletion is scheduled.
func (t *tx) notPending(ref *KeyRef) (*Key, outcome) {
	k, out := t.existing(ref)
	if out.ok() && k.Ending() {
		return nil, stale("the key is pending deletion")
	}
	return k, out
}

func (c *SetDescription) check() error {
	return errors.Join(c.Key.check(), checkLength("length of the description", len(c.Description), maxDescription))
}

func applySetDescription(t *tx, c *SetDescription) outcome {
	k, out := t.notPending(&c.Key)
	if !out.ok() {
		return out
	}
	k.Description = t.d.interner.string(c.Description)
	if planted.Bug(planted.ApplyDiffers) {
		k.Description += planted.Salt()
	}
	t.putKey(k)
	return done()
}

func (c *SetEnabled) check() error { return c.Key.check() }

func applySetEnabled(t *tx, c *SetEnabled) outcome {
	k, out := t.notPending(&c.Key)
	if !out.ok() {
		return out
	}
	if k.pendingImport() {
		return stale("the key is pending import")
	}
	if k.Set != nil && (k.Set.Creating || k.Set.Updating != "") {
		return stale("the key is creating or updating")
	}
	if !c.Enabled && planted.Bug(planted.MissDisable) {
		return done()
	}
	k.Enabled = c.Enabled
	t.putKey(k)
	if !k.Enabled {
		t.event(EventKeyUnusable, k.Account, k.ID, nil)
	}
	return done()
}

func (c *ScheduleDeletion) check() error {
	if c.DeletionAt <= 0 || c.WindowDays < 1 || c.WindowDays > 365 {
		return errors.New("no date of deletion, or a waiting period outside 1 to 365 days")
	}
	return c.Key.check()
}

func applyScheduleDeletion(t *tx, c *ScheduleDeletion) outcome {
	k, out := t.notPending(&c.Key)
	switch {
	case !out.ok():
		return out
	case k.Set != nil && k.Set.Updating != "":
		return stale("the key's primary region is changing")
	case k.waitsForReplicas():
		return stale("the key has replicas")
	}
	k.DeletionAt, k.PendingWindowDays = c.DeletionAt, c.WindowDays
	t.putKey(k)
	t.event(EventKeyUnusable, k.Account, k.ID, nil)
	return done()
}

func (c *CancelDeletion) check() error { return c.Key.check() }

// applyCancelDeletion leaves the key disabled whatever it was before (spec 01 DEL-10).
func applyCancelDeletion(t *tx, c *CancelDeletion) outcome {
	k, out := t.existing(&c.Key)
	if !out.ok() {
		return out
	}
	if !k.Ending() {
		return stale("the key is not pending deletion")
	}
	k.DeletionAt, k.PendingWindowDays, k.Enabled = 0, 0, false
	t.putKey(k)
	return done()
}

func (c *DeleteKey) check() error {
	if c.DeletionAt <= 0 {
		return errors.New("no date of deletion")
	}
	return c.Key.check()
}

// applyDeleteKey goes by the date that the scheduler saw, so that a deletion that was cancelled and scheduled anew in
// the meantime is not carried out early, and by the command's own time, which is what the proposer vouches for.
func applyDeleteKey(t *tx, c *DeleteKey) outcome {
	k, out := t.existing(&c.Key)
	switch {
	case !out.ok():
		return out
	case k.DeletionAt != c.DeletionAt:
		return conflict("the deletion has another date, or none")
	case t.time < k.DeletionAt:
		return conflict("the deletion is not due")
	case t.held():
		return conflict("region time has jumped; nothing is destroyed for a day")
	case k.waitsForReplicas():
		return conflict("the key has replicas")
	}
	t.endReplica(k)
	t.removeKey(k)
	return done()
}

// removeKey stages the end of a key and of what belongs to it.
func (t *tx) removeKey(k *Key) {
	for a := range t.aliasesOf(k.Account, k.ID, "") {
		t.remove(tableAliases, a)
	}
	if use := t.keyUse(k.Account, k.ID); use != nil {
		t.remove(tableKeyUses, use)
	}
	t.buryGrants(k)
	if account := t.account(k.Account); account != nil && k.Manager == managedByCustomer {
		t.countKeys(account, -1)
	}
	t.remove(tableKeys, k)
	for i := range k.Materials {
		if k.Materials[i].Present() {
			t.event(EventMaterialGone, k.Account, k.ID, k.Materials[i].ID)
		}
	}
	t.event(EventKeyDeleted, k.Account, k.ID, nil)
}

func (c *PutKeyPolicy) check() error {
	return errors.Join(c.Key.check(), checkPolicy(c.Policy), checkPrincipals(c.Principals))
}

// applyPutKeyPolicy works in every key state (spec 01 KST-07).
func applyPutKeyPolicy(t *tx, c *PutKeyPolicy) outcome {
	k, out := t.existing(&c.Key)
	if !out.ok() {
		return out
	}
	if len(c.Policy) > t.d.quotas.PolicyBytes {
		return stale("the key policy is over the quota")
	}
	k.Policy, k.PolicyPrincipals, k.PolicyVersion = t.d.interner.string(c.Policy), c.Principals, t.index
	t.putKey(k)
	return done()
}

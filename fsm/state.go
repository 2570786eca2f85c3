package fsm

import (
	"iter"

	"github.com/hashicorp/raft"
)

// State is the replicated state at one index. It never changes: all methods are safe for concurrent use, take no lock
// that apply holds for long, and the rows they return are shared and must not be modified. A State keeps its memory for
// as long as it is held, so hold it for a request, not for ever.
type State struct {
	view
	index    uint64
	cfgIndex uint64
	cfg      raft.Configuration
	now      int64
	region   *Region
	quotas   Quotas
	repeats  remembered
}

// Index returns the index of the last log entry that the state contains: every command and configuration up to it.
func (s *State) Index() uint64 { return s.index }

// Config returns the Raft configuration that the state's log contains last, and its index; 0 and an empty configuration
// before the first. The servers are shared and must not be modified.
func (s *State) Config() (uint64, raft.Configuration) { return s.cfgIndex, s.cfg }

// Now returns region time in milliseconds since the Unix epoch: the latest time that any command carried.
func (s *State) Now() int64 { return s.now }

// Region returns the row about the region, nil before InitRegion.
func (s *State) Region() *Region { return s.region }

// Quotas returns the resource quotas, all 0 before InitRegion.
func (s *State) Quotas() Quotas { return s.quotas }

// Key returns a KMS key in any key state, nil if there is none.
func (s *State) Key(account, id string) *Key { return s.key(account, id) }

// Keys yields an account's keys after the id afterID ("" = from the start), ordered by id.
func (s *State) Keys(account, afterID string) iter.Seq[*Key] {
	return while(from[Key](&s.view, tableKeys, indexID, past(name2(nil, account, afterID), afterID)),
		func(k *Key) bool { return k.Account == account })
}

// Alias returns an alias by its name with prefix, nil if there is none.
func (s *State) Alias(account, name string) *Alias { return s.alias(account, name) }

// Aliases yields an account's aliases after the name afterName ("" = from the start), ordered by name.
func (s *State) Aliases(account, afterName string) iter.Seq[*Alias] {
	return while(from[Alias](&s.view, tableAliases, indexID, past(name2(nil, account, afterName), afterName)),
		func(a *Alias) bool { return a.Account == account })
}

// AliasesOf yields the aliases of one key after the name after ("" = from the start), ordered by name.
func (s *State) AliasesOf(account, keyID, after string) iter.Seq[*Alias] {
	return s.aliasesOf(account, keyID, after)
}

// Account returns an account, nil if there is none.
func (s *State) Account(id string) *Account { return s.account(id) }

// Accounts yields the accounts after the id after ("" = from the start), ordered by id.
func (s *State) Accounts(after string) iter.Seq[*Account] {
	return from[Account](&s.view, tableAccounts, indexID, past(name1(nil, after), after))
}

// AccessKey returns an access key, active or not, nil if there is none.
func (s *State) AccessKey(id string) *AccessKey { return s.accessKey(id) }

// AccessKeys yields an account's access keys after the id after ("" = from the start), ordered by id.
func (s *State) AccessKeys(account, after string) iter.Seq[*AccessKey] {
	return while(from[AccessKey](&s.view, tableAccessKeys, indexAccount, past(name2(nil, account, after), after)),
		func(a *AccessKey) bool { return a.Account == account })
}

// ActiveDomainKey returns the domain key version that wraps new material, nil before InitRegion.
func (s *State) ActiveDomainKey() *DomainKey { return s.activeDomainKey() }

// DomainKey returns a domain key version, nil if there is none.
func (s *State) DomainKey(version uint32) *DomainKey { return s.domainKey(version) }

// DomainKeys yields the domain key versions, oldest first.
func (s *State) DomainKeys() iter.Seq[*DomainKey] {
	return from[DomainKey](&s.view, tableDomainKeys, indexID, nil)
}

// DueDeletions yields the keys whose DeletionAt is at or before the given time, earliest first.
func (s *State) DueDeletions(before int64) iter.Seq[*Key] {
	return while(from[Key](&s.view, tableKeys, indexDeletion, nil),
		func(k *Key) bool { return k.DeletionAt <= before })
}

// DueRotations yields the keys whose automatic rotation is due at or before the given time, earliest first. Disabled
// keys and keys pending deletion are left out; they appear when they are enabled again (spec 02 ROT-29, ROT-30).
func (s *State) DueRotations(before int64) iter.Seq[*Key] {
	return while(from[Key](&s.view, tableKeys, indexRotation, nil),
		func(k *Key) bool { return k.Rotation.NextAt <= before })
}

// DueExpiries yields present imported materials whose expiry is at or before the given time, with their keys; keys are
// ordered by their earliest expiry.
func (s *State) DueExpiries(before int64) iter.Seq2[*Key, *Material] {
	return func(yield func(*Key, *Material) bool) {
		for k := range from[Key](&s.view, tableKeys, indexExpiry, nil) {
			due := false
			for i := range k.Materials {
				if m := &k.Materials[i]; m.expires() && m.ExpiresAt <= before {
					due = true
					if !yield(k, m) {
						return
					}
				}
			}
			if !due {
				return
			}
		}
	}
}

// MaterialsUnder yields the present materials that a domain key version wraps, with their keys, ordered by account and
// key id, after the key after (the zero KeyRef = from the start). It looks at every key, since it serves re-wrapping,
// which has to visit them anyhow. Access keys and the region's audit key are sealed under the domain key as well; see
// Accounts, AccessKeys and Region.
func (s *State) MaterialsUnder(domain uint32, after KeyRef) iter.Seq2[*Key, *Material] {
	return func(yield func(*Key, *Material) bool) {
		for k := range from[Key](&s.view, tableKeys, indexID, past(name2(nil, after.Account, after.ID), after.ID)) {
			for i := range k.Materials {
				if m := &k.Materials[i]; m.Present() && m.Domain == domain && !yield(k, m) {
					return
				}
			}
		}
	}
}

// KeyLastUse returns the last use of a key that nodes have reported, nil if none did (spec 01 DEL-18).
func (s *State) KeyLastUse(account, id string) *KeyUse { return s.keyUse(account, id) }

// AuditHeads yields the latest audit head of every node, ordered by node id.
func (s *State) AuditHeads() iter.Seq[*AuditHead] {
	return from[AuditHead](&s.view, tableAuditHeads, indexID, nil)
}

// Version returns the version that the document of r has in this state, 0 if it is absent. r.Version is not read.
func (s *State) Version(r Read) uint64 { return s.version(r) }

// Remembered returns what is remembered of the latest command with this id.
func (s *State) Remembered(id CommandID) (Remembered, bool) { return s.repeats.latest(id) }

// Repeat applies the rule by which a retry gets the first answer: a command with this id took effect, and the request
// is at least a second attempt or has the very same signature. The edge asks it right after authentication, apply
// asks it again.
func (s *State) Repeat(id CommandID, attempt int, signature [16]byte) (Remembered, bool) {
	return s.repeats.repeat(id, attempt, signature)
}

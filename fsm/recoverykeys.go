package fsm

import (
	"errors"
	"iter"
	"slices"
	"strings"
)

// recoveryPrefix begins the names of recovery keys, which share a column with the ids of nodes.
const recoveryPrefix = "recovery-"

// maxRecoveryKeys is how many recovery keys a region can have.
const maxRecoveryKeys = 16

// RecoveryKey is the public half of an offline key pair that domain keys are wrapped for, as for a node's HSM.
type RecoveryKey struct {
	// Name is recovery- and the beginning of the SHA-256 of Public in hex.
	Name   string `cbor:"1,keyasint"`
	Public []byte `cbor:"2,keyasint"` // DER SubjectPublicKeyInfo
	// From is the lowest domain key version that was ever wrapped for it.
	From      uint32 `cbor:"3,keyasint"`
	CreatedAt int64  `cbor:"4,keyasint"`
	// Mechanism is the wrapping mechanism (hsm.WrapMechanism).
	Mechanism uint8 `cbor:"5,keyasint"`
}

// WrappedVersion is a domain key version wrapped for somebody.
type WrappedVersion struct {
	Version uint32 `cbor:"1,keyasint"`
	Blob    []byte `cbor:"2,keyasint"`
}

// PutRecoveryKey registers a recovery key that is new, with all domain key versions from From on wrapped for it.
type PutRecoveryKey struct {
	RecoveryKey RecoveryKey      `cbor:"1,keyasint"`
	Wrapped     []WrappedVersion `cbor:"2,keyasint"`
}

// RemoveRecoveryKey forgets a recovery key and what is wrapped for it.
type RemoveRecoveryKey struct {
	Name string `cbor:"1,keyasint"`
}

// Kind implements Body.
func (PutRecoveryKey) Kind() Kind    { return KindPutRecoveryKey }
func (RemoveRecoveryKey) Kind() Kind { return KindRemoveRecoveryKey }

const tableRecoveryKeys = "recovery-keys"

func (k *RecoveryKey) primary() []byte { return name1(nil, k.Name) }

func (v *view) recoveryKey(name string) *RecoveryKey {
	l := v.lookup()
	l.key = name1(l.key[:0], name)
	return first[RecoveryKey](v, tableRecoveryKeys, l)
}

// RecoveryKey returns a recovery key, nil if there is none of that name.
func (s *State) RecoveryKey(name string) *RecoveryKey { return s.recoveryKey(name) }

// RecoveryKeys yields the recovery keys, ordered by name.
func (s *State) RecoveryKeys() iter.Seq[*RecoveryKey] {
	return from[RecoveryKey](&s.view, tableRecoveryKeys, indexID, nil)
}

func (k *RecoveryKey) check() error {
	if !strings.HasPrefix(k.Name, recoveryPrefix) || k.From == 0 {
		return errors.New("recovery key without its name, or without a domain key version")
	}
	return errors.Join(checkName("name", k.Name, maxID), checkBytes("public key", k.Public, 1, maxPublic), checkTime("CreatedAt", k.CreatedAt))
}

func (c *PutRecoveryKey) check() error {
	if len(c.Wrapped) == 0 || len(c.Wrapped) > maxWrapped {
		return errors.New("recovery key without a domain key version wrapped for it")
	}
	for i := range c.Wrapped {
		if err := checkBytes("wrapped domain key", c.Wrapped[i].Blob, 1, maxBlob); err != nil {
			return err
		}
	}
	return c.RecoveryKey.check()
}

func (c *RemoveRecoveryKey) check() error { return checkName("name", c.Name, maxID) }

// putRecoveryKey stages a recovery key that is new.
func (t *tx) putRecoveryKey(k *RecoveryKey, fromVersion uint32) outcome {
	if t.recoveryKey(k.Name) != nil {
		return conflict("the recovery key is registered already")
	}
	n := 0
	for range from[RecoveryKey](&t.view, tableRecoveryKeys, indexID, nil) {
		n++
	}
	if n >= maxRecoveryKeys {
		return conflict("the region has all the recovery keys that it can have")
	}
	row := *k
	row.From, row.CreatedAt = fromVersion, t.now
	t.put(tableRecoveryKeys, &row)
	return done()
}

func applyPutRecoveryKey(t *tx, c *PutRecoveryKey) outcome {
	lowest := uint32(0)
	var changed []*DomainKey
	for d := range from[DomainKey](&t.view, tableDomainKeys, indexID, nil) {
		i := slices.IndexFunc(c.Wrapped, func(w WrappedVersion) bool { return w.Version == d.Version })
		if i < 0 {
			return stale("a domain key version is not wrapped for the recovery key")
		}
		if lowest == 0 {
			lowest = d.Version
		}
		with := *d
		with.Wrapped = sortWrapped(append(withoutWrapped(d.Wrapped, c.RecoveryKey.Name), WrappedDomain{c.RecoveryKey.Name, c.Wrapped[i].Blob}))
		changed = append(changed, &with)
	}
	if out := t.putRecoveryKey(&c.RecoveryKey, lowest); !out.ok() {
		return out
	}
	for _, d := range changed {
		t.put(tableDomainKeys, d)
	}
	return done()
}

func applyRemoveRecoveryKey(t *tx, c *RemoveRecoveryKey) outcome {
	k := t.recoveryKey(c.Name)
	if k == nil {
		return conflict("there is no such recovery key")
	}
	t.remove(tableRecoveryKeys, k)
	for _, d := range t.wrappedFor(c.Name) {
		t.put(tableDomainKeys, d)
	}
	return done()
}

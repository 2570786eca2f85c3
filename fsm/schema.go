package fsm

import (
	"encoding/binary"
	"fmt"

	memdb "github.com/hashicorp/go-memdb"
)

// Tables and their indexes. The index "id" is go-memdb's name for the primary key.
const (
	tableKeys       = "keys"
	tableAliases    = "aliases"
	tableAccounts   = "accounts"
	tableAccessKeys = "access-keys"
	tableDomainKeys = "domain-keys"
	tableKeyUses    = "key-uses"
	tableAuditHeads = "audit-heads"
	tableGrants     = "grants"
	tableRemains    = "remains"

	tableIdentities      = "identities"
	tableManagedPolicies = "managed-policies"
	tableOIDCProviders   = "oidc-providers"

	indexID       = "id"
	indexDeletion = "deletion" // keys with a scheduled deletion, by its date
	indexRotation = "rotation" // keys whose automatic rotation would happen, by its date
	indexExpiry   = "expiry"   // keys with expiring material, by the earliest expiry
	indexTarget   = "target"   // aliases by key
	indexAccount  = "account"  // access keys by account
	indexKey      = "key"      // grants by key, then by creation
	indexGrantee  = "grantee"  // grants by key and grantee, then by what they cover
	indexRetiring = "retiring" // grants by retiring principal, then by creation
	indexSame     = "same"     // named grants by key, name and parameters

	indexName      = "name"      // identities and managed policies by lower-case name
	indexPrincipal = "principal" // access keys by principal
)

// schema declares the tables. A row is left out of an index for which its key function returns nil. Every key holds
// the primary key, so that every index is unique and ordered.
func schema() *memdb.DBSchema {
	return &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{
		tableKeys: table1(tableKeys,
			index(indexID, (*Key).primary), index(indexDeletion, (*Key).byDeletion),
			index(indexRotation, (*Key).byRotation), index(indexExpiry, (*Key).byExpiry),
			index(indexFeed, (*Key).byFeed), index(indexUnsettled, (*Key).byUnsettled)),
		tableAliases:  table1(tableAliases, index(indexID, (*Alias).primary), index(indexTarget, (*Alias).byTarget)),
		tableAccounts: table1(tableAccounts, index(indexID, (*Account).primary), index(indexFeed, (*Account).byFeed)),
		tableAccessKeys: table1(tableAccessKeys, index(indexID, (*AccessKey).primary), index(indexAccount, (*AccessKey).byAccount),
			index(indexPrincipal, (*AccessKey).byPrincipal), index(indexFeed, (*AccessKey).byFeed)),
		tableDomainKeys: table1(tableDomainKeys, index(indexID, (*DomainKey).primary)),
		tableKeyUses:    table1(tableKeyUses, index(indexID, (*KeyUse).primary)),
		tableAuditHeads: table1(tableAuditHeads, index(indexID, (*AuditHead).primary)),
		tableGrants: table1(tableGrants,
			index(indexID, (*Grant).primary), index(indexKey, (*Grant).byKey), index(indexGrantee, (*Grant).byGrantee),
			index(indexRetiring, (*Grant).byRetiring), index(indexSame, (*Grant).bySame)),
		tableRemains: table1(tableRemains, index(indexID, (*Remains).primary)),
		tableIdentities: table1(tableIdentities,
			index(indexID, (*Identity).primary), index(indexName, (*Identity).byName), index(indexFeed, (*Identity).byFeed)),
		tableManagedPolicies: table1(tableManagedPolicies,
			index(indexID, (*ManagedPolicy).primary), index(indexName, (*ManagedPolicy).byName), index(indexFeed, (*ManagedPolicy).byFeed)),
		tableOIDCProviders:  table1(tableOIDCProviders, index(indexID, (*OIDCProvider).primary), index(indexFeed, (*OIDCProvider).byFeed)),
		tableGoneIdentities: table1(tableGoneIdentities, index(indexID, (*GoneIdentity).primary)),
		tableIdentityParts:  table1(tableIdentityParts, index(indexID, (*IdentityPart).primary)),
		tableAuthorities:    table1(tableAuthorities, index(indexID, (*Authority).primary)),
		tableNodes:          table1(tableNodes, index(indexID, (*Node).primary)),
		tableRemovedNodes:   table1(tableRemovedNodes, index(indexID, (*RemovedNode).primary)),
		tableJoinTokens:     table1(tableJoinTokens, index(indexID, (*JoinToken).primary)),
		tableRotations:      table1(tableRotations, index(indexID, (*DomainRotation).primary)),
		tableRecoveryKeys:   table1(tableRecoveryKeys, index(indexID, (*RecoveryKey).primary)),
		tableOtherRegions:   table1(tableOtherRegions, index(indexID, (*OtherRegion).primary)),
		tableEnds:           table1(tableEnds, index(indexID, (*ReplicaEnd).primary), index(indexFeed, (*ReplicaEnd).byFeed)),
	}}
}

func table1(name string, indexes ...*memdb.IndexSchema) *memdb.TableSchema {
	t := &memdb.TableSchema{Name: name, Indexes: make(map[string]*memdb.IndexSchema, len(indexes))}
	for _, i := range indexes {
		t.Indexes[i.Name] = i
	}
	return t
}

func index[T any](name string, key func(*T) []byte) *memdb.IndexSchema {
	return &memdb.IndexSchema{Name: name, Unique: true, AllowMissing: name != indexID, Indexer: indexer[T](key)}
}

// indexer computes a row's key in an index without reflection, since every lookup and every change passes here.
type indexer[T any] func(*T) []byte

// FromObject implements memdb.SingleIndexer.
func (f indexer[T]) FromObject(raw any) (bool, []byte, error) {
	row, ok := raw.(*T)
	if !ok {
		return false, nil, fmt.Errorf("fsm: row of type %T in a table of %T", raw, row)
	}
	key := f(row)
	return key != nil, key, nil
}

// FromArgs implements memdb.Indexer. The one argument is a *lookup.
func (f indexer[T]) FromArgs(args ...any) ([]byte, error) {
	if len(args) == 1 {
		if l, ok := args[0].(*lookup); ok {
			return l.key, nil
		}
	}
	return nil, fmt.Errorf("fsm: index lookup by %d arguments that are no *lookup", len(args))
}

// newDB returns an empty database. It is a snapshot of one, because go-memdb then keeps no watch channels up to date,
// which nobody waits for.
func newDB() (*memdb.MemDB, error) {
	db, err := memdb.NewMemDB(schema())
	if err != nil {
		return nil, fmt.Errorf("fsm: schema: %w", err)
	}
	return db.Snapshot(), nil
}

// Keys of the indexes. Names are separated by NUL, which check.go keeps out of them, so that the rows of one account
// lie together in the order of their names.

func name1(dst []byte, a string) []byte { return append(dst, a...) }

func name2(dst []byte, a, b string) []byte {
	dst = append(dst, a...)
	dst = append(dst, 0)
	return append(dst, b...)
}

func name3(dst []byte, a, b, c string) []byte {
	dst = append(name2(dst, a, b), 0)
	return append(dst, c...)
}

// dated is the key of a row that is due at ms (not negative).
func dated(ms int64, account, id string) []byte {
	key := make([]byte, 0, 8+len(account)+1+len(id))
	return name2(binary.BigEndian.AppendUint64(key, uint64(ms)), account, id)
}

func domainKey(dst []byte, version uint32) []byte { return binary.BigEndian.AppendUint32(dst, version) }

func (k *Key) primary() []byte {
	return name2(make([]byte, 0, len(k.Account)+1+len(k.ID)), k.Account, k.ID)
}

func (k *Key) byDeletion() []byte {
	if k.DeletionAt == 0 {
		return nil
	}
	return dated(k.DeletionAt, k.Account, k.ID)
}

// byRotation leaves out keys that another region rotates, and those that are disabled or pending deletion: their overdue rotation happens once they are
// enabled again (spec 02 ROT-29, ROT-30), and until then they would only be in the scheduler's way.
func (k *Key) byRotation() []byte {
	if k.Rotation == nil || !k.Rotation.Enabled || !k.Enabled || k.Ending() || !k.rotatesHere() {
		return nil
	}
	return dated(k.Rotation.NextAt, k.Account, k.ID)
}

func (k *Key) byExpiry() []byte {
	first, found := int64(0), false
	for i := range k.Materials {
		if m := &k.Materials[i]; m.expires() && (!found || m.ExpiresAt < first) {
			first, found = m.ExpiresAt, true
		}
	}
	if !found {
		return nil
	}
	return dated(first, k.Account, k.ID)
}

// expires reports whether there is something that an expiry would take away.
func (m *Material) expires() bool { return m.Present() && m.Expires }

func (a *Alias) primary() []byte     { return name2(nil, a.Account, a.Name) }
func (a *Alias) byTarget() []byte    { return name3(nil, a.Account, a.KeyID, a.Name) }
func (a *Account) primary() []byte   { return name1(nil, a.ID) }
func (a *AccessKey) primary() []byte { return name1(nil, a.ID) }
func (a *AccessKey) byAccount() []byte {
	return name2(nil, a.Account, a.ID)
}
func (d *DomainKey) primary() []byte { return domainKey(nil, d.Version) }
func (u *KeyUse) primary() []byte    { return name2(nil, u.Account, u.KeyID) }
func (h *AuditHead) primary() []byte { return name1(nil, h.NodeID) }

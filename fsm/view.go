package fsm

import (
	"iter"
	"sync"

	memdb "github.com/hashicorp/go-memdb"
)

// view reads the tables at one moment: of a published State, or of the changes that are being applied. The read
// transaction of a State is shared by all its readers: go-memdb only follows pointers in it, and writers copy.
type view struct {
	txn *memdb.Txn
	// lookups holds spare arguments for index lookups, so that a lookup allocates neither key nor argument list.
	lookups *sync.Pool
}

// lookup is the one argument of an index lookup. args holds the lookup itself.
type lookup struct {
	key  []byte
	args [1]any
}

func newLookups() *sync.Pool {
	return &sync.Pool{New: func() any {
		l := &lookup{key: make([]byte, 0, 128)}
		l.args[0] = l
		return l
	}}
}

func (v *view) lookup() *lookup { return v.lookups.Get().(*lookup) }

// first finds the row with the lookup's key and takes the lookup back.
func first[T any](v *view, table string, l *lookup) *T {
	row, err := v.txn.First(table, indexID, l.args[:]...)
	v.lookups.Put(l)
	if err != nil {
		panic("fsm: table " + table + ": " + err.Error()) // a table or index that the schema does not have
	}
	if row == nil {
		return nil
	}
	return row.(*T)
}

// from yields the rows of an index whose key is at or after bound, in the order of the index.
func from[T any](v *view, table, index string, bound []byte) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		l := &lookup{key: bound}
		l.args[0] = l
		rows, err := v.txn.LowerBound(table, index, l.args[:]...)
		if err != nil {
			panic("fsm: table " + table + ": " + err.Error()) // a table or index that the schema does not have
		}
		for row := rows.Next(); row != nil; row = rows.Next() {
			if !yield(row.(*T)) {
				return
			}
		}
	}
}

// last finds the row with the highest key in an index whose keys begin with a number.
func last[T any](v *view, table, index string) *T {
	l := &lookup{key: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
	l.args[0] = l
	rows, err := v.txn.ReverseLowerBound(table, index, l.args[:]...)
	if err != nil {
		panic("fsm: table " + table + ": " + err.Error()) // a table or index that the schema does not have
	}
	if row := rows.Next(); row != nil {
		return row.(*T)
	}
	return nil
}

// while ends a sequence at the first row that does not belong to it.
func while[T any](rows iter.Seq[*T], belongs func(*T) bool) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for row := range rows {
			if !belongs(row) || !yield(row) {
				return
			}
		}
	}
}

// past is the smallest key after the one that ends in name: names hold no NUL.
func past(key []byte, name string) []byte {
	if name == "" {
		return key
	}
	return append(key, 0)
}

func (v *view) key(account, id string) *Key {
	l := v.lookup()
	l.key = name2(l.key[:0], account, id)
	return first[Key](v, tableKeys, l)
}

func (v *view) alias(account, name string) *Alias {
	l := v.lookup()
	l.key = name2(l.key[:0], account, name)
	return first[Alias](v, tableAliases, l)
}

func (v *view) account(id string) *Account {
	l := v.lookup()
	l.key = name1(l.key[:0], id)
	return first[Account](v, tableAccounts, l)
}

func (v *view) accessKey(id string) *AccessKey {
	l := v.lookup()
	l.key = name1(l.key[:0], id)
	return first[AccessKey](v, tableAccessKeys, l)
}

func (v *view) domainKey(version uint32) *DomainKey {
	l := v.lookup()
	l.key = domainKey(l.key[:0], version)
	return first[DomainKey](v, tableDomainKeys, l)
}

func (v *view) keyUse(account, id string) *KeyUse {
	l := v.lookup()
	l.key = name2(l.key[:0], account, id)
	return first[KeyUse](v, tableKeyUses, l)
}

func (v *view) auditHead(node string) *AuditHead {
	l := v.lookup()
	l.key = name1(l.key[:0], node)
	return first[AuditHead](v, tableAuditHeads, l)
}

func (v *view) aliasesOf(account, keyID, after string) iter.Seq[*Alias] {
	return while(from[Alias](v, tableAliases, indexTarget, past(name3(nil, account, keyID, after), after)),
		func(a *Alias) bool { return a.Account == account && a.KeyID == keyID })
}

// activeDomainKey returns the version that wraps new material. There are as many rows as rotations of the domain key.
func (v *view) activeDomainKey() *DomainKey {
	for d := range from[DomainKey](v, tableDomainKeys, indexID, nil) {
		if d.Active {
			return d
		}
	}
	return nil
}

// version returns the version of a document, 0 if it is absent.
func (v *view) version(r Read) uint64 {
	switch r.Doc {
	case DocKeyPolicy, DocKeyTags, DocKeyAlias, DocKey:
		return v.keyVersion(r)
	case DocAlias:
		if a := v.alias(r.Account, r.Name); a != nil {
			return a.Version
		}
	case DocAccessKey:
		if a := v.accessKey(r.Name); a != nil {
			return a.Version
		}
	case DocAccount:
		if a := v.account(r.Account); a != nil {
			return a.Version
		}
	case DocIdentity:
		if i := v.identity(r.Name); i != nil {
			return i.Version
		}
	case DocManagedPolicy:
		if p := v.managedPolicy(r.Name); p != nil {
			return p.Version
		}
	case DocOIDCProvider:
		if p := v.oidcProvider(r.Account, r.Name); p != nil {
			return p.Version
		}
	case DocGrant:
		if g := v.grant(r.Name); g != nil {
			return g.Version
		}
	}
	return 0
}

func (v *view) keyVersion(r Read) uint64 {
	k := v.key(r.Account, r.Name)
	if k == nil {
		return 0
	}
	switch r.Doc {
	case DocKeyPolicy:
		return k.PolicyVersion
	case DocKeyTags:
		return k.TagsVersion
	case DocKeyAlias:
		return k.AliasVersion
	}
	return k.Version
}

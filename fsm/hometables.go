package fsm

import "iter"

// identityRow is a row that follows its home: a pointer to a row of the state.
type identityRow interface {
	ref() IdentityRef
	// shared is the row's version, and whether it is the home's: what the home has not is this region's own.
	shared() (version uint64, ok bool)
	// owned is a copy that is this region's own, of a version.
	owned(version uint64) identityRow
}

// identityTable is a table of such rows.
type identityTable struct {
	name string
	// rows yields them in the order of an index, from a bound on. newest is the one with the highest version, and find the one that is meant;
	// both are nil if there is none.
	rows   func(v *view, index string, bound []byte) iter.Seq[identityRow]
	newest func(v *view) identityRow
	find   func(v *view, ref *IdentityRef) identityRow
}

// identityTables are the tables in the order of their IdentityTable numbers, which is the order of digests and of what is told.
var identityTables = [...]identityTable{
	identitiesIn(tableAccounts, func(v *view, ref *IdentityRef) *Account { return v.account(ref.Name) }),
	identitiesIn(tableManagedPolicies, func(v *view, ref *IdentityRef) *ManagedPolicy { return v.managedPolicy(ref.Name) }),
	identitiesIn(tableIdentities, func(v *view, ref *IdentityRef) *Identity { return v.identity(ref.Name) }),
	identitiesIn(tableOIDCProviders, func(v *view, ref *IdentityRef) *OIDCProvider { return v.oidcProvider(ref.Account, ref.Name) }),
	identitiesIn(tableAccessKeys, func(v *view, ref *IdentityRef) *AccessKey { return v.accessKey(ref.Name) }),
}

func identitiesIn[T any, P interface {
	*T
	identityRow
}](name string, find func(*view, *IdentityRef) *T) identityTable {
	orNone := func(row *T) identityRow {
		if row == nil {
			return nil
		}
		return P(row)
	}
	return identityTable{
		name: name,
		rows: func(v *view, index string, bound []byte) iter.Seq[identityRow] {
			return func(yield func(identityRow) bool) {
				for row := range from[T](v, name, index, bound) {
					if !yield(P(row)) {
						return
					}
				}
			}
		},
		newest: func(v *view) identityRow { return orNone(last[T](v, name, indexFeed)) },
		find:   func(v *view, ref *IdentityRef) identityRow { return orNone(find(v, ref)) },
	}
}

func (a *Account) ref() IdentityRef       { return IdentityRef{TableAccounts, "", a.ID} }
func (p *ManagedPolicy) ref() IdentityRef { return IdentityRef{TablePolicies, "", p.ID} }
func (i *Identity) ref() IdentityRef      { return IdentityRef{TableIdentities, "", i.ID} }
func (p *OIDCProvider) ref() IdentityRef  { return IdentityRef{TableProviders, p.Account, p.URL} }
func (k *AccessKey) ref() IdentityRef     { return IdentityRef{TableAccessKeys, "", k.ID} }

func (a *Account) shared() (uint64, bool)       { return a.Version, !a.Local }
func (p *ManagedPolicy) shared() (uint64, bool) { return p.Version, true }
func (i *Identity) shared() (uint64, bool)      { return i.Version, true }
func (p *OIDCProvider) shared() (uint64, bool)  { return p.Version, true }
func (k *AccessKey) shared() (uint64, bool)     { return k.Version, true }

func (a *Account) owned(version uint64) identityRow {
	row := *a
	row.Version, row.Local = version, false
	return &row
}

func (p *ManagedPolicy) owned(version uint64) identityRow {
	row := *p
	row.Version = version
	return &row
}

func (i *Identity) owned(version uint64) identityRow {
	row := *i
	row.Version = version
	return &row
}

func (p *OIDCProvider) owned(version uint64) identityRow {
	row := *p
	row.Version = version
	return &row
}

func (k *AccessKey) owned(version uint64) identityRow {
	row := *k
	row.Version = version
	return &row
}

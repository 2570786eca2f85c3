package fsm

// Staging the identities of a home that were judged (homesync.go).

// stage puts and removes the rows. What is replaced is removed first, so that a name can go from one row to another.
func (in *incoming) stage() {
	for ref := range in.each {
		in.takeOut(ref)
	}
	kept := in.takeOutGone()
	for ref, row := range in.each {
		old, _ := in.was(ref)
		in.putIn(row, old)
	}
	for _, id := range in.counted {
		if *in.counts[id] == (tally{}) {
			continue
		}
		for _, ref := range []IdentityRef{{TableAccounts, "", id}, {TablePolicies, "", id}, {TableIdentities, "", id}} {
			if in.rows[ref] != nil || in.gone[ref] {
				continue
			}
			if row, table := in.was(ref); row != nil {
				in.put(table, in.recount(row))
			}
		}
	}
	for _, a := range kept {
		in.put(tableAccounts, a)
	}
}

// takeOut removes what the state has of a row.
func (in *incoming) takeOut(ref IdentityRef) {
	if old, table := in.was(ref); old != nil {
		in.remove(table, old)
		if k, ok := old.(*AccessKey); ok {
			in.event(EventAccessKeyChanged, k.Account, k.ID, nil)
		}
	}
}

// takeOutGone removes what is gone. An account with keys stays, for them: it has no identities, and nobody can act for it.
func (in *incoming) takeOutGone() (kept []*Account) {
	for _, ref := range in.goneList {
		in.takeOut(ref)
		if ref.Table != TableAccounts || !in.hasKeys(ref.Name) {
			continue
		}
		old := in.account(ref.Name)
		kept = append(kept, &Account{ID: old.ID, CreatedAt: old.CreatedAt, KeyCount: old.KeyCount, Version: in.index, Local: true})
	}
	return kept
}

func (v *view) hasKeys(account string) bool {
	for k := range from[Key](v, tableKeys, indexID, name2(nil, account, "")) {
		return k.Account == account
	}
	return false
}

// putIn puts a row, with the counters of the one it replaces brought up to date.
func (in *incoming) putIn(row, old any) {
	intern := in.d.interner.string
	switch row := row.(type) {
	case *Account:
		next := Account{ID: row.ID}
		if was, ok := old.(*Account); ok {
			next = *was
		}
		next.CreatedAt, next.Version, next.Local = row.CreatedAt, row.Version, false
		in.put(tableAccounts, in.recount(&next))
	case *ManagedPolicy:
		next := *row
		next.Attachments, next.Boundaries = 0, 0
		if was, ok := old.(*ManagedPolicy); ok {
			next.Attachments, next.Boundaries = was.Attachments, was.Boundaries
		}
		next.Account, next.Path = intern(next.Account), intern(next.Path)
		in.put(tableManagedPolicies, in.recount(&next))
	case *Identity:
		next := *row
		next.Members = 0
		if was, ok := old.(*Identity); ok {
			next.Members = was.Members
		}
		next.Account, next.Path = intern(next.Account), intern(next.Path)
		in.put(tableIdentities, in.recount(&next))
	case *OIDCProvider:
		next := *row
		in.put(tableOIDCProviders, &next)
	case *AccessKey:
		next := *row
		in.put(tableAccessKeys, &next)
	}
}

// recount is a copy of a row with its counters brought up to date.
func (in *incoming) recount(row any) any {
	switch row := row.(type) {
	case *Account:
		next, c := *row, in.tally(row.ID)
		next.Users, next.Groups, next.Roles, next.Policies = next.Users+c.users, next.Groups+c.groups, next.Roles+c.roles, next.Policies+c.policies
		return &next
	case *ManagedPolicy:
		next, c := *row, in.tally(row.ID)
		next.Attachments, next.Boundaries = next.Attachments+c.attachments, next.Boundaries+c.boundaries
		return &next
	case *Identity:
		next := *row
		next.Members += in.tally(row.ID).members
		return &next
	}
	return row
}

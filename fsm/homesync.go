package fsm

import "github.com/trentkms/trent/fsm/planted"

// Taking over the identities of a home. They are judged as a whole: what takes effect is what the home had at one index, with every
// reference in it, or nothing.

// IdentityPart is a part of a synchronization that waits for the last one. There is one row for each part of the latest.
type IdentityPart struct {
	Part SyncIdentities `cbor:"1,keyasint"`
}

const tableIdentityParts = "identity-parts"

func (p *IdentityPart) primary() []byte { return domainKey(nil, uint32(p.Part.Part)) }

func (t *tx) dropParts() {
	for p := range from[IdentityPart](&t.view, tableIdentityParts, indexID, nil) {
		t.remove(tableIdentityParts, p)
	}
}

func applySyncIdentities(t *tx, c *SyncIdentities) outcome {
	h := t.d.region.Home
	if c.Part < c.Parts-1 {
		return t.keepPart(c, h)
	}
	if h == nil || h.Name != c.Home {
		return conflict("the region is not the home of this one's identities")
	}
	switch {
	case planted.Bug(planted.OlderIdentities):
	case h.Incarnation != c.WasIn || h.Position != c.Was:
		return stale("the identities were synchronized in the meantime")
	case c.Incarnation < h.Incarnation || c.Incarnation == h.Incarnation && c.Position < h.Position:
		return conflict("the home is known in a later state")
	case !c.Full && (c.Incarnation != h.Incarnation || h.HeardIn != t.incarnation()):
		return conflict("changes since another life say nothing")
	}
	_, out := t.takeIdentities(c)
	return out
}

// keepPart keeps a part until the last one comes. The first one replaces those of an earlier synchronization. They bind nothing: the last
// one is judged.
func (t *tx) keepPart(c *SyncIdentities, h *HomeRegion) outcome {
	if _, out := t.source(c.Home, c.Incarnation); !out.ok() {
		return out
	}
	if h != nil && h.Name == c.Home && (h.Incarnation != c.WasIn || h.Position != c.Was) {
		return stale("the identities were synchronized in the meantime")
	}
	if c.Part == 0 {
		t.dropParts()
	}
	t.put(tableIdentityParts, &IdentityPart{*c})
	return done()
}

// parts are the rows of all parts of a synchronization whose last part has come.
func (t *tx) parts(c *SyncIdentities) (all []*IdentityRows, ok bool) {
	for p := range from[IdentityPart](&t.view, tableIdentityParts, indexID, nil) {
		kept := &p.Part
		same := kept.Home == c.Home && kept.WasIn == c.WasIn && kept.Was == c.Was && kept.Incarnation == c.Incarnation &&
			kept.Position == c.Position && kept.Full == c.Full && kept.Parts == c.Parts && kept.Part == len(all)
		if len(all) == c.Parts-1 || !same {
			break
		}
		all = append(all, &kept.Rows)
	}
	return append(all, &c.Rows), len(all) == c.Parts-1
}

// takeIdentities makes the region's identities those of the rows, or changes them by the rows, and notes how current they are. vanished are those
// that were here and are not at the home.
func (t *tx) takeIdentities(c *SyncIdentities) (vanished []IdentityRef, out outcome) {
	source, out := t.source(c.Home, c.Incarnation)
	if !out.ok() {
		return nil, out
	}
	if old := t.otherRegion(c.Home); old.Incarnation != source.Incarnation {
		t.putOther(source)
	}
	all, ok := t.parts(c)
	if !ok {
		return nil, stale("parts of the identities are missing")
	}
	in := newIncoming(all)
	in.tx = t
	if c.Full {
		for ref := range t.identityRefs() {
			if in.rows[ref] == nil {
				in.vanish(ref)
			}
		}
		vanished = in.goneList
	}
	if out := in.judge(); !out.ok() {
		return nil, out
	}
	if c.Operator != t.d.region.Operator && !in.willHaveAccount(c.Operator) {
		return nil, conflict("the operator's account does not exist")
	}
	in.stage()
	t.dropParts()
	r := t.regionRow()
	h := HomeRegion{Name: c.Home, Incarnation: c.Incarnation, Position: c.Position, CurrentAt: min(c.CurrentAt, t.now), HeardIn: t.incarnation(), Followers: c.Followers}
	if was := r.Home; was != nil && was.Name == c.Home {
		h.CurrentAt = max(h.CurrentAt, was.CurrentAt)
	}
	r.Home, r.Operator = &h, c.Operator
	t.event(EventIdentities, "", "", nil)
	return vanished, done()
}

func applyAdoptHome(t *tx, c *AdoptHome) outcome {
	s, h := &c.Sync, t.d.region.Home
	switch {
	case h != nil && h.Name == s.Home:
		return conflict("the region is the home of this one's identities already")
	case h == nil && (s.WasIn != 0 || s.Was != 0), h != nil && (h.Incarnation != s.WasIn || h.Position != s.Was):
		return stale("the identities were synchronized in the meantime")
	}
	for o := range t.otherRegions() {
		if o.Follows {
			return conflict("this region is the home of the identities of region " + o.Name)
		}
	}
	vanished, out := t.takeIdentities(s)
	if out.ok() && len(vanished) > 0 && !c.Replace {
		return conflict("the home has no " + vanished[0].Name)
	}
	if out.ok() {
		t.forgetGone()
	}
	return out
}

// incoming are identities on their way into a state. The maps are only looked up in.
type incoming struct {
	*tx
	all []*IdentityRows
	// rows are those that come, by what they are; gone tells what the state has and will not have.
	rows     map[IdentityRef]any
	gone     map[IdentityRef]bool
	goneList []IdentityRef
	// counts are how counters change, by the id of account, group or policy, in the order in which they were met.
	counts  map[string]*tally
	counted []string
}

// tally is a change of counters.
type tally struct{ users, groups, roles, policies, members, attachments, boundaries int }

func newIncoming(all []*IdentityRows) *incoming {
	in := &incoming{all: all, rows: make(map[IdentityRef]any), gone: make(map[IdentityRef]bool), counts: make(map[string]*tally)}
	for _, r := range all {
		for ref, row := range r.each {
			in.rows[ref] = row
		}
	}
	for _, r := range all {
		for _, ref := range r.Gone {
			if in.rows[ref] == nil && !planted.Bug(planted.KeepRemoved) {
				in.vanish(ref)
			}
		}
	}
	return in
}

func (in *incoming) vanish(ref IdentityRef) {
	if !in.gone[ref] {
		in.gone[ref] = true
		in.goneList = append(in.goneList, ref)
	}
}

// each yields what comes, each row once: of a row that comes twice the last one.
func (in *incoming) each(yield func(ref IdentityRef, row any) bool) {
	for _, r := range in.all {
		for ref, row := range r.each {
			if in.rows[ref] == row && !yield(ref, row) {
				return
			}
		}
	}
}

// was is a row as the state has it, with its table; nil if it has none.
func (t *tx) was(ref IdentityRef) (row any, table string) {
	at := int(ref.Table) - 1
	if at < 0 || at >= len(identityTables) {
		return nil, ""
	}
	found := identityTables[at].find(&t.view, &ref)
	if found == nil {
		return nil, ""
	}
	return found, identityTables[at].name
}

// will is a row as the state will have it, nil if it will have none.
func (in *incoming) will(ref IdentityRef) any {
	if row := in.rows[ref]; row != nil {
		return row
	}
	if in.gone[ref] {
		return nil
	}
	row, _ := in.was(ref)
	return row
}

func (in *incoming) willHaveAccount(id string) bool {
	return in.will(IdentityRef{TableAccounts, "", id}) != nil
}

func (in *incoming) tally(id string) *tally {
	c := in.counts[id]
	if c == nil {
		c = new(tally)
		in.counts[id] = c
		in.counted = append(in.counted, id)
	}
	return c
}

// count adds a row to the counters, or with -1 takes it off.
func (in *incoming) count(row any, by int) {
	switch row := row.(type) {
	case *ManagedPolicy:
		in.tally(row.Account).policies += by
	case *Identity:
		switch c := in.tally(row.Account); row.Type {
		case IdentityUser:
			c.users += by
		case IdentityGroup:
			c.groups += by
		case IdentityRole:
			c.roles += by
		}
		for _, id := range row.Groups {
			in.tally(id).members += by
		}
		for _, id := range row.Attached {
			if !isBuiltIn(id) {
				in.tally(id).attachments += by
			}
		}
		if row.Boundary != "" && !isBuiltIn(row.Boundary) {
			in.tally(row.Boundary).boundaries += by
		}
	}
}

// judge checks that what the state will have holds together, and counts. A home's identities at one index always do.
func (in *incoming) judge() outcome {
	names := make(map[string]string) // of identities and policies, looked up
	for ref, row := range in.each {
		old, _ := in.was(ref)
		in.count(old, -1)
		in.count(row, 1)
		if out := in.fits(ref, row, old, names); !out.ok() {
			return out
		}
	}
	for _, ref := range in.goneList {
		old, _ := in.was(ref)
		in.count(old, -1)
	}
	for _, ref := range in.goneList {
		switch old, _ := in.was(ref); row := old.(type) {
		case *Identity:
			if row.Members+in.tally(row.ID).members > 0 {
				return conflict("a group that is gone has users")
			}
			for k := range in.accessKeysOf(row.Account, row.ID) {
				if in.will(k.ref()) != nil {
					return conflict("a user that is gone has access keys")
				}
			}
		case *ManagedPolicy:
			if c := in.tally(row.ID); row.Attachments+c.attachments > 0 || row.Boundaries+c.boundaries > 0 {
				return conflict("a policy that is gone is in use")
			}
		}
	}
	return done()
}

// fits checks one row against what else there will be.
func (in *incoming) fits(ref IdentityRef, row, old any, names map[string]string) outcome {
	account, name := "", []byte(nil)
	switch row := row.(type) {
	case *ManagedPolicy:
		account, name = row.Account, row.byName()
		if was, ok := old.(*ManagedPolicy); ok && was.Account != row.Account {
			return conflict("the unique id is another policy's")
		}
		if named := in.managedPolicyNamed(row.Account, row.Name); named != nil && named.ID != row.ID && in.will(named.ref()) == any(named) {
			return conflict("the name of a policy is taken")
		}
	case *Identity:
		account, name = row.Account, append([]byte{1}, row.byName()...)
		if was, ok := old.(*Identity); ok && (was.Account != row.Account || was.Type != row.Type) {
			return conflict("the unique id is another identity's")
		}
		if named := in.identityNamed(row.Account, row.Type, row.Name); named != nil && named.ID != row.ID && in.will(named.ref()) == any(named) {
			return conflict("the name of an identity is taken")
		}
		if out := in.refersTo(row); !out.ok() {
			return out
		}
	case *OIDCProvider:
		account = row.Account
	case *AccessKey:
		account = row.Account
		if !in.wraps(row.Domain) {
			return stale(noDomain)
		}
		if out := in.holds(row); !out.ok() {
			return out
		}
	}
	if name != nil {
		if other := names[string(name)]; other != "" && other != ref.Name {
			return conflict("two rows have one name")
		}
		names[string(name)] = ref.Name
	}
	if account != "" && !in.willHaveAccount(account) {
		return conflict("the account does not exist")
	}
	return done()
}

func (in *incoming) refersTo(i *Identity) outcome {
	for _, id := range i.Groups {
		if g, ok := in.will(IdentityRef{TableIdentities, "", id}).(*Identity); !ok || g.Type != IdentityGroup || g.Account != i.Account {
			return conflict("a group of the user does not exist")
		}
	}
	for _, id := range i.policies() {
		if isBuiltIn(id) {
			continue
		}
		if p, ok := in.will(IdentityRef{TablePolicies, "", id}).(*ManagedPolicy); !ok || p.Account != i.Account {
			return conflict("a managed policy of the identity does not exist")
		}
	}
	return done()
}

func (in *incoming) holds(k *AccessKey) outcome {
	if k.Principal == rootPrincipal || isService(k.Principal) {
		return done()
	}
	if u, ok := in.will(IdentityRef{TableIdentities, "", k.Principal}).(*Identity); !ok || u.Type != IdentityUser || u.Account != k.Account {
		return conflict("the user does not exist")
	}
	return done()
}

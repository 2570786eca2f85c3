package fsm

import (
	"testing"
)

// follower is a region that is federated with its home, eu-west-1 of incarnation 7, and has not adopted it yet.
func follower(t *testing.T) *lab {
	l := newRegion(t)
	l.ok(&PutOtherRegion{Region: OtherRegion{
		Name: followerName, ClusterID: "c", Incarnation: 7, CA: []byte{1}, Transport: []byte{1}, Mechanism: 4, Signing: []byte{1}, State: RegionFederated,
	}})
	return l
}

// everything is what a home of the two accounts tells, with more rows.
func everything(change ...func(*SyncIdentities)) *AdoptHome {
	c := &AdoptHome{Sync: SyncIdentities{
		Home: followerName, Incarnation: 7, Position: 100, Full: true, Operator: account1, CurrentAt: now0, Parts: 1,
		Rows: IdentityRows{
			Accounts:   []Account{{ID: account1, CreatedAt: 5, Version: 50}, {ID: account2, CreatedAt: 5, Version: 51}},
			AccessKeys: []AccessKey{{ID: "AKIAROOT", Account: account1, Principal: "root", Domain: 1, Secret: []byte("s"), Active: true, Version: 52}},
		},
	}}
	for _, f := range change {
		f(&c.Sync)
	}
	return c
}

// then is what the home tells after an adoption by everything.
func then(change func(*SyncIdentities)) *SyncIdentities {
	c := &SyncIdentities{
		Home: followerName, WasIn: 7, Was: 100, Incarnation: 7, Position: 110, Operator: account1, CurrentAt: now0, Parts: 1,
	}
	change(c)
	return c
}

func user(n int, name string, version uint64, groups ...string) Identity {
	i := newIdentity(account1, IdentityUser, n).Identity
	i.Name, i.Version, i.Groups = name, version, groups
	return i
}

func TestAdoptHome(t *testing.T) {
	l := follower(t)
	l.ok(newKey(account1, 1))
	l.ok(&PutAccount{Account{ID: "777788889999", CreatedAt: now0}})
	l.ok(newKey("777788889999", 2))
	l.ok(newUser(1))
	l.refused(everything(), now0, Conflict, "the home has no 777788889999")
	l.refused(&SyncIdentities{Home: followerName, Incarnation: 7, Position: 1, Full: true, Operator: account1, Parts: 1}, now0, Conflict,
		"the region is not the home of this one's identities")
	l.refused(&ReleaseHome{followerName}, now0, Conflict, "the region is not the home of this one's identities")

	c := everything()
	c.Replace = true
	l.ok(c)
	s := l.state()
	eq(t, "home", s.Home(), &HomeRegion{followerName, 7, 100, now0, s.Region().Incarnation(), nil})
	checkInvariants(t, s)
	eq(t, "user", s.Identity(identityID(IdentityUser, 1)), nil)
	if a := s.Account(account1); a.KeyCount != 1 || a.CreatedAt != 5 || a.Version != 50 || a.Users != 0 || a.Local {
		t.Errorf("an account of the home: %+v", a)
	}
	if a := s.Account("777788889999"); a == nil || a.KeyCount != 1 || !a.Local {
		t.Errorf("an account that the home lacks and that has keys: %+v", a)
	}
	if k := s.AccessKey("AKIAROOT"); string(k.Secret) != "s" || k.Version != 52 {
		t.Errorf("access key %+v", k)
	}
	l.refused(everything(), now0, Conflict, "the region is the home of this one's identities already")
	for _, body := range []Body{
		&PutAccount{Account{ID: account1}}, userKey(1, "AKIA1"), &DeleteAccessKey{"AKIAROOT"}, &SetAccessKeyStatus{"AKIAROOT", false}, newUser(1),
		&DeleteIdentity{identityID(IdentityUser, 1), 0}, newPolicy(account1, 1), &DeleteManagedPolicy{policyID(1), 0}, newProvider(account1, 1, 0),
		&DeleteOIDCProvider{account1, "idp.example/1", 0},
		&PutServiceKey{AccessKey{ID: "AKIAS", Account: account1, Principal: "service/ssm", Domain: 1, Secret: []byte{1}}},
	} {
		l.refused(body, now0, Conflict, DecidedAtHome)
	}
	l.refused(&PutFollower{followerName, 7, true}, now0, Conflict, "the region is no home: "+DecidedAtHome)
	l.ok(newKey(account1, 3)) // keys are the region's own

	l.ok(&ReleaseHome{followerName})
	s = l.state()
	checkInvariants(t, s)
	if s.Home() != nil || s.Account(account1).Version != l.index || s.AccessKey("AKIAROOT").Version != l.index || s.Account("777788889999").Local {
		t.Error("the identities are not the region's own")
	}
	l.ok(newUser(1))
}

func TestSyncIdentities(t *testing.T) {
	swapped := func(c *SyncIdentities) {
		c.Rows.Identities = []Identity{user(1, "b", 101), user(2, "a", 102)}
	}
	group := newIdentity(account1, IdentityGroup, 1).Identity
	group.Version = 60
	for _, c := range []struct {
		name, refused string
		code          Code
		body          *SyncIdentities
		after         func(*State) bool
	}{
		{name: "a name goes from one user to another", body: then(swapped), after: func(s *State) bool {
			return s.IdentityNamed(account1, IdentityUser, "a").ID == identityID(IdentityUser, 2) && s.Identity(identityID(IdentityUser, 1)).Name == "b"
		}},
		{name: "counts what refers", body: then(func(c *SyncIdentities) {
			c.Rows.Identities = []Identity{user(1, "a", 101, group.ID), user(2, "b", 102, group.ID)}
		}), after: func(s *State) bool { return s.Identity(group.ID).Members == 2 && s.Account(account1).Users == 2 }},
		{name: "removes", body: then(func(c *SyncIdentities) {
			c.Rows.Gone = []IdentityRef{{TableIdentities, "", identityID(IdentityUser, 2)}, {TableAccessKeys, "", "AKIAROOT"}, {TableAccessKeys, "", "AKIANONE"}}
		}), after: func(s *State) bool { return s.AccessKey("AKIAROOT") == nil && s.Account(account1).Users == 1 }},
		{name: "what was made again is there", body: then(func(c *SyncIdentities) {
			c.Rows.Gone = []IdentityRef{{TableIdentities, "", identityID(IdentityUser, 1)}}
			c.Rows.Identities = []Identity{user(1, "c", 105)}
		}), after: func(s *State) bool { return s.IdentityNamed(account1, IdentityUser, "c") != nil }},
		{name: "nothing has changed", body: then(func(*SyncIdentities) {}), after: func(s *State) bool { return s.Home().Position == 110 }},
		{name: "of another start", code: Stale, refused: "the identities were synchronized in the meantime", body: then(func(c *SyncIdentities) { c.Was = 99 })},
		{name: "back", code: Conflict, refused: "the home is known in a later state", body: then(func(c *SyncIdentities) { c.Position = 99 })},
		{name: "of an earlier life", code: Conflict, refused: "the home is known in a later state", body: then(func(c *SyncIdentities) { c.Incarnation, c.Full = 6, true })},
		{name: "changes since another life", code: Conflict, refused: "changes since another life say nothing", body: then(func(c *SyncIdentities) { c.Incarnation = 8 })},
		{name: "a part is missing", code: Stale, refused: "parts of the identities are missing", body: then(func(c *SyncIdentities) { c.Part, c.Parts = 1, 2 })},
		{name: "a group that is not there", code: Conflict, refused: "a group of the user does not exist", body: then(func(c *SyncIdentities) {
			c.Rows.Identities = []Identity{user(3, "x", 101, identityID(IdentityGroup, 9))}
		})},
		{name: "a name that is taken", code: Conflict, refused: "the name of an identity is taken", body: then(func(c *SyncIdentities) {
			c.Rows.Identities = []Identity{user(3, "A", 101)}
		})},
		{name: "one name twice", code: Conflict, refused: "two rows have one name", body: then(func(c *SyncIdentities) {
			c.Rows.Identities = []Identity{user(3, "x", 101), user(4, "X", 101)}
		})},
		{name: "an access key of nobody", code: Conflict, refused: "the user does not exist", body: then(func(c *SyncIdentities) {
			c.Rows.AccessKeys = []AccessKey{userKey(9, "AKIA9").AccessKey}
		})},
		{name: "a secret that nobody opens", code: Stale, refused: noDomain, body: then(func(c *SyncIdentities) {
			k := userKey(1, "AKIA1").AccessKey
			k.Domain = 9
			c.Rows.AccessKeys = []AccessKey{k}
		})},
		{name: "an operator of an account that is not there", code: Conflict, refused: "the operator's account does not exist", body: then(func(c *SyncIdentities) {
			c.Operator = "777788889999"
		})},
		{name: "a user of an account that is not there", code: Conflict, refused: "the account does not exist", body: then(func(c *SyncIdentities) {
			i := user(3, "x", 101)
			i.Account = "777788889999"
			c.Rows.Identities = []Identity{i}
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := follower(t)
			l.ok(everything(func(s *SyncIdentities) { s.Rows.Identities = []Identity{group, user(1, "a", 61), user(2, "b", 62)} }))
			if c.refused != "" {
				l.refused(c.body, now0, c.code, c.refused)
				return
			}
			l.ok(c.body)
			checkInvariants(t, l.state())
			if !c.after(l.state()) {
				t.Errorf("home %+v", l.state().Home())
			}
		})
	}
}

// TestHomePartsEndWithTheirRegion: what waits of an adoption that did not come about goes with the region that it came from.
func TestHomePartsEndWithTheirRegion(t *testing.T) {
	for _, body := range []Body{&DropRegion{followerName}, &ForgetRegion{followerName, 50}} {
		l := follower(t)
		l.ok(then(func(c *SyncIdentities) { c.WasIn, c.Was, c.Full, c.Parts = 0, 0, true, 2 }))
		l.ok(body)
		for range from[IdentityPart](&l.state().view, tableIdentityParts, indexID, nil) {
			t.Errorf("a part is left after %T", body)
		}
	}
}

func TestFollowers(t *testing.T) {
	l := follower(t)
	l.refused(&PutFollower{followerName, 7, true}, now0, Conflict, "the operator of this region has not let the other one follow it")
	l.ok(&AllowFollower{followerName, true})
	l.ok(&PutFollower{followerName, 7, true})
	l.refused(&PutFollower{followerName, 7, true}, now0, Conflict, "nothing new")
	l.refused(&PutFollower{followerName, 6, false}, now0, Conflict, "the region has begun a new incarnation")
	l.refused(everything(), now0, Conflict, "this region is the home of the identities of region "+followerName)
	l.refused(&DropRegion{followerName}, now0, Conflict, "this region is the home of the other one's identities")
	from := l.index
	l.ok(newUser(1))
	l.ok(&DeleteIdentity{identityID(IdentityUser, 1), l.index})
	var gone []any
	for row := range l.state().IdentityChanges(from) {
		gone = append(gone, row)
	}
	if len(gone) != 1 || gone[0] != any(IdentityRef{TableIdentities, "", identityID(IdentityUser, 1)}) || l.state().IdentitiesChangedAt() != l.index {
		t.Errorf("changes %+v, the last at %d", gone, l.state().IdentitiesChangedAt())
	}
	if !l.state().IdentitiesSince(from) || l.state().IdentitiesSince(1) || l.state().IdentitiesSince(l.index+1) {
		t.Error("what is known since when")
	}
	l.ok(&AllowFollower{followerName, false})
	if l.state().Region().SharedFrom != 0 || l.state().OtherRegion(followerName).Follows {
		t.Error("a region follows that may not any more")
	}
	l.ok(&AllowFollower{followerName, true})
	l.ok(&PutFollower{followerName, 7, true})
	l.ok(&ForgetRegion{followerName, 50})
	if l.state().Region().SharedFrom != 0 || l.state().OtherRegion(followerName).Follows {
		t.Error("a forgotten region follows")
	}
}

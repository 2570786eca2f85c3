package fsm

import (
	"fmt"
	"strings"
)

// goldenHomeBodies are the golden bodies about where identities live.
func goldenHomeBodies() []Body {
	rows := func() IdentityRows {
		return IdentityRows{
			Accounts: []Account{{ID: "111122223333", CreatedAt: 1004, KeyCount: 7, Version: 8, Users: 1, Groups: 2, Roles: 3, Policies: 4}},
			Policies: []ManagedPolicy{{
				Account: "111122223333", ID: "ANPA1", Name: "n", Path: "/a/", Description: "d", CreatedAt: 1018, UpdatedAt: 1019,
				Versions: []PolicyVersion{{1, "{}", 1020}}, Default: 1, Last: 2, Tags: []Tag{{"k", "v"}}, Version: 22, Attachments: 23, Boundaries: 24,
			}},
			Identities: []Identity{{
				Account: "111122223333", Type: IdentityRole, ID: "AROA1", Name: "n", Path: "/a/", CreatedAt: 1017,
				Inline: []InlinePolicy{{"i", "{}"}}, Attached: []string{"ANPA1"}, Boundary: "ANPA2", Tags: []Tag{{"k", "v"}},
				Trust: "{}", TrustPrincipals: []PolicyPrincipal{{"arn:aws:iam::111122223333:user/u", "AIDA1"}}, MaxSession: 3600,
				Description: "d", Version: 18, Members: 19,
			}},
			Providers: []OIDCProvider{{
				Account: "111122223333", URL: "idp.example/a", ID: "OIDC1", CreatedAt: 1021, ClientIDs: []string{"c"},
				Thumbprints: []string{strings.Repeat("a1", 20)}, Keys: "{}", Tags: []Tag{{"k", "v"}}, Version: 27,
			}},
			AccessKeys: []AccessKey{{"AKIA1", "111122223333", "root", 3, []byte{0xd1}, true, 1005, 9}},
		}
	}
	changed := rows()
	changed.Gone = []IdentityRef{{TableProviders, "111122223333", "idp.example/b"}}
	all := SyncIdentities{"eu-west-1", 5, 6, 7, 8, true, "111122223333", 1030, 1, 2, rows(), nil}
	return []Body{
		&SyncIdentities{"eu-west-1", 5, 6, 7, 8, false, "111122223333", 1030, 1, 2, changed, nil},
		&AdoptHome{all, true},
		&ReleaseHome{"eu-west-1"},
		&PutFollower{"eu-west-1", 7, true},
		&AllowFollower{"eu-west-1", true},
	}
}

// homeBody draws a body about where identities live: they go to another region's and come back, and are taken over while they are there.
func (c chance) homeBody(other string, incarnation uint64) Body {
	h := c.s.Home()
	if o := c.s.OtherRegion(other); h == nil && o != nil && o.Allowed && !o.Follows && c.flag() {
		return &PutFollower{other, o.Incarnation, true}
	}
	if h == nil || c.Intn(3) == 0 {
		switch {
		case h != nil && c.flag():
			return &ReleaseHome{h.Name}
		case c.Intn(3) == 0:
			if c.flag() {
				return &AllowFollower{other, c.flag()}
			}
			return &PutFollower{other, incarnation, c.Intn(3) == 0}
		}
		s := c.identities(other, incarnation)
		s.Full = true
		s.Rows.Gone = nil
		return &AdoptHome{s, c.Intn(4) > 0}
	}
	s := c.identities(h.Name, max(h.Incarnation, incarnation))
	s.WasIn, s.Was = h.Incarnation, h.Position
	s.Position += h.Position
	if c.Intn(3) == 0 {
		s.Full = true
		s.Rows.Gone = nil
	}
	if c.Intn(3) == 0 {
		s.Parts, s.Part = 2, c.Intn(2)
	}
	return &s
}

// identities draws some rows as a home would tell them.
func (c chance) identities(home string, incarnation uint64) SyncIdentities {
	s := SyncIdentities{
		Home: home, Incarnation: incarnation, Position: uint64(c.Intn(9) + 1), Operator: account1, CurrentAt: c.s.Now(), Parts: 1,
		Rows: IdentityRows{Accounts: []Account{{ID: account1, CreatedAt: now0, Version: 1}, {ID: account2, CreatedAt: now0, Version: 1}}},
	}
	for range c.Intn(4) {
		i := c.putIdentity().(*PutIdentity).Identity
		i.Version = uint64(c.Intn(9) + 1)
		s.Rows.Identities = append(s.Rows.Identities, i)
	}
	for n := range 3 {
		if c.Intn(4) > 0 {
			s.Rows.Policies = append(s.Rows.Policies, newPolicy(account1, n).Policy)
			s.Rows.Identities = append(s.Rows.Identities, newIdentity(account1, IdentityGroup, n).Identity)
		}
	}
	for _, name := range []string{"ap-south-1", "sa-east-1"} {
		if c.Intn(3) == 0 {
			s.Followers = append(s.Followers, namedFollower(name))
		}
	}
	for n := range c.Intn(3) {
		s.Rows.AccessKeys = append(s.Rows.AccessKeys, AccessKey{ID: fmt.Sprint("AKIA", n), Account: account1, Principal: "root", Domain: 1, Secret: []byte{1}})
		s.Rows.Gone = append(s.Rows.Gone, IdentityRef{TableIdentities, "", identityID(IdentityUser, n)})
	}
	return s
}

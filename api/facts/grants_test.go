package facts

import (
	"slices"
	"testing"

	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/fsm"
)

// TestGranteeKeys: whom grants are looked up for.
func TestGranteeKeys(t *testing.T) {
	const root = "arn:aws:iam::111122223333:root"
	for _, c := range []struct {
		p    policy.Principal
		want []string
	}{
		{policy.Principal{Kind: policy.Root, ARN: root, Account: "111122223333"}, []string{root}},
		{policy.Principal{Kind: policy.User, ARN: "u", Account: "111122223333", IdentityARN: "u", IdentityID: "AIDA1"}, []string{"u", "AIDA1", root}},
		{policy.Principal{Kind: policy.User, ARN: "u", Account: "111122223333", IdentityARN: "u"}, []string{"u", root}},
		{policy.Principal{Kind: policy.RoleSession, ARN: "s", Account: "111122223333", IdentityARN: "r", IdentityID: "AROA1"}, []string{"s", "AROA1", root}},
		{policy.Principal{Kind: policy.FederatedUser, ARN: "f", Account: "111122223333"}, []string{"f", root}},
		{policy.Principal{Kind: policy.Service, ARN: "s3.amazonaws.com"}, []string{"s3.amazonaws.com"}},
	} {
		if got := grantees("aws", &c.p); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.p.ARN, got, c.want)
		}
	}
}

// TestStoredGrantDecides takes grants of users, roles and sessions from the state to the engine: what was bound to a unique id
// belongs to nobody else, and what cannot be read allows nothing.
func TestStoredGrantDecides(t *testing.T) {
	const key = "arn:aws:kms:us-east-1:111122223333:key/1"
	user := func(id string) *policy.Principal {
		return &policy.Principal{Kind: policy.User, ARN: "arn:aws:iam::444455556666:user/u", Account: "444455556666",
			IdentityARN: "arn:aws:iam::444455556666:user/u", IdentityID: id}
	}
	session := func(id string) *policy.Principal {
		return &policy.Principal{Kind: policy.RoleSession, ARN: "arn:aws:sts::444455556666:assumed-role/r/s", Account: "444455556666",
			IdentityARN: "arn:aws:iam::444455556666:role/r", IdentityID: id}
	}
	for name, c := range map[string]struct {
		grantee fsm.GrantPrincipal
		caller  *policy.Principal
		want    bool
	}{
		"user":                        {fsm.GrantPrincipal{ARN: user("").ARN, UniqueID: "AIDAAAAAAAAAAAAAAAAA1"}, user("AIDAAAAAAAAAAAAAAAAA1"), true},
		"recreated user":              {fsm.GrantPrincipal{ARN: user("").ARN, UniqueID: "AIDAAAAAAAAAAAAAAAAA1"}, user("AIDAAAAAAAAAAAAAAAAA2"), false},
		"role":                        {fsm.GrantPrincipal{ARN: session("").IdentityARN, UniqueID: "AROAAAAAAAAAAAAAAAAA1"}, session("AROAAAAAAAAAAAAAAAAA1"), true},
		"session":                     {fsm.GrantPrincipal{ARN: session("").ARN, RoleID: "AROAAAAAAAAAAAAAAAAA1"}, session("AROAAAAAAAAAAAAAAAAA1"), true},
		"session of another":          {fsm.GrantPrincipal{ARN: session("").ARN, RoleID: "AROAAAAAAAAAAAAAAAAA1"}, session("AROAAAAAAAAAAAAAAAAA2"), false},
		"another session":             {fsm.GrantPrincipal{ARN: session("").ARN + "2", RoleID: "AROAAAAAAAAAAAAAAAAA1"}, session("AROAAAAAAAAAAAAAAAAA1"), false},
		"account, no identity policy": {fsm.GrantPrincipal{ARN: "arn:aws:iam::444455556666:root"}, user("AIDAAAAAAAAAAAAAAAAA1"), false},
	} {
		g := &fsm.Grant{ID: "g", Grantee: c.grantee, Operations: fsm.GrantDescribeKey, IssuingAccount: "111122223333"}
		d := policy.Decide(&policy.Request{
			Principal: c.caller, Action: "kms:DescribeKey", Resource: policy.Resource{Type: policy.ResourceKey, ARN: key, Account: "111122223333"},
			Grants: slices.Values([]*policy.Grant{new(Grants).Get(g, key)}),
		})
		if d.Allowed() != c.want {
			t.Errorf("%s: %+v", name, d)
		}
		found := slices.Contains(grantees("aws", c.caller), g.Grantee.Key())
		if c.want && !found {
			t.Errorf("%s: the grant is not looked up", name)
		}
	}
	for name, g := range map[string]*fsm.Grant{
		"grantee":    {Grantee: fsm.GrantPrincipal{ARN: "nobody"}},
		"retiring":   {Grantee: fsm.GrantPrincipal{ARN: "arn:aws:iam::444455556666:root"}, Retiring: &fsm.GrantPrincipal{ARN: "nobody"}},
		"constraint": {Grantee: fsm.GrantPrincipal{ARN: "arn:aws:iam::444455556666:root"}, Constraint: &fsm.GrantConstraint{Type: 9}},
	} {
		if Grant(g, key) != nil {
			t.Errorf("a grant with a strange %s is read", name)
		}
	}
}

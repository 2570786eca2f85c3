package api

import (
	"reflect"
	"slices"
	"testing"

	"github.com/trentkms/trent/api/facts"
	"github.com/trentkms/trent/api/policy"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region"
	"github.com/trentkms/trent/region/shape"
)

// TestEveryTokenIsChecked: an operation with grant tokens that forgot to show them to the pipeline would accept forged ones.
func TestEveryTokenIsChecked(t *testing.T) {
	n := 0
	for _, op := range Operations() {
		in := op.newInput()
		field := reflect.ValueOf(in).Elem().FieldByName("GrantTokens")
		if !field.IsValid() {
			continue
		}
		n++
		field.Set(reflect.ValueOf([]string{"token"}))
		if bearer, ok := in.(region.Tokened); !ok || !slices.Equal(bearer.Tokens(), []string{"token"}) {
			t.Errorf("%s hides its grant tokens", op.Name)
		}
	}
	if n != 15 { // spec 04 GT-03, DeriveSharedSecret and the four data key operations included
		t.Errorf("%d operations take grant tokens", n)
	}
}

// TestGrantOperationsAgree: state, wire and policy engine know the same operations.
func TestGrantOperationsAgree(t *testing.T) {
	var all fsm.GrantOps
	for _, name := range shape.GrantOperation("").Enum() {
		op := region.GrantOp(name)
		if op == 0 || all&op != 0 {
			t.Errorf("%s has bit %b", name, op)
		}
		all |= op
		if ops, err := policy.ParseGrantOperations([]string{name}); err != nil || !slices.Equal(ops.Names(), []string{name}) {
			t.Errorf("the policy engine reads %s as %v, %v", name, ops.Names(), err)
		}
	}
	if names := region.GrantOpNames[string](all); !slices.Equal(names, shape.GrantOperation("").Enum()) {
		t.Errorf("all operations are %v", names)
	}
	for _, p := range policy.Permissions() {
		if bit := region.GrantOp(p.Action[len("kms:"):]); (bit != 0) != (p.Grant != 0) {
			t.Errorf("a grant conveys %s: %v by the permissions reference", p.Action, p.Grant != 0)
		}
	}
}

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
		if got := facts.Grantees("aws", &c.p); !slices.Equal(got, c.want) {
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
			Grants: slices.Values([]*policy.Grant{new(grantCache).get(g, key)}),
		})
		if d.Allowed() != c.want {
			t.Errorf("%s: %+v", name, d)
		}
		found := slices.Contains(facts.Grantees("aws", c.caller), g.Grantee.Key())
		if c.want && !found {
			t.Errorf("%s: the grant is not looked up", name)
		}
	}
	for name, g := range map[string]*fsm.Grant{
		"grantee":    {Grantee: fsm.GrantPrincipal{ARN: "nobody"}},
		"retiring":   {Grantee: fsm.GrantPrincipal{ARN: "arn:aws:iam::444455556666:root"}, Retiring: &fsm.GrantPrincipal{ARN: "nobody"}},
		"constraint": {Grantee: fsm.GrantPrincipal{ARN: "arn:aws:iam::444455556666:root"}, Constraint: &fsm.GrantConstraint{Type: 9}},
	} {
		if facts.Grant(g, key) != nil {
			t.Errorf("a grant with a strange %s is read", name)
		}
	}
}

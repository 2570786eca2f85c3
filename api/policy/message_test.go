package policy

import (
	"strings"
	"testing"
)

// TestMessagesAE01: the texts that client tools match, verbatim.
func TestMessagesAE01(t *testing.T) {
	alice, app, carol := user(accountK, "alice"), session(accountK, "app", "s1"), user(accountX, "carol")
	const hidden = " on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
	denyIf := `{"Effect": "Deny", "Action": "kms:*", "Resource": "*", "Condition": {"Null": {"kms:KeySpec": false}}}`
	tests := []struct {
		s    scene
		want string // after "User: P is not authorized to perform: kms:Encrypt"
	}{
		{scene{caller: alice, key: toApp}, " on resource: " + keyARN + " because no resource-based policy allows the kms:Encrypt action"},
		{scene{caller: alice, key: toAccountK}, " on resource: " + keyARN + " because no identity-based policy allows the kms:Encrypt action"},
		{scene{caller: alice, key: toAlice, identity: denyUse}, " on resource: " + keyARN + " with an explicit deny in an identity-based policy"},
		{scene{caller: alice, key: toAlice + "," + denyAll}, " on resource: " + keyARN + " with an explicit deny in a resource-based policy"},
		{scene{caller: alice, key: toAlice, boundary: denyUse}, " on resource: " + keyARN + " with an explicit deny in a permissions boundary"},
		{scene{caller: app, key: toAppS1, session: denyUse}, " on resource: " + keyARN + " with an explicit deny in a session policy"},
		{scene{caller: alice, key: toAlice, cap: allowAll + "," + denyUse}, " on resource: " + keyARN + " with an explicit deny in a service control policy"},
		{scene{caller: alice, key: toAlice, cap: allowOther}, " on resource: " + keyARN + " with an explicit deny in a service control policy"},
		{scene{caller: alice, key: toAlice, endpoint: denyAll}, " on resource: " + keyARN + " with an explicit deny in a VPC endpoint policy"},
		{scene{caller: alice, key: toAccountK, identity: allowUse, boundary: allowOther}, " on resource: " + keyARN + " because no permissions boundary allows the kms:Encrypt action"},
		{scene{caller: app, key: toAccountK, identity: allowUse, session: allowOther}, " on resource: " + keyARN + " because no session policy allows the kms:Encrypt action"},
		{scene{caller: alice, key: toAlice, endpoint: toApp}, " on resource: " + keyARN + " because no VPC endpoint policy allows the kms:Encrypt action"},
		{scene{caller: carol, identity: allowAll}, hidden},
		{scene{caller: carol, key: toAccountK, identity: allowAll}, hidden},
		{scene{caller: carol, key: toAccountX + "," + denyAll, identity: allowAll}, hidden},
		{scene{caller: carol, key: toAccountX}, " on this resource because no identity-based policy allows the kms:Encrypt action"},
		{scene{caller: carol, key: toAccountX, identity: denyUse}, " on resource: " + keyARN + " with an explicit deny in an identity-based policy"},
		// A Deny of the caller's own that asks for the key's properties must not tell whether the key exists (AE-02).
		{scene{caller: carol, key: toAccountK, identity: allowAll + "," + denyIf}, hidden},
		{scene{caller: carol, identity: allowAll + "," + denyIf}, hidden},
		{scene{caller: carol, key: toAccountX + "," + denyAll, identity: denyUse}, hidden},
	}
	for _, test := range tests {
		req := test.s.request(t)
		if test.s.key != "" {
			req.with("kms:KeySpec=SYMMETRIC_DEFAULT") // a key that exists has properties
		}
		d := decide(t, req)
		want := "User: " + req.Principal.ARN + " is not authorized to perform: kms:Encrypt" + test.want
		if got := d.Message(req.Principal.ARN, "kms:Encrypt", keyARN); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestMessagesWithoutKey(t *testing.T) {
	alice := user(accountK, "alice")
	none := Decide(&Request{Principal: alice, Action: "kms:CreateKey", Resource: Resource{Type: ResourceNone}})
	if got := none.Message(alice.ARN, "kms:CreateKey", "*"); !strings.HasSuffix(got, "kms:CreateKey on resource: * because no identity-based policy allows the kms:CreateKey action") {
		t.Error(got)
	}
	tag := Decide(&Request{Principal: alice, Action: "kms:TagResource", Resource: Resource{Type: ResourceNewKey, ARN: keyARN, Account: accountK}})
	if got := tag.Message(alice.ARN, "kms:TagResource", keyARN); !strings.HasSuffix(got, "kms:TagResource because no identity-based policy allows the kms:TagResource action") {
		t.Error(got)
	}
	allowed := Decide(encryptByRoot(t))
	if got := allowed.Message("x", "y", "z"); got != "" {
		t.Error(got)
	}
}

func TestOutcomeNames(t *testing.T) {
	for o, want := range map[Outcome]string{Allowed: "allowed", ExplicitDeny: "explicitDeny", ImplicitDeny: "implicitDeny"} {
		if o.String() != want {
			t.Errorf("%v", o)
		}
	}
}

package policy

import (
	"slices"
	"testing"
)

func pairs(kv ...string) Pairs {
	m := map[string]string{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return MapPairs(m)
}

func TestConstraintsGR12(t *testing.T) {
	equals := Constraint{EncryptionContextEquals, pairs("a", "1", "b", "2")}
	subset := Constraint{EncryptionContextSubset, pairs("a", "1", "b", "2")}
	tests := []struct {
		name           string
		context        Pairs
		equals, subset bool
	}{
		{"exact", pairs("b", "2", "a", "1"), true, true},
		{"more", pairs("a", "1", "b", "2", "c", "3"), false, true},
		{"fewer", pairs("a", "1"), false, false},
		{"value's case", pairs("a", "1", "b", "2 "), false, false},
		{"key's case", pairs("A", "1", "b", "2"), false, false},
		{"none", nil, false, false},
	}
	for _, test := range tests {
		if got := equals.Satisfied(test.context); got != test.equals {
			t.Errorf("Equals, %s: %v", test.name, got)
		}
		if got := subset.Satisfied(test.context); got != test.subset {
			t.Errorf("Subset, %s: %v", test.name, got)
		}
		if !(Constraint{}).Satisfied(test.context) {
			t.Errorf("no constraint, %s", test.name)
		}
	}
	if (Constraint{Type: 9}).Satisfied(nil) || (Constraint{Type: 9}).AllowsChild(Constraint{}) {
		t.Error("an unknown constraint is satisfied")
	}
}

func TestParentGR06(t *testing.T) {
	ab, abc := pairs("a", "1", "b", "2"), pairs("a", "1", "b", "2", "c", "3")
	none := Constraint{}
	eq := func(p Pairs) Constraint { return Constraint{EncryptionContextEquals, p} }
	sub := func(p Pairs) Constraint { return Constraint{EncryptionContextSubset, p} }
	for _, c := range []struct {
		name          string
		parent, child Constraint
		want          bool
	}{
		{"none to none", none, none, true}, {"none to any", none, eq(ab), true},
		{"subset to none", sub(ab), none, false}, {"subset to same", sub(ab), sub(ab), true}, {"subset to larger subset", sub(ab), sub(abc), true},
		{"subset to larger equals", sub(ab), eq(abc), true}, {"subset to same equals", sub(ab), eq(ab), true},
		{"subset to smaller", sub(abc), sub(ab), false}, {"subset to smaller equals", sub(abc), eq(ab), false},
		{"equals to none", eq(ab), none, false}, {"equals to same", eq(ab), eq(ab), true}, {"equals to subset", eq(ab), sub(ab), false},
		{"equals to larger", eq(ab), eq(abc), false},
	} {
		if got := c.parent.AllowsChild(c.child); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	parent := &Grant{KeyARN: keyARN, Operations: operations(t, "Encrypt", "Decrypt", "CreateGrant")}
	for _, c := range []struct {
		names  []string
		parent *Grant
		key    string
		want   bool
	}{
		{[]string{"Encrypt"}, parent, keyARN, true},
		{[]string{"Encrypt", "CreateGrant"}, parent, keyARN, true},
		{[]string{"Encrypt", "Sign"}, parent, keyARN, false},
		{[]string{"Encrypt"}, parent, otherKey, false},
		{[]string{"Encrypt"}, &Grant{KeyARN: keyARN, Operations: operations(t, "Encrypt")}, keyARN, false},
	} {
		if got := c.parent.AllowsChild(&Grant{KeyARN: c.key, Operations: operations(t, c.names...)}); got != c.want {
			t.Errorf("%v: %v", c.names, got)
		}
	}
}

func TestGrantsEV08(t *testing.T) {
	const (
		aliceARN = "arn:aws:iam::111122223333:user/alice"
		appARN   = "arn:aws:iam::111122223333:role/app"
	)
	g := func(to string, ops ...string) *Grant {
		return &Grant{ID: "g", KeyARN: keyARN, Grantee: grantee(t, to), Operations: operations(t, ops...)}
	}
	elsewhere := g(aliceARN, "Encrypt")
	elsewhere.KeyARN = otherKey
	constrained := g(aliceARN, "Encrypt")
	constrained.Constraint = Constraint{EncryptionContextSubset, pairs("a", "1")}
	bound, err := NewGrantPrincipal(aliceARN, "AIDANEWNEWNEWNEWNEWNEW")
	if err != nil {
		t.Fatal(err)
	}
	orphan := g(aliceARN, "Encrypt")
	orphan.Grantee = bound
	alice, app, guest := user(accountK, "alice"), session(accountK, "app", "s1"), federated(accountK, "guest", "alice")
	list := func(gs ...*Grant) []*Grant { return gs }
	scenes := []scene{
		{rule: "grantee", caller: alice, key: toXRole, grants: list(g(aliceARN, "Encrypt")), want: Allowed, by: GrantPolicy},
		{rule: "other operation", caller: alice, key: toXRole, grants: list(g(aliceARN, "Decrypt")), want: ImplicitDeny, by: ResourceBasedPolicy},
		{rule: "other grantee", caller: user(accountK, "bob"), key: toXRole, grants: list(g(aliceARN, "Encrypt")), want: ImplicitDeny, by: ResourceBasedPolicy},
		{rule: "other key", caller: alice, key: toXRole, grants: list(elsewhere), want: ImplicitDeny, by: ResourceBasedPolicy},
		{rule: "GR-15 recreated grantee", caller: alice, key: toXRole, grants: list(orphan), want: ImplicitDeny, by: ResourceBasedPolicy},
		{rule: "GR-12 constraint", caller: alice, key: toXRole, grants: list(constrained), want: ImplicitDeny, by: ResourceBasedPolicy},
		{rule: "second of two", caller: alice, key: toXRole, grants: list(g(appARN, "Encrypt"), g(aliceARN, "Encrypt")), want: Allowed, by: GrantPolicy},
		{rule: "EV-09 explicit Deny", caller: alice, key: toXRole + "," + denyAll, grants: list(g(aliceARN, "Encrypt")), want: ExplicitDeny, by: ResourceBasedPolicy},
		{rule: "EV-09 identity Deny", caller: alice, key: toXRole, identity: denyUse, grants: list(g(aliceARN, "Encrypt")), want: ExplicitDeny, by: IdentityBasedPolicy},
		{rule: "EV-03 endpoint is silent", caller: alice, key: toXRole, endpoint: toApp, grants: list(g(aliceARN, "Encrypt")), want: ImplicitDeny, by: VPCEndpointPolicy},
		{rule: "EV-03 guardrail is silent", caller: alice, key: toXRole, cap: allowOther, grants: list(g(aliceARN, "Encrypt")), want: ExplicitDeny, by: ServiceControlPolicy},
		{rule: "EV-05 user, boundary", caller: alice, key: toXRole, boundary: allowOther, grants: list(g(aliceARN, "Encrypt")), want: Allowed, by: GrantPolicy},
		{rule: "EV-05 role", caller: app, key: toXRole, grants: list(g(appARN, "Encrypt")), want: Allowed, by: GrantPolicy},
		{rule: "EV-05 role, boundary", caller: app, key: toXRole, boundary: allowOther, grants: list(g(appARN, "Encrypt")), want: ImplicitDeny, by: ResourceBasedPolicy},
		{rule: "EV-05 session", caller: app, key: toXRole, session: allowOther, grants: list(g("arn:aws:sts::111122223333:assumed-role/app/s1", "Encrypt")), want: Allowed, by: GrantPolicy},
		{rule: "EV-05 federated user's user, no session policy", caller: guest, key: toXRole, grants: list(g(aliceARN, "Encrypt")), want: ImplicitDeny, by: ResourceBasedPolicy},
		{rule: "EV-05 federated user's user", caller: guest, key: toXRole, session: allowUse, grants: list(g(aliceARN, "Encrypt")), want: Allowed, by: GrantPolicy},
		{rule: "EV-08 account, root", caller: root(accountK), key: toXRole, grants: list(g(accountK, "Encrypt")), want: Allowed, by: GrantPolicy},
		{rule: "EV-08 account, user without identity policy", caller: alice, key: toXRole, grants: list(g(accountK, "Encrypt")), want: ImplicitDeny, by: ResourceBasedPolicy},
		{rule: "EV-08 account, user", caller: alice, key: toXRole, identity: allowUse, grants: list(g(accountK, "Encrypt")), want: Allowed, by: GrantPolicy},
		{rule: "XA-01 foreign user", caller: user(accountX, "carol"), key: toAccountK, grants: list(g("arn:aws:iam::444455556666:user/carol", "Encrypt")), want: Allowed, by: GrantPolicy},
		{rule: "XA-01 foreign account", caller: user(accountX, "carol"), key: toAccountK, grants: list(g(accountX, "Encrypt")), want: ImplicitDeny, by: IdentityBasedPolicy},
		{rule: "XA-01 foreign account, identity policy", caller: user(accountX, "carol"), key: toAccountK, identity: allowUse, grants: list(g(accountX, "Encrypt")), want: Allowed, by: GrantPolicy},
		{rule: "GR-13 service", caller: service("ec2.amazonaws.com"), key: toXRole, grants: list(g("ec2.amazonaws.com", "Encrypt")), want: Allowed, by: GrantPolicy},
		{rule: "a policy allows first", caller: alice, key: toAlice, grants: list(g(aliceARN, "Encrypt")), want: Allowed, by: ResourceBasedPolicy},
	}
	for _, s := range scenes {
		s.run(t)
	}
	req := scene{caller: alice, key: toXRole, grants: list(constrained)}.request(t)
	req.EncryptionContext = pairs("a", "1", "b", "2")
	if d := decide(t, req); !d.Allowed() || d.Grant != constrained {
		t.Errorf("constraint met: %+v", d)
	}
	describe := scene{caller: alice, key: toXRole}.request(t)
	describe.Action = "kms:DescribeKey"
	constrained.Operations = operations(t, "DescribeKey")
	describe.Grants = grants(constrained)
	wantOutcome(t, describe, Allowed) // GR-12: the constraint does not count for DescribeKey
	retire := scene{caller: alice, key: toXRole, grants: list(g(aliceARN, "RetireGrant"))}.request(t)
	retire.Action = "kms:RetireGrant"
	wantOutcome(t, retire, ImplicitDeny) // only DecideRetireGrant knows which grant is meant
	rotate := scene{caller: alice, key: toXRole, grants: list(g(aliceARN, "Encrypt", "Decrypt"))}.request(t)
	rotate.Action = "kms:RotateKeyOnDemand"
	wantOutcome(t, rotate, ImplicitDeny)
}

// TestCreateGrantByGrant: without permission by policy, one single parent must cover the new grant (GR-05, GR-06).
func TestCreateGrantByGrant(t *testing.T) {
	const aliceARN = "arn:aws:iam::111122223333:user/alice"
	parent := func(ops ...string) *Grant {
		return &Grant{KeyARN: keyARN, Grantee: grantee(t, aliceARN), Operations: operations(t, ops...)}
	}
	child := func(ops ...string) *Grant { return &Grant{KeyARN: keyARN, Operations: operations(t, ops...)} }
	for _, c := range []struct {
		name    string
		key     string
		parents []*Grant
		child   *Grant
		want    Outcome
	}{
		{"covered", toXRole, []*Grant{parent("CreateGrant", "Encrypt")}, child("Encrypt"), Allowed},
		{"not covered", toXRole, []*Grant{parent("CreateGrant", "Encrypt")}, child("Decrypt"), ImplicitDeny},
		{"two halves are no whole", toXRole, []*Grant{parent("CreateGrant", "Encrypt"), parent("CreateGrant", "Decrypt")}, child("Encrypt", "Decrypt"), ImplicitDeny},
		{"parent without CreateGrant", toXRole, []*Grant{parent("Encrypt")}, child("Encrypt"), ImplicitDeny},
		{"no child given", toXRole, []*Grant{parent("CreateGrant", "Encrypt")}, nil, ImplicitDeny},
		{"by policy anything goes", toAlice, nil, child("Sign"), Allowed},
	} {
		req := onKey(user(accountK, "alice"), "kms:CreateGrant").keyPolicy(keyPolicyOf(t, c.key))
		req.Grants, req.NewGrant = grants(c.parents...), c.child
		if d := decide(t, req); d.Outcome != c.want {
			t.Errorf("%s: %v", c.name, d.Outcome)
		}
	}
}

func TestRetireGrantGM04(t *testing.T) {
	const key = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	mallory, retirer, grantUser := user(accountK, "mallory"), user(accountK, "retirer"), user(accountX, "grantee")
	grant := func(granteeARN, retiring, issuing string, ops ...string) *Grant {
		g := &Grant{ID: "g", KeyARN: key, Grantee: grantee(t, granteeARN), Operations: operations(t, ops...), IssuingAccount: issuing}
		if retiring != "" {
			g.Retiring = grantee(t, retiring)
		}
		return g
	}
	const issuer = "777788889999"
	plain := grant(grantUser.ARN, retirer.ARN, issuer, "Encrypt")
	mayRetire := `{"Effect": "Allow", "Action": "kms:RetireGrant", "Resource": "` + key + `"}`
	denies := `{"Effect": "Deny", "Action": "kms:RetireGrant", "Resource": "*"}`
	tests := []struct {
		rule     string
		caller   *Principal
		grant    *Grant
		identity string
		edit     func(*Request)
		want     Outcome
	}{
		{"a: retiring principal", retirer, plain, "", nil, Allowed},
		{"a: retiring role, capped by nothing", session(accountK, "app", "s"), grant(grantUser.ARN, "arn:aws:iam::111122223333:role/app", issuer, "Encrypt"), "",
			func(r *Request) { r.Boundary = parse(t, Boundary, statementsDoc(allowOther)) }, Allowed},
		{"grantee without the operation", grantUser, plain, "", nil, ImplicitDeny},
		{"b: grantee with the operation", grantUser, grant(grantUser.ARN, "", issuer, "Encrypt", "RetireGrant"), "", nil, Allowed},
		{"b: grantee is the retiring principal", grantUser, grant(grantUser.ARN, grantUser.ARN, issuer, "Encrypt"), "", nil, Allowed},
		{"c: root of the issuing account", root(issuer), plain, "", nil, Allowed},
		{"d: root of the key's account", root(accountK), plain, "", nil, Allowed},
		{"root of another account", root("999900001111"), plain, "", nil, ImplicitDeny},
		{"d: key's account, permitted", mallory, plain, mayRetire, nil, Allowed},
		{"d: key's account, not permitted", mallory, plain, "", nil, ImplicitDeny},
		{"d: issuing account, permitted", user(issuer, "bob"), plain, mayRetire, nil, Allowed},
		{"d: retiring account, permitted", user(accountX, "bob"), grant(mallory.ARN, accountX, issuer, "Encrypt"), mayRetire, nil, Allowed},
		{"d: retiring account, not permitted", user(accountX, "bob"), grant(mallory.ARN, accountX, issuer, "Encrypt"), "", nil, ImplicitDeny},
		{"d: grantee account with the operation", user(accountX, "bob"), grant(accountX, "", issuer, "Encrypt", "RetireGrant"), mayRetire, nil, Allowed},
		{"d: grantee account without it", user(accountX, "bob"), grant(accountX, "", issuer, "Encrypt"), mayRetire, nil, ImplicitDeny},
		{"the permission alone", user(accountX, "bob"), plain, mayRetire, nil, ImplicitDeny},
		{"d: boundary", mallory, plain, mayRetire, func(r *Request) { r.Boundary = parse(t, Boundary, statementsDoc(allowOther)) }, ImplicitDeny},
		{"identity Deny", retirer, plain, denies, nil, ExplicitDeny},
		{"boundary Deny", retirer, plain, "", func(r *Request) { r.Boundary = parse(t, Boundary, statementsDoc(denies)) }, ExplicitDeny},
		{"guardrail Deny", root(accountK), plain, "", func(r *Request) { r.Guardrail = parse(t, Guardrail, statementsDoc(allowAll+","+denies)) }, ExplicitDeny},
		{"endpoint Deny", retirer, plain, "", func(r *Request) {
			r.Endpoint = parse(t, EndpointPolicy, statementsDoc(toAll+`, {"Effect": "Deny", "Principal": "*", "Action": "kms:RetireGrant", "Resource": "*"}`))
		}, ExplicitDeny},
		{"endpoint is silent", retirer, plain, "", func(r *Request) { r.Endpoint = parse(t, EndpointPolicy, statementsDoc(toApp)) }, ImplicitDeny},
		{"key policy Deny is without effect", retirer, plain, "", func(r *Request) {
			r.ResourcePolicy = keyPolicyOf(t, toAll+`, {"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*"}`)
		}, Allowed},
		{"key policy Allow is without effect", user(accountX, "bob"), plain, "", func(r *Request) { r.ResourcePolicy = keyPolicyOf(t, toAll) }, ImplicitDeny},
		{"grant of another key", retirer, &Grant{KeyARN: otherKey, Retiring: plain.Retiring}, "", nil, ImplicitDeny},
	}
	for _, test := range tests {
		req := onKey(test.caller, "kms:RetireGrant")
		if test.identity != "" {
			req.identity(identityOf(t, test.identity))
		}
		if test.edit != nil {
			test.edit(req)
		}
		d := DecideRetireGrant(req, test.grant)
		if d.Outcome != test.want {
			t.Errorf("%s: %v by %v", test.rule, d.Outcome, d.PolicyType)
		}
		if x := ExplainRetireGrant(req, test.grant).Decision; x != d {
			t.Errorf("%s: explained as %+v, decided %+v", test.rule, x, d)
		}
	}
	if DecideRetireGrant(onKey(retirer, "kms:RetireGrant"), nil).Outcome == Allowed {
		t.Error("no grant was retired")
	}
}

func TestGrantOperationNames(t *testing.T) {
	if !slices.IsSorted(grantNames[:]) {
		t.Error("the names are not sorted")
	}
	all, err := ParseGrantOperations(grantNames[:])
	if err != nil || !slices.Equal(all.Names(), grantNames[:]) {
		t.Errorf("%v %v", all.Names(), err)
	}
	if _, err := ParseGrantOperations([]string{"Encrypt", "ReEncrypt"}); err == nil {
		t.Error("ReEncrypt is no grant operation")
	}
	if all.Has(0) {
		t.Error("no operation is in no set")
	}
	for _, row := range permissions {
		if row.Grant != 0 && "kms:"+GrantOperations(row.Grant).Names()[0] != row.Action {
			t.Errorf("%s has the operation %v", row.Action, GrantOperations(row.Grant).Names())
		}
	}
	for _, bad := range []string{"", "*", "arn:aws:iam::111122223333:group/g", "not a name"} {
		if _, err := NewGrantPrincipal(bad, ""); err == nil {
			t.Errorf("%q is a grant principal", bad)
		}
	}
}

func TestLockoutLCK02(t *testing.T) {
	alice, app := user(accountK, "alice"), session(accountK, "app", "s1")
	putKeyPolicy := identityOf(t, `{"Effect": "Allow", "Action": "kms:PutKeyPolicy", "Resource": "*"}`)
	unlessBypassed := `{"Effect": "Allow", "Principal": "*", "Action": "kms:PutKeyPolicy", "Resource": "*", "Condition": {"Null": {"kms:BypassPolicyLockoutSafetyCheck": true}}}`
	tests := []struct {
		rule     string
		caller   *Principal
		policy   string
		identity []*Policy
		edit     func(*Request)
		ok       bool
	}{
		{"named", alice, toAlice, nil, nil, true},
		{"named without PutKeyPolicy", alice, `{"Effect": "Allow", "Principal": "*", "Action": "kms:Get*", "Resource": "*"}`, nil, nil, false},
		{"delegated with identity policy", alice, toAccountK, []*Policy{putKeyPolicy}, nil, true},
		{"delegated without", alice, toAccountK, nil, nil, false},
		{"identity policy without delegation", alice, toApp, []*Policy{putKeyPolicy}, nil, false},
		{"root", root(accountK), toAccountK, nil, nil, true},
		{"root, not named", root(accountK), toAlice, nil, nil, false},
		{"denied by the new policy", alice, toAlice + `, {"Effect": "Deny", "Principal": "*", "Action": "kms:Put*", "Resource": "*"}`, nil, nil, false},
		{"boundary caps a role", app, toApp, nil, func(r *Request) { r.Boundary = parse(t, Boundary, statementsDoc(allowOther)) }, false},
		{"endpoint", alice, toAlice, nil, func(r *Request) { r.Endpoint = parse(t, EndpointPolicy, statementsDoc(toApp)) }, false},
		{"bypass parameter is absent", alice, unlessBypassed, nil, func(r *Request) { r.with("kms:BypassPolicyLockoutSafetyCheck=true") }, true},
		{"context is the caller's", alice, `{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.1"}}}`, nil,
			func(r *Request) { r.with("aws:SourceIp=192.0.2.1") }, true},
		{"context is the caller's", alice, `{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.1"}}}`, nil,
			func(r *Request) { r.with("aws:SourceIp=192.0.2.2") }, false},
		{"a grant does not help", alice, toApp, nil, func(r *Request) {
			r.Grants = grants(&Grant{KeyARN: keyARN, Grantee: grantee(t, alice.ARN), Operations: ^GrantOperations(0)})
		}, false},
	}
	for _, test := range tests {
		req := onKey(test.caller, "kms:CreateKey").keyPolicy(keyPolicyOf(t, toXRole))
		req.Identity = test.identity
		if test.edit != nil {
			test.edit(req)
		}
		err := CheckLockout(req, keyPolicyOf(t, test.policy))
		if (err == nil) != test.ok || err != nil && err.Error() != lockoutMessage {
			t.Errorf("%s: %v", test.rule, err)
		}
	}
}

package policy

import "testing"

// Ready-made documents of the tests below.
const (
	toAccountK = `{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "kms:*", "Resource": "*"}`
	toAccountX = `{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::444455556666:root"}, "Action": "kms:*", "Resource": "*"}`
	toAlice    = `{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:user/alice"}, "Action": "kms:*", "Resource": "*"}`
	toApp      = `{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:role/app"}, "Action": "kms:*", "Resource": "*"}`
	toAppS1    = `{"Effect": "Allow", "Principal": {"AWS": "arn:aws:sts::111122223333:assumed-role/app/s1"}, "Action": "kms:*", "Resource": "*"}`
	toGuest    = `{"Effect": "Allow", "Principal": {"AWS": "arn:aws:sts::111122223333:federated-user/guest"}, "Action": "kms:*", "Resource": "*"}`
	toXRole    = `{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::444455556666:role/app"}, "Action": "kms:*", "Resource": "*"}`
	toAll      = `{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}`
	toSES      = `{"Effect": "Allow", "Principal": {"Service": "ses.amazonaws.com"}, "Action": "kms:*", "Resource": "*"}`
	denyAll    = `{"Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*"}`
	denyUse    = `{"Effect": "Deny", "Action": "kms:Encrypt", "Resource": "*"}`
	allowUse   = `{"Effect": "Allow", "Action": ["kms:Encrypt", "kms:DescribeKey"], "Resource": "*"}`
	allowOther = `{"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}`
)

// scene is a request for kms:Encrypt on the key of account K, described by the statements of each policy.
type scene struct {
	rule                                       string
	caller                                     *Principal
	key                                        string
	identity, boundary, session, endpoint, cap string
	grants                                     []*Grant
	want                                       Outcome
	by                                         PolicyType
}

func (s scene) request(t testing.TB) *Request {
	req := onKey(s.caller, "kms:Encrypt")
	if s.key != "" {
		req.ResourcePolicy = keyPolicyOf(t, s.key)
	}
	if s.identity != "" {
		req.Identity = []*Policy{identityOf(t, s.identity)}
	}
	if s.boundary != "" {
		req.Boundary = parse(t, Boundary, statementsDoc(s.boundary))
	}
	if s.session != "" {
		req.Session = []*Policy{parse(t, SessionPolicy, statementsDoc(s.session))}
	}
	if s.endpoint != "" {
		req.Endpoint = parse(t, EndpointPolicy, statementsDoc(s.endpoint))
	}
	if s.cap != "" {
		req.Guardrail = parse(t, Guardrail, statementsDoc(s.cap))
	}
	if s.grants != nil {
		req.Grants = grants(s.grants...)
	}
	return req
}

func (s scene) run(t *testing.T) {
	t.Helper()
	d := decide(t, s.request(t))
	if d.Outcome != s.want || d.PolicyType != s.by {
		t.Errorf("%s: %v by %v, want %v by %v", s.rule, d.Outcome, d.PolicyType, s.want, s.by)
	}
}

func TestAlgorithmEV03(t *testing.T) {
	alice, app := user(accountK, "alice"), session(accountK, "app", "s1")
	scenes := []scene{
		// Nothing without a statement (AUTH-05, EV-07).
		{rule: "AUTH-05 root without statement", caller: root(accountK), key: toAlice, want: ImplicitDeny, by: ResourceBasedPolicy},
		{rule: "EV-07 root by the account statement", caller: root(accountK), key: toAccountK, want: Allowed, by: ResourceBasedPolicy},
		{rule: "EV-07 root by everybody", caller: root(accountK), key: toAll, want: Allowed, by: ResourceBasedPolicy},
		{rule: "AUTH-05 user without anything", caller: alice, key: toAccountX, want: ImplicitDeny, by: ResourceBasedPolicy},
		// Delegation (EV-06).
		{rule: "EV-06 delegation without identity policy", caller: alice, key: toAccountK, want: ImplicitDeny, by: IdentityBasedPolicy},
		{rule: "EV-06 delegation with identity policy", caller: alice, key: toAccountK, identity: allowUse, want: Allowed, by: IdentityBasedPolicy},
		{rule: "EV-06 identity policy without delegation", caller: alice, key: toXRole, identity: allowAll, want: ImplicitDeny, by: ResourceBasedPolicy},
		{rule: "EV-06 delegation of another action", caller: alice, identity: allowAll, want: ImplicitDeny, by: ResourceBasedPolicy,
			key: `{"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "kms:DescribeKey", "Resource": "*"}`},
		{rule: "EV-06 delegation under a condition that fails", caller: alice, identity: allowAll, want: ImplicitDeny, by: ResourceBasedPolicy,
			key: `{"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "kms:*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": true}}}`},
		{rule: "EV-06 identity policy for another action", caller: alice, key: toAccountK, identity: allowOther, want: ImplicitDeny, by: IdentityBasedPolicy},
		{rule: "no key policy", caller: alice, identity: allowAll, want: ImplicitDeny, by: ResourceBasedPolicy},
		// EV-11.
		{rule: "EV-11 a", caller: alice, key: toApp, identity: allowAll, want: ImplicitDeny, by: ResourceBasedPolicy},
		{rule: "EV-11 b", caller: alice, key: toAlice, identity: denyUse, want: ExplicitDeny, by: IdentityBasedPolicy},
		{rule: "EV-11 c", caller: app, key: toApp, want: Allowed, by: ResourceBasedPolicy},
		{rule: "EV-11 d same account", caller: alice, key: toAll, want: Allowed, by: ResourceBasedPolicy},
		{rule: "EV-11 d foreign account", caller: user(accountX, "carol"), key: toAll, want: ImplicitDeny, by: IdentityBasedPolicy},
		{rule: "EV-11 d foreign account with identity policy", caller: user(accountX, "carol"), key: toAll, identity: allowUse, want: Allowed, by: IdentityBasedPolicy},
		// Explicit denies, from everywhere (step 1).
		{rule: "step 1 key policy", caller: alice, key: toAlice + "," + denyAll, want: ExplicitDeny, by: ResourceBasedPolicy},
		{rule: "step 1 key policy, Deny first", caller: alice, key: denyAll + "," + toAlice, want: ExplicitDeny, by: ResourceBasedPolicy},
		{rule: "step 1 root user", caller: root(accountK), key: toAccountK + "," + denyAll, want: ExplicitDeny, by: ResourceBasedPolicy},
		{rule: "step 1 account principal hits all of it", caller: alice, want: ExplicitDeny, by: ResourceBasedPolicy,
			key: toAlice + `, {"Effect": "Deny", "Principal": {"AWS": "111122223333"}, "Action": "kms:*", "Resource": "*"}`},
		{rule: "step 1 identity", caller: alice, key: toAccountK, identity: allowAll + "," + denyUse, want: ExplicitDeny, by: IdentityBasedPolicy},
		{rule: "step 1 boundary", caller: alice, key: toAlice, boundary: allowAll + "," + denyUse, want: ExplicitDeny, by: PermissionsBoundary},
		{rule: "step 1 session", caller: app, key: toAppS1, session: allowAll + "," + denyUse, want: ExplicitDeny, by: SessionBasedPolicy},
		{rule: "step 1 guardrail", caller: root(accountK), key: toAccountK, cap: allowAll + "," + denyUse, want: ExplicitDeny, by: ServiceControlPolicy},
		{rule: "step 1 endpoint", caller: alice, key: toAlice, endpoint: toAll + "," + denyAll, want: ExplicitDeny, by: VPCEndpointPolicy},
		{rule: "a Deny of another action", caller: alice, key: toAlice, identity: `{"Effect": "Deny", "Action": "kms:Decrypt", "Resource": "*"}`, want: Allowed, by: ResourceBasedPolicy},
		// Endpoint and guardrail (steps 2 and 3).
		{rule: "step 2 endpoint is silent", caller: alice, key: toAlice, endpoint: toApp, want: ImplicitDeny, by: VPCEndpointPolicy},
		{rule: "step 2 endpoint allows", caller: alice, key: toAlice, endpoint: toAlice, want: Allowed, by: ResourceBasedPolicy},
		{rule: "VE-04 account principal in an endpoint policy", caller: alice, key: toAlice, endpoint: toAccountK, want: Allowed, by: ResourceBasedPolicy},
		{rule: "VE-04 the endpoint grants nothing", caller: alice, key: toApp, endpoint: toAll, want: ImplicitDeny, by: ResourceBasedPolicy},
		{rule: "VE-03 Resource is a pattern", caller: alice, key: toAlice, want: ImplicitDeny, by: VPCEndpointPolicy,
			endpoint: `{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "` + otherKey + `"}`},
		{rule: "step 3 guardrail is silent", caller: alice, key: toAlice, cap: allowOther, want: ExplicitDeny, by: ServiceControlPolicy},
		{rule: "step 3 guardrail is silent, root", caller: root(accountK), key: toAccountK, cap: allowOther, want: ExplicitDeny, by: ServiceControlPolicy},
		{rule: "IDP-11 the guardrail grants nothing", caller: alice, key: toAccountK, cap: allowAll, want: ImplicitDeny, by: IdentityBasedPolicy},
		{rule: "step 2 before step 3", caller: alice, key: toAlice, endpoint: toApp, cap: allowOther, want: ImplicitDeny, by: VPCEndpointPolicy},
		{rule: "step 1 before step 2", caller: alice, key: toAlice + "," + denyAll, endpoint: toApp, want: ExplicitDeny, by: ResourceBasedPolicy},
	}
	for _, s := range scenes {
		s.run(t)
	}
}

// TestIdentityAllowEV04: what each kind of caller needs on its own side.
func TestIdentityAllowEV04(t *testing.T) {
	alice, app := user(accountK, "alice"), session(accountK, "app", "s1")
	guest, byRoot := federated(accountK, "guest", "alice"), federated(accountK, "guest", "")
	key := toAccountK
	scenes := []scene{
		{rule: "user", caller: alice, identity: allowUse, want: Allowed, by: IdentityBasedPolicy},
		{rule: "user, boundary allows", caller: alice, identity: allowUse, boundary: allowAll, want: Allowed, by: IdentityBasedPolicy},
		{rule: "user, boundary does not", caller: alice, identity: allowUse, boundary: allowOther, want: ImplicitDeny, by: PermissionsBoundary},
		{rule: "user, boundary alone", caller: alice, boundary: allowAll, want: ImplicitDeny, by: IdentityBasedPolicy},
		{rule: "role", caller: app, identity: allowUse, want: Allowed, by: IdentityBasedPolicy},
		{rule: "role, session policy allows", caller: app, identity: allowUse, session: allowUse, want: Allowed, by: IdentityBasedPolicy},
		{rule: "role, session policy does not", caller: app, identity: allowUse, session: allowOther, want: ImplicitDeny, by: SessionBasedPolicy},
		{rule: "role, session policy alone", caller: app, session: allowUse, want: ImplicitDeny, by: IdentityBasedPolicy},
		{rule: "role, boundary does not", caller: app, identity: allowUse, session: allowUse, boundary: allowOther, want: ImplicitDeny, by: PermissionsBoundary},
		{rule: "federated, no session policy", caller: guest, identity: allowUse, want: ImplicitDeny, by: SessionBasedPolicy},
		{rule: "federated", caller: guest, identity: allowUse, session: allowUse, want: Allowed, by: IdentityBasedPolicy},
		{rule: "federated, user lacks it", caller: guest, identity: allowOther, session: allowUse, want: ImplicitDeny, by: IdentityBasedPolicy},
		{rule: "federated, boundary of the user", caller: guest, identity: allowUse, session: allowUse, boundary: allowOther, want: ImplicitDeny, by: PermissionsBoundary},
		{rule: "federated by root", caller: byRoot, session: allowUse, want: Allowed, by: RootUser},
		{rule: "federated by root, no session policy", caller: byRoot, want: ImplicitDeny, by: SessionBasedPolicy},
		{rule: "service", caller: service("ses.amazonaws.com"), identity: allowAll, want: ImplicitDeny, by: ResourceBasedPolicy},
	}
	for _, s := range scenes {
		s.key = key
		s.run(t)
	}
	two := scene{caller: alice, key: key, identity: allowOther}.request(t)
	two.Identity = append(two.Identity, identityOf(t, allowUse))
	if d := decide(t, two); !d.Allowed() || d.Policy != 1 || d.Statement != 0 {
		t.Errorf("two identity policies: %+v", d)
	}
	sessions := scene{caller: app, key: key, identity: allowUse, session: allowOther}.request(t)
	sessions.Session = append(sessions.Session, parse(t, SessionPolicy, statementsDoc(allowUse)))
	wantOutcome(t, sessions, Allowed)
}

// TestCapsEV05: which implicit denies limit a direct Allow, by how the key policy names the caller.
func TestCapsEV05(t *testing.T) {
	alice, app, guest := user(accountK, "alice"), session(accountK, "app", "s1"), federated(accountK, "guest", "alice")
	tests := []struct {
		row                 string
		caller              *Principal
		key                 string
		session             string // what a session of this kind has when it is not limited
		byBoundary, bySessn bool   // limited by
	}{
		{"user ARN, that user", alice, toAlice, "", false, false},
		{"user ARN, federated session", guest, toAlice, allowAll, true, true},
		{"role ARN, session of it", app, toApp, "", true, true},
		{"session ARN", app, toAppS1, "", false, false},
		{"federated-user ARN", guest, toGuest, "", false, false},
		{"everybody, user", alice, toAll, "", false, false},
		{"everybody, session", app, toAll, "", false, false},
	}
	outcome := func(limited bool) Outcome {
		if limited {
			return ImplicitDeny
		}
		return Allowed
	}
	for _, test := range tests {
		plain := scene{caller: test.caller, key: test.key, session: test.session}
		wantOutcome(t, plain.request(t), Allowed)
		boundary := plain
		boundary.boundary = allowOther
		if d := decide(t, boundary.request(t)); d.Outcome != outcome(test.byBoundary) {
			t.Errorf("%s: with a boundary that does not allow: %v", test.row, d.Outcome)
		}
		limited := plain
		limited.session = allowOther
		if test.caller.Kind != User {
			if d := decide(t, limited.request(t)); d.Outcome != outcome(test.bySessn) {
				t.Errorf("%s: with session policies that do not allow: %v", test.row, d.Outcome)
			}
		}
		for _, deny := range []scene{
			{caller: test.caller, key: test.key, session: test.session, identity: denyUse},
			{caller: test.caller, key: test.key, session: test.session, boundary: denyUse},
			{caller: test.caller, key: test.key, session: denyUse},
		} {
			wantOutcome(t, deny.request(t), ExplicitDeny)
		}
	}
	// A federated session that is named through its user needs session policies at all.
	scene{rule: "user ARN, federated session without session policy", caller: guest, key: toAlice, want: ImplicitDeny, by: SessionBasedPolicy}.run(t)
	scene{rule: "role named, boundary", caller: app, key: toApp, boundary: allowOther, want: ImplicitDeny, by: PermissionsBoundary}.run(t)
	scene{rule: "role named and delegated, identity allows within the boundary", caller: app, key: toApp + "," + toAccountK, identity: allowUse, boundary: allowUse, want: Allowed, by: ResourceBasedPolicy}.run(t)
}

// TestCrossAccountXA: both sides are needed, and only some operations work at all.
func TestCrossAccountXA(t *testing.T) {
	carol, app := user(accountX, "carol"), session(accountX, "app", "s1")
	scenes := []scene{
		{rule: "XA-01 key policy names the account only", caller: carol, key: toAccountX, want: ImplicitDeny, by: IdentityBasedPolicy},
		{rule: "XA-01 identity policy only", caller: carol, key: toAccountK, identity: allowAll, want: ImplicitDeny, by: ResourceBasedPolicy},
		{rule: "XA-01 both", caller: carol, key: toAccountX, identity: allowUse, want: Allowed, by: IdentityBasedPolicy},
		{rule: "XA-01 role named, no identity policy", caller: app, key: toXRole, want: ImplicitDeny, by: IdentityBasedPolicy},
		{rule: "XA-01 role named, identity policy", caller: app, key: toXRole, identity: allowUse, want: Allowed, by: IdentityBasedPolicy},
		{rule: "XAC-03 other role", caller: session(accountX, "other", "s"), key: toXRole, identity: allowAll, want: ImplicitDeny, by: ResourceBasedPolicy},
		{rule: "XAC-02 boundary", caller: carol, key: toAccountX, identity: allowUse, boundary: allowOther, want: ImplicitDeny, by: PermissionsBoundary},
		{rule: "root of the other account", caller: root(accountX), key: toAccountX, want: Allowed, by: RootUser},
		{rule: "root of the other account, not named", caller: root(accountX), key: toAccountK, want: ImplicitDeny, by: ResourceBasedPolicy},
		{rule: "Deny in the identity policy", caller: carol, key: toAccountX, identity: allowAll + "," + denyUse, want: ExplicitDeny, by: IdentityBasedPolicy},
		{rule: "Deny in the key policy", caller: carol, key: toAccountX + "," + denyAll, identity: allowAll, want: ExplicitDeny, by: ResourceBasedPolicy},
		{rule: "AE-02 no such key", caller: carol, identity: allowAll, want: ImplicitDeny, by: ResourceBasedPolicy},
	}
	for _, s := range scenes {
		s.run(t)
	}
	disabled := *carol
	disabled.DisabledHere = true
	scene{rule: "XA-04 account not enabled here", caller: &disabled, key: toAccountX, identity: allowAll, want: ImplicitDeny, by: ResourceBasedPolicy}.run(t)
	local := *user(accountK, "alice")
	local.DisabledHere = true
	scene{rule: "XA-04 own key", caller: &local, key: toAccountK, identity: allowAll, want: Allowed, by: IdentityBasedPolicy}.run(t)

	for _, row := range permissions {
		if row.Resource != ResourceKey || !row.KeyPolicy {
			continue
		}
		req := onKey(carol, row.Action).keyPolicy(keyPolicyOf(t, toAccountX)).identity(identityOf(t, allowAll))
		if d := decide(t, req); d.Allowed() != row.CrossAccount {
			t.Errorf("XA-02 %s: %v", row.Action, d.Outcome)
		}
	}
	alias := &Request{Principal: carol, Action: "kms:CreateAlias", Resource: Resource{Type: ResourceAlias, ARN: aliasARN, Account: accountK}}
	wantOutcome(t, alias.identity(identityOf(t, allowAll)), ImplicitDeny)
	noOwner := onKey(carol, "kms:Encrypt").keyPolicy(keyPolicyOf(t, toAccountX))
	noOwner.Resource.Account = ""
	wantOutcome(t, noOwner, ImplicitDeny)
}

func TestServicesEV03(t *testing.T) {
	ses := service("ses.amazonaws.com")
	scenes := []scene{
		{rule: "named", caller: ses, key: toSES, want: Allowed, by: ResourceBasedPolicy},
		{rule: "everybody", caller: ses, key: toAll, want: Allowed, by: ResourceBasedPolicy},
		{rule: "not named", caller: ses, key: toAccountK, want: ImplicitDeny, by: ResourceBasedPolicy},
		{rule: "denied", caller: ses, key: toSES + "," + denyAll, want: ExplicitDeny, by: ResourceBasedPolicy},
	}
	for _, s := range scenes {
		s.run(t)
	}
}

// TestWithoutKeyPolicy is step 5: aliases, keys to be, operations without resource.
func TestWithoutKeyPolicy(t *testing.T) {
	alice := user(accountK, "alice")
	alias := Resource{Type: ResourceAlias, ARN: aliasARN, Account: accountK}
	newKey := Resource{Type: ResourceNewKey, ARN: keyARN, Account: accountK}
	for _, c := range []struct {
		action   string
		resource Resource
	}{{"kms:CreateKey", Resource{Type: ResourceNone}}, {"kms:CreateAlias", alias}, {"kms:TagResource", newKey},
		{"kms:ListRetirableGrants", Resource{Type: ResourceGrantee, ARN: alice.ARN}}} {
		req := func(p *Principal) *Request {
			// The key policy of the key to be must not count (IDP-07).
			return (&Request{Principal: p, Action: c.action, Resource: c.resource}).keyPolicy(keyPolicyOf(t, toAll))
		}
		wantOutcome(t, req(alice), ImplicitDeny)
		wantOutcome(t, req(alice).identity(identityOf(t, allowAll)), Allowed)
		wantOutcome(t, req(root(accountK)), Allowed)
		if d := decide(t, req(root(accountK))); d.PolicyType != RootUser {
			t.Errorf("%s by root: %v", c.action, d.PolicyType)
		}
		deny := req(root(accountK))
		deny.Guardrail = parse(t, Guardrail, statementsDoc(allowAll+`, {"Effect": "Deny", "Action": "`+c.action+`", "Resource": "*"}`))
		wantOutcome(t, deny, ExplicitDeny)
	}
}

// TestNoEffectInKeyPolicyPRM01: statements about permissions that only identity policies decide are without effect.
func TestNoEffectInKeyPolicyPRM01(t *testing.T) {
	for _, p := range []*Principal{user(accountK, "alice"), root(accountK)} {
		wantOutcome(t, onKey(p, "kms:RetireGrant").keyPolicy(keyPolicyOf(t, toAll)), ImplicitDeny)
	}
}

// TestDecidingStatementEV10: the decision names policy and statement.
func TestDecidingStatementEV10(t *testing.T) {
	key := keyPolicyOf(t, toXRole+`, {"Sid": "For Alice", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:user/alice"}, "Action": "kms:*", "Resource": "*"}`)
	d := decide(t, onKey(user(accountK, "alice"), "kms:Encrypt").keyPolicy(key))
	if d.PolicyType != ResourceBasedPolicy || d.Statement != 1 || d.Sid != "For Alice" {
		t.Errorf("allow: %+v", d)
	}
	req := onKey(user(accountK, "alice"), "kms:Encrypt").keyPolicy(key)
	req.Identity = []*Policy{identityOf(t, allowAll), identityOf(t, allowAll+`, {"Sid": "No", "Effect": "Deny", "Action": "kms:Enc*", "Resource": "*"}`)}
	if d := decide(t, req); d.Outcome != ExplicitDeny || d.Policy != 1 || d.Statement != 1 || d.Sid != "No" {
		t.Errorf("deny: %+v", d)
	}
	if d := decide(t, onKey(user(accountK, "bob"), "kms:Encrypt").keyPolicy(key)); d.Statement != -1 || d.Sid != "" {
		t.Errorf("implicit: %+v", d)
	}
	if (Decision{}).Allowed() {
		t.Error("the zero decision allows")
	}
}

// TestIncompleteRequests: whoever forgets to say who asks for what is refused.
func TestIncompleteRequests(t *testing.T) {
	everything := func() *Request {
		return onKey(root(accountK), "kms:Encrypt").keyPolicy(keyPolicyOf(t, toAll)).identity(identityOf(t, allowAll))
	}
	wantOutcome(t, everything(), Allowed)
	for name, edit := range map[string]func(*Request){
		"no principal":               func(r *Request) { r.Principal = nil },
		"no kind of principal":       func(r *Request) { r.Principal = &Principal{Account: accountK} },
		"no account of a user":       func(r *Request) { r.Principal = &Principal{Kind: User, ARN: "arn:aws:iam::111122223333:user/a"} },
		"account of a service":       func(r *Request) { r.Principal = &Principal{Kind: Service, ARN: "a.b", Account: accountK} },
		"no type of resource":        func(r *Request) { r.Resource.Type = 0 },
		"unknown type of resource":   func(r *Request) { r.Resource.Type = 99 },
		"no owner of the key":        func(r *Request) { r.Resource.Account = "" },
		"no owner of an alias":       func(r *Request) { r.Resource = Resource{Type: ResourceAlias, ARN: aliasARN} },
		"no owner of the key to be":  func(r *Request) { r.Resource = Resource{Type: ResourceNewKey, ARN: keyARN} },
		"no key policy":              func(r *Request) { r.ResourcePolicy = nil },
		"identity policy on the key": func(r *Request) { r.ResourcePolicy = identityOf(t, allowAll) },
	} {
		req := everything()
		edit(req)
		if d := Decide(req); d.Allowed() {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestEndpointOnlyVE08: a refusal by the endpoint policy alone is told apart.
func TestEndpointOnlyVE08(t *testing.T) {
	alice := user(accountK, "alice")
	for _, c := range []struct {
		s    scene
		want bool
	}{
		{scene{caller: alice, key: toAlice, endpoint: toApp}, true},
		{scene{caller: alice, key: toAlice, endpoint: toAll + "," + denyAll}, true},
		{scene{caller: alice, key: toAccountK, endpoint: toApp}, false},
		{scene{caller: alice, key: toAlice, endpoint: toAll + "," + denyAll, identity: denyUse}, false},
		{scene{caller: alice, key: toAlice, endpoint: toAlice}, false},
	} {
		if d := decide(t, c.s.request(t)); d.EndpointOnly != c.want {
			t.Errorf("%+v: %v", c.s, d.EndpointOnly)
		}
	}
}

// TestTrustPolicies: a role's trust policy decides as a key policy does.
func TestTrustPolicies(t *testing.T) {
	const role = "arn:aws:iam::111122223333:role/app"
	trust := func(principal string) *Policy {
		return parse(t, TrustPolicy, `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": `+principal+`, "Action": "sts:AssumeRole",
			"Condition": {"StringEqualsIfExists": {"sts:ExternalId": "e1"}}}}`)
	}
	assume := func(p *Principal, principal string, identity ...*Policy) *Request {
		return &Request{Principal: p, Action: "sts:AssumeRole", Resource: Resource{Type: ResourceRole, ARN: role, Account: accountK},
			ResourcePolicy: trust(principal), Identity: identity}
	}
	may := identityOf(t, `{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "`+role+`"}`)
	alice, carol := user(accountK, "alice"), user(accountX, "carol")
	wantOutcome(t, assume(alice, `{"AWS": "`+alice.ARN+`"}`), Allowed)
	wantOutcome(t, assume(alice, `{"AWS": "111122223333"}`), ImplicitDeny)
	wantOutcome(t, assume(alice, `{"AWS": "111122223333"}`, may), Allowed)
	wantOutcome(t, assume(carol, `{"AWS": "`+carol.ARN+`"}`), ImplicitDeny)
	wantOutcome(t, assume(carol, `{"AWS": "`+carol.ARN+`"}`, may), Allowed)
	wantOutcome(t, assume(carol, `{"AWS": "111122223333"}`, may), ImplicitDeny)
	wantOutcome(t, assume(alice, `{"AWS": "`+alice.ARN+`"}`).with("sts:ExternalId=e2"), ImplicitDeny)
	wantOutcome(t, assume(service("cks.kms.amazonaws.com"), `{"Service": "cks.kms.amazonaws.com"}`), Allowed)
	token := &Principal{Kind: WebIdentity, ARN: "accounts.google.com"}
	wantOutcome(t, assume(token, `{"Federated": "accounts.google.com"}`), Allowed)
	wantOutcome(t, assume(token, `{"Federated": "www.amazon.com"}`), ImplicitDeny)
	wantOutcome(t, assume(token, `"*"`), ImplicitDeny)
	// What a role's trust does not mean by "*", an endpoint does: its default policy is no obstacle to anybody.
	through := assume(token, `{"Federated": "accounts.google.com"}`)
	for principal, want := range map[string]Outcome{`"*"`: Allowed, `{"AWS": "*"}`: Allowed, `{"AWS": "111122223333"}`: ImplicitDeny} {
		endpoint := `{"Statement": [{"Effect": "Allow", "Principal": ` + principal + `, "Action": "*", "Resource": "*"}]}`
		through.Endpoint = parse(t, EndpointPolicy, endpoint)
		wantOutcome(t, through, want)
	}
}

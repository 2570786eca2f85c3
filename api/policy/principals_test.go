package policy

import "testing"

// TestPrincipalsPM04: who is meant by an entry, in an Allow (directly, or through identity policies only) and in a Deny.
func TestPrincipalsPM04(t *testing.T) {
	alice, bob := user(accountK, "alice"), user(accountK, "bob")
	app := session(accountK, "app", "s1")
	app2 := session(accountK, "app", "s2")
	fed := federated(accountK, "guest", "alice")
	ses := service("ses.amazonaws.com", "ses.us-west-2.amazonaws.com")
	const (
		no        = iota
		delegates // identity policies of the account may give it
		direct    // the caller has it
	)
	tests := []struct {
		entry  string
		caller *Principal
		allow  int
		deny   bool
	}{
		{`"*"`, alice, direct, true},
		{`"*"`, ses, direct, true},
		{`{"AWS": "*"}`, alice, direct, true},
		{`{"AWS": "*"}`, ses, direct, true},
		{`{"AWS": "111122223333"}`, alice, delegates, true},
		{`{"AWS": "arn:aws:iam::111122223333:root"}`, alice, delegates, true},
		{`{"AWS": "arn:aws:iam::111122223333:root"}`, app, delegates, true},
		{`{"AWS": "arn:aws:iam::111122223333:root"}`, fed, delegates, true},
		{`{"AWS": "arn:aws:iam::111122223333:root"}`, root(accountK), direct, true},
		{`{"AWS": "arn:aws:iam::111122223333:root"}`, ses, no, false},
		{`{"AWS": "444455556666"}`, alice, no, false},
		{`{"AWS": "arn:aws:iam::111122223333:user/alice"}`, alice, direct, true},
		{`{"AWS": "arn:aws:iam::111122223333:user/alice"}`, bob, no, false},
		{`{"AWS": "arn:aws:iam::111122223333:user/Alice"}`, alice, no, false},
		{`{"AWS": "arn:aws:iam::111122223333:user/alice"}`, root(accountK), no, false},
		{`{"AWS": "arn:aws:iam::111122223333:role/app"}`, app, direct, true},
		{`{"AWS": "arn:aws:iam::111122223333:role/app"}`, alice, no, false},
		{`{"AWS": "arn:aws:sts::111122223333:assumed-role/app/s1"}`, app, direct, true},
		{`{"AWS": "arn:aws:sts::111122223333:assumed-role/app/s1"}`, app2, no, false},
		{`{"AWS": "arn:aws:sts::111122223333:federated-user/guest"}`, fed, direct, true},
		{`{"AWS": "arn:aws:sts::111122223333:federated-user/guest"}`, alice, no, false},
		{`{"Service": "ses.amazonaws.com"}`, ses, direct, true},
		{`{"Service": "ses.us-west-2.amazonaws.com"}`, ses, direct, true},
		{`{"Service": "sns.amazonaws.com"}`, ses, no, false},
		{`{"Service": "ses.amazonaws.com"}`, alice, no, false},
		{`{"AWS": ["arn:aws:iam::111122223333:user/bob", "arn:aws:iam::111122223333:user/alice"]}`, alice, direct, true},
		{`{"AWS": "444455556666", "Service": "ses.amazonaws.com"}`, ses, direct, true},
	}
	everything := identityOf(t, allowAll)
	for _, test := range tests {
		name := test.entry + " " + test.caller.ARN
		p := keyPolicyOf(t, `{"Effect": "Allow", "Principal": `+test.entry+`, "Action": "kms:*", "Resource": "*"}`)
		alone := onKey(test.caller, "kms:Encrypt").keyPolicy(p)
		if d := decide(t, alone); d.Allowed() != (test.allow == direct) {
			t.Errorf("%s: alone %v", name, d.Outcome)
		}
		if test.allow != direct && test.caller.Kind != Service {
			helped := onKey(test.caller, "kms:Encrypt").keyPolicy(p).identity(everything)
			helped.Session = []*Policy{everything}
			if d := decide(t, helped); d.Allowed() != (test.allow == delegates) {
				t.Errorf("%s: with identity policy %v", name, d.Outcome)
			}
		}
		deny := keyPolicyOf(t, `{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"},
			{"Effect": "Deny", "Principal": `+test.entry+`, "Action": "kms:*", "Resource": "*"}`)
		if d := decide(t, onKey(test.caller, "kms:Encrypt").keyPolicy(deny)); (d.Outcome == ExplicitDeny) != test.deny {
			t.Errorf("%s: deny %v", name, d.Outcome)
		}
	}
}

// TestNotPrincipalPM05: a Deny with NotPrincipal spares a caller only if every identity of it is listed.
func TestNotPrincipalPM05(t *testing.T) {
	const (
		account  = "arn:aws:iam::111122223333:root"
		alice    = "arn:aws:iam::111122223333:user/alice"
		role     = "arn:aws:iam::111122223333:role/app"
		sessionS = "arn:aws:sts::111122223333:assumed-role/app/s1"
		guest    = "arn:aws:sts::111122223333:federated-user/guest"
	)
	tests := []struct {
		caller *Principal
		listed string
		spared bool
	}{
		{user(accountK, "alice"), `"` + alice + `", "` + account + `"`, true},
		{user(accountK, "alice"), `"` + alice + `"`, false},
		{user(accountK, "alice"), `"` + account + `"`, false},
		{session(accountK, "app", "s1"), `"` + sessionS + `", "` + role + `", "` + account + `"`, true},
		{session(accountK, "app", "s1"), `"` + role + `", "` + account + `"`, false},
		{session(accountK, "app", "s1"), `"` + sessionS + `", "` + account + `"`, false},
		{session(accountK, "app", "s1"), `"` + sessionS + `", "` + role + `"`, false},
		{root(accountK), `"` + account + `"`, true},
		{root(accountK), `"` + alice + `"`, false},
		{federated(accountK, "guest", "alice"), `"` + guest + `", "` + alice + `", "` + account + `"`, true},
		{federated(accountK, "guest", "alice"), `"` + guest + `", "` + account + `"`, false},
		{federated(accountK, "guest", ""), `"` + guest + `", "` + account + `"`, true},
		{user(accountK, "alice"), `"*"`, true},
	}
	for _, test := range tests {
		p := keyPolicyOf(t, `{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"},
			{"Effect": "Deny", "NotPrincipal": {"AWS": [`+test.listed+`]}, "Action": "kms:*", "Resource": "*"}`)
		want := ExplicitDeny
		if test.spared {
			want = Allowed
		}
		wantOutcome(t, onKey(test.caller, "kms:Encrypt").keyPolicy(p), want)
	}
	services := keyPolicyOf(t, `{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"},
		{"Effect": "Deny", "NotPrincipal": {"Service": "ses.amazonaws.com"}, "Action": "kms:*", "Resource": "*"}`)
	wantOutcome(t, onKey(service("ses.amazonaws.com"), "kms:Encrypt").keyPolicy(services), Allowed)
	wantOutcome(t, onKey(service("sns.amazonaws.com"), "kms:Encrypt").keyPolicy(services), ExplicitDeny)
}

// TestUniqueIDsKP11: a policy bound to unique ids does not know a recreated namesake.
func TestUniqueIDsKP11(t *testing.T) {
	const document = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": [
		"arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:role/app", "arn:aws:sts::111122223333:assumed-role/job/s1"]}, "Action": "kms:*", "Resource": "*"}]}`
	free := parse(t, KeyPolicy, document)
	bound := free.Bind(func(ref PrincipalRef) string {
		if ref.Type == SessionPrincipal {
			return session(accountK, "job", "s1").IdentityID
		}
		return idOf(ref.ARN)
	})
	stored, err := Rewrite(document, func(ref PrincipalRef) string {
		if ref.Type == UserPrincipal || ref.Type == RolePrincipal {
			return idOf(ref.ARN)
		}
		return ref.Value
	})
	if err != nil {
		t.Fatal(err)
	}
	rewritten, err := ParseStored(stored, KeyPolicy)
	if err != nil {
		t.Fatal(err)
	}
	recreated := func(p *Principal) *Principal {
		again := *p
		again.IdentityID = "AIDANEWNEWNEWNEWNEWNEW"
		return &again
	}
	renamed := *user(accountK, "alice")
	renamed.ARN, renamed.IdentityARN = "arn:aws:iam::111122223333:user/alicia", "arn:aws:iam::111122223333:user/alicia"
	tests := []struct {
		name            string
		caller          *Principal
		free, bound, id bool
	}{
		{"user", user(accountK, "alice"), true, true, true},
		{"user recreated", recreated(user(accountK, "alice")), true, false, false},
		{"user renamed", &renamed, false, true, true},
		{"role", session(accountK, "app", "x"), true, true, true},
		{"role recreated", recreated(session(accountK, "app", "x")), true, false, false},
		{"session", session(accountK, "job", "s1"), true, true, true},
		{"session of a recreated role", recreated(session(accountK, "job", "s1")), true, false, true},
	}
	for _, test := range tests {
		for _, c := range []struct {
			p    *Policy
			want bool
		}{{free, test.free}, {bound, test.bound}, {rewritten, test.id}} {
			if d := decide(t, onKey(test.caller, "kms:Encrypt").keyPolicy(c.p)); d.Allowed() != c.want {
				t.Errorf("%s: %v, want %v", test.name, d.Outcome, c.want)
			}
		}
	}
	if len(free.statements[0].principals.entries[0].id) != 0 {
		t.Error("Bind changed the policy it was called on")
	}
}

func TestParsePrincipal(t *testing.T) {
	for value, want := range map[string]PrincipalType{
		"111122223333": AccountPrincipal, "arn:aws:iam::111122223333:root": AccountPrincipal,
		"arn:aws:iam::111122223333:user/a/b/c": UserPrincipal, "arn:aws-us-gov:iam::111122223333:role/service-role/x": RolePrincipal,
		"arn:aws:sts::111122223333:assumed-role/r/s": SessionPrincipal, "arn:aws:sts::111122223333:federated-user/f": FederatedUserPrincipal,
		"AIDAJQABLZS4A3QDU576Q": UniqueIDPrincipal, "AROA4KJY2TU23Y7NK62MV": UniqueIDPrincipal,
	} {
		if ref, err := ParsePrincipal(value); err != nil || ref.Type != want || ref.Value != value {
			t.Errorf("%s: %+v %v", value, ref, err)
		}
	}
	for _, value := range []string{"", "*", "AIDA", "AGPAJQABLZS4A3QDU576Q", "arn:aws:iam::111122223333:user/", "arn:aws:iam::111122223333:user/a b",
		"arn:aws:iam::111122223333:user/é", "arn:aws:sts::111122223333:role/r", "arn:aws:iam::111122223333:oidc-provider/x", "arn", "arn:"} {
		if ref, err := ParsePrincipal(value); err == nil {
			t.Errorf("%q: %+v", value, ref)
		}
	}
}

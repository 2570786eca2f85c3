package policy

import (
	"strings"
	"sync"
	"testing"
)

// TestExplain: every statement of every policy is accounted for, element by element.
func TestExplain(t *testing.T) {
	req := onKey(user(accountK, "alice"), "kms:Encrypt").keyPolicy(keyPolicyOf(t, toAccountK+`,
		{"Sid": "inert", "Effect": "Deny", "Principal": "*", "Action": "kms:*"},
		{"Sid": "net", "Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*", "Condition": {"NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24"]}, "Null": {"aws:SourceVpce": true}}}`))
	req.identity(identityOf(t, allowOther), identityOf(t, allowUse)).with("aws:SourceIp=192.0.2.7")
	x := Explain(req)
	if !x.Decision.Allowed() || x.Decision.PolicyType != IdentityBasedPolicy || x.Decision.Policy != 1 {
		t.Errorf("%+v", x.Decision)
	}
	want := []StatementResult{
		{PolicyType: IdentityBasedPolicy, Policy: 0, Effect: Allow, Principal: true, Resource: true, Condition: true},
		{PolicyType: IdentityBasedPolicy, Policy: 1, Effect: Allow, Principal: true, Action: true, Resource: true, Condition: true, Matches: true},
		{PolicyType: ResourceBasedPolicy, Statement: 0, Effect: Allow, Principal: true, Action: true, Resource: true, Condition: true, Matches: true, Delegates: true},
		{PolicyType: ResourceBasedPolicy, Statement: 1, Sid: "inert", Effect: Deny, Inert: true, Principal: true, Condition: true},
		{PolicyType: ResourceBasedPolicy, Statement: 2, Sid: "net", Effect: Deny, Principal: true, Action: true, Resource: true},
	}
	if len(x.Statements) != len(want) {
		t.Fatalf("%d statements", len(x.Statements))
	}
	for i, s := range x.Statements {
		conditions := s.Conditions
		s.Conditions = nil
		if got, wanted := s, want[i]; !equalResults(got, wanted) {
			t.Errorf("statement %d: %+v\nwant %+v", i, got, wanted)
		}
		if s.Sid != "net" {
			continue
		}
		if len(conditions) != 2 || conditions[0].Operator != "NotIpAddress" || conditions[0].Key != "aws:SourceIp" || conditions[0].Holds ||
			strings.Join(conditions[0].Policy, "") != "192.0.2.0/24" || strings.Join(conditions[0].Request, "") != "192.0.2.7" ||
			!conditions[1].Holds || !conditions[1].Absent {
			t.Errorf("conditions: %+v", conditions)
		}
	}
	var asked []string
	for _, s := range x.Steps {
		asked = append(asked, s.Question)
	}
	if len(asked) != 3 || !strings.Contains(asked[2], "account") || !x.Steps[2].Holds || x.Steps[1].Holds {
		t.Errorf("steps: %+v", x.Steps)
	}
}

func equalResults(a, b StatementResult) bool {
	a.Conditions, b.Conditions = nil, nil
	return a.PolicyType == b.PolicyType && a.Policy == b.Policy && a.Statement == b.Statement && a.Sid == b.Sid && a.Effect == b.Effect &&
		a.Inert == b.Inert && a.Principal == b.Principal && a.Action == b.Action && a.Resource == b.Resource && a.Condition == b.Condition &&
		a.Delegates == b.Delegates && a.Matches == b.Matches
}

func TestExplainGrants(t *testing.T) {
	alice := user(accountK, "alice")
	g := func(id, to string, ops ...string) *Grant {
		return &Grant{ID: id, KeyARN: keyARN, Grantee: grantee(t, to), Operations: operations(t, ops...)}
	}
	req := onKey(alice, "kms:Encrypt").keyPolicy(keyPolicyOf(t, toXRole))
	req.Grants = grants(g("a", alice.ARN, "Decrypt"), g("b", accountX, "Encrypt"), g("c", alice.ARN, "Encrypt"))
	x := Explain(req)
	want := []GrantResult{{"a", false, false}, {"b", true, false}, {"c", true, true}}
	if len(x.Grants) != 3 || x.Grants[0] != want[0] || x.Grants[1] != want[1] || x.Grants[2] != want[2] || x.Decision.Grant.ID != "c" {
		t.Errorf("%+v", x)
	}
}

func TestLint(t *testing.T) {
	condition := func(c string) string { return `{` + okStatement + `, "Condition": ` + c + `}` }
	tests := []struct {
		kind      Kind
		statement string
		want      string // part of the only warning; "" for none
	}{
		{KeyPolicy, `{` + okStatement + `}`, ""},
		{KeyPolicy, `{"Effect": "Deny", "Principal": "*", "Action": "kms:*"}`, "never applies"},
		{KeyPolicy, toAll, "Everybody"},
		{KeyPolicy, `{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*", "Condition": {"StringEquals": {"kms:CallerAccount": "1"}}}`, ""},
		{KeyPolicy, `{"Effect": "Deny", "NotPrincipal": {"AWS": "111122223333"}, "Action": "kms:*", "Resource": "*"}`, "NotPrincipal"},
		{KeyPolicy, `{"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "kms:ReEncrypt", "Resource": "*"}`, "kms:ReEncrypt*"},
		{KeyPolicy, `{"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "kms:Encript", "Resource": "*"}`, "matches no permission"},
		{KeyPolicy, `{"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "kms:CreateKey", "Resource": "*"}`, "no effect in a key policy"},
		{IdentityPolicy, `{"Effect": "Allow", "Action": "kms:CreateKey", "Resource": "*"}`, ""},
		{IdentityPolicy, `{"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "` + aliasARN + `"}`, "is an alias"},
		{IdentityPolicy, `{"Effect": "Allow", "Action": "kms:CreateAlias", "Resource": "` + aliasARN + `"}`, ""},
		{IdentityPolicy, `{"Effect": "Allow", "Action": "kms:*", "Resource": "arn:aws:kms:*:${aws:PrincipalAccount}:key/*"}`, "before its last part"},
		{KeyPolicy, condition(`{"StringEquals": {"kms:NoSuch": "x"}}`), "no condition key"},
		{KeyPolicy, condition(`{"StringEquals": {"aws:ResourceTag/a": "x"}}`), "identity policies only"},
		{KeyPolicy, condition(`{"StringEquals": {"kms:EncryptionContextKeys": "x"}}`), "several values"},
		{KeyPolicy, condition(`{"ForAnyValue:StringEquals": {"kms:CallerAccount": "x"}}`), "one value at most"},
		{KeyPolicy, condition(`{"NumericLessThan": {"kms:RotationPeriodInDays": "soon"}}`), "none that NumericLessThan can compare"},
		{KeyPolicy, condition(`{"StringEquals": {"kms:PrimaryRegion": "eu-*"}}`), "literally"},
		{KeyPolicy, condition(`{"StringEquals": {"kms:RequestAlias": "` + aliasARN + `"}}`), "alias names"},
		{KeyPolicy, condition(`{"StringEquals": {"kms:ViaService": "ec2.us-east-1"}}`), "never matches"},
		{KeyPolicy, condition(`{"StringLike": {"kms:ViaService": "ec2.*.amazonaws.com"}}`), ""},
	}
	for _, test := range tests {
		var got []string
		for _, w := range parse(t, test.kind, statementsDoc(test.statement)).Lint() {
			got = append(got, w.Message)
		}
		text := strings.Join(got, "\n")
		if test.want == "" && text != "" || test.want != "" && (len(got) != 1 || !strings.Contains(text, test.want)) {
			t.Errorf("%s\n%q, want %q", test.statement, text, test.want)
		}
	}
	if n := len(KnownServices()); n < 90 {
		t.Errorf("%d services", n)
	}
}

// TestNoAllocations: the common requests cost no garbage.
func TestNoAllocations(t *testing.T) {
	for name, req := range map[string]*Request{"root": encryptByRoot(t), "user": encryptByUser(t), "conditions": manyStatements(t)} {
		if !decide(t, req).Outcome.isAllowed() {
			t.Errorf("%s: refused", name)
		}
		if n := testing.AllocsPerRun(100, func() { Decide(req) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func (o Outcome) isAllowed() bool { return o == Allowed }

// TestConcurrentUse shares one compiled policy and request between goroutines; the race detector watches.
func TestConcurrentUse(t *testing.T) {
	req := manyStatements(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 20 {
				if d := Decide(req); !d.Allowed() {
					t.Error(d)
				}
				Explain(req)
			}
		})
	}
	group.Wait()
}

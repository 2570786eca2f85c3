package policy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/trentkms/trent/region"
)

// TestDefaultKeyPolicyKPD01 pins the text: clients and audit records show it byte for byte.
func TestDefaultKeyPolicyKPD01(t *testing.T) {
	want := strings.Join([]string{
		`{`,
		`  "Version" : "2012-10-17",`,
		`  "Id" : "key-default-1",`,
		`  "Statement" : [ {`,
		`    "Sid" : "Enable IAM User Permissions",`,
		`    "Effect" : "Allow",`,
		`    "Principal" : {`,
		`      "AWS" : "arn:aws-cn:iam::111122223333:root"`,
		`    },`,
		`    "Action" : "kms:*",`,
		`    "Resource" : "*"`,
		`  } ]`,
		`}`}, "\n")
	if got := region.DefaultKeyPolicy("aws-cn", accountK); got != want {
		t.Errorf("got\n%s", got)
	}
	if got, err := Render(want, nil); err != nil || got != want {
		t.Errorf("does not render to itself: %v\n%s", err, got)
	}
}

func TestRenderKP15(t *testing.T) {
	tests := map[string]string{
		`{"a":[],"b":{},"c":[1,true,null,"x"]}`:   "{\n  \"a\" : [ ],\n  \"b\" : { },\n  \"c\" : [ 1, true, null, \"x\" ]\n}",
		`{"z":1.50,"a":{"k":"\u00e9\n\"\\\/\t"}}`: "{\n  \"z\" : 1.50,\n  \"a\" : {\n    \"k\" : \"é\\n\\\"\\\\/\\t\"\n  }\n}",
		`[{"a":1},{"b":2}]`:                       "[ {\n  \"a\" : 1\n}, {\n  \"b\" : 2\n} ]",
	}
	for document, want := range tests {
		if got, err := Render(document, nil); err != nil || got != want {
			t.Errorf("%s: %v\n%s", document, err, got)
		}
	}
	for _, bad := range []string{"", "{", "\x00", strings.Repeat(" ", outerLimit+1)} {
		if _, err := Render(bad, nil); err == nil {
			t.Errorf("rendered %.10q", bad)
		}
		if _, err := Rewrite(bad, nil); err == nil {
			t.Errorf("rewrote %.10q", bad)
		}
	}
}

// TestRenderPrincipals: accounts are shown as ARNs, deleted principals as their unique ids (KP-07, KP-11); values elsewhere that
// look the same stay.
func TestRenderPrincipals(t *testing.T) {
	const document = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["111122223333","arn:aws:iam::111122223333:role/gone"],"Service":"ses.amazonaws.com"},
		"Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"kms:CallerAccount":"111122223333","aws:PrincipalArn":"arn:aws:iam::111122223333:role/gone"}}},
		{"Effect":"Deny","NotPrincipal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"}, {"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}]}`
	accounts := AccountARN("aws")
	display := func(ref PrincipalRef) string {
		if ref.Value == "arn:aws:iam::111122223333:role/gone" {
			return "AROA4KJY2TU23Y7NK62MV"
		}
		return accounts(ref)
	}
	rendered, err := Render(document, display)
	if err != nil {
		t.Fatal(err)
	}
	rewritten, err := Rewrite(document, display)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"rendered": rendered, "rewritten": rewritten} {
		for text, count := range map[string]int{
			`"arn:aws:iam::111122223333:root"`: 2, `"AROA4KJY2TU23Y7NK62MV"`: 1, `"111122223333"`: 1, `"arn:aws:iam::111122223333:role/gone"`: 1, `"ses.amazonaws.com"`: 1,
		} {
			if n := strings.Count(got, text); n != count {
				t.Errorf("%s: %s is there %d times, want %d", name, text, n, count)
			}
		}
	}
	again, err := Render(rewritten, nil)
	if err != nil || again != rendered {
		t.Errorf("the two ways differ: %v\n%s\n%s", err, rendered, again)
	}
	same, err := Rewrite(document, func(ref PrincipalRef) string { return ref.Value })
	if err != nil || same != document {
		t.Errorf("rewriting nothing changed the text: %v\n%s", err, same)
	}
}

// TestRenderRoundTrip: what is rendered means what was put.
func TestRenderRoundTrip(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		checkRoundTrip(t, string(text))
	}
}

func checkRoundTrip(t *testing.T, document string) {
	t.Helper()
	rendered, err := Render(document, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	var before, after any
	if err := json.Unmarshal([]byte(document), &before); err != nil {
		t.Fatalf("encoding/json refuses what we accept: %v\n%s", err, document)
	}
	if err := json.Unmarshal([]byte(rendered), &after); err != nil || !reflect.DeepEqual(before, after) {
		t.Fatalf("rendered otherwise: %v\n%s\n%s", err, document, rendered)
	}
	if again, err := Render(rendered, nil); err != nil || again != rendered {
		t.Fatalf("not a fixed point: %v\n%s", err, again)
	}
}

// TestAWSManagedKeyPolicy: usable through its service only, by its account only (SVC-12).
func TestAWSManagedKeyPolicy(t *testing.T) {
	document := AWSManagedKeyPolicy("aws", accountK, "us-west-2", "ssm")
	checkRoundTrip(t, document)
	if rendered, err := Render(document, nil); err != nil || rendered != document {
		t.Error("not in the form that it is shown in")
	}
	p := parse(t, KeyPolicy, document)
	via := []string{"kms:ViaService=ssm.us-west-2.amazonaws.com", "kms:CallerAccount=111122223333"}
	wantOutcome(t, onKey(user(accountK, "alice"), "kms:Decrypt").keyPolicy(p).with(via...), Allowed)
	wantOutcome(t, onKey(user(accountK, "alice"), "kms:Decrypt").keyPolicy(p).with(via[1]), ImplicitDeny)
	wantOutcome(t, onKey(user(accountX, "carol"), "kms:Decrypt").keyPolicy(p).identity(identityOf(t, allowAll)).with(via[0], "kms:CallerAccount=444455556666"), ImplicitDeny)
	wantOutcome(t, onKey(root(accountK), "kms:DescribeKey").keyPolicy(p).with(via[1]), Allowed)
	wantOutcome(t, onKey(root(accountK), "kms:ScheduleKeyDeletion").keyPolicy(p).with(via[1]), ImplicitDeny)
}

// FuzzParse: hostile documents end in an error or in a policy that can be decided, rendered and linted; never in a panic, and
// never differently from encoding/json about what the text says.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.json")
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			f.Add(string(text))
		}
	}
	for _, seed := range []string{
		region.DefaultKeyPolicy("aws", accountK), DefaultEndpointPolicy, strings.Repeat("[", 500), strings.Repeat(`{"a":`, 100),
		statementsDoc(`{"Effect":"Allow","Principal":"*","Action":"kms:` + strings.Repeat("*a", 200) + `","Resource":"` + strings.Repeat("*?", 200) + `"}`),
		`{"Statement":{"Effect":"Allow","Effect":"Deny"}}`, "{\"Id\":\"\\ud83d\\ude00\"}", "{\"Id\":\"\xff\"}",
		statementsDoc(`{` + okStatement + `,"Condition":{"StringLike":{"kms:EncryptionContext:${a}":["${x,'y'}","${*}${"]},"Null":{"a":[true,"x"]},"IpAddress":{"aws:SourceIp":"::/0"}}}`),
	} {
		f.Add(seed)
	}
	kinds := []Kind{KeyPolicy, IdentityPolicy, TrustPolicy, SessionPolicy, Boundary, EndpointPolicy, Guardrail}
	f.Fuzz(func(t *testing.T, document string) {
		for _, kind := range kinds {
			p, err := Parse(document, kind)
			if (p == nil) == (err == nil) {
				t.Fatal("neither policy nor error, or both")
			}
			if err != nil {
				continue
			}
			if _, err := ParseStored(document, kind); err != nil {
				t.Fatalf("accepted when put, refused when loaded: %v", err)
			}
			checkRoundTrip(t, document)
			p.Lint()
			p.Principals()
			for _, caller := range []*Principal{user(accountK, "alice"), root(accountK), service("ses.amazonaws.com")} {
				req := onKey(caller, "kms:Encrypt").with("aws:username=alice", "aws:TagKeys=a", "aws:TagKeys=b")
				req.ResourcePolicy, req.Identity, req.Endpoint = p, []*Policy{p}, p
				decide(t, req)
			}
		}
	})
}

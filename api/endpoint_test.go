package api_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/trentkms/trent/api"
)

const (
	anEndpoint = "vpce-0123456789abcdef0"
	aNetwork   = "vpc-0123456789abcdef0"
)

// via makes the lab's clients call through an endpoint, "" for a public listener.
func (l *grantLab) via(e *api.Endpoint) {
	server := httptest.NewServer(api.NewServer(api.Config{Service: l.service, Audit: l}).HandlerVia(e))
	l.t.Cleanup(server.Close)
	l.url, l.clients = server.URL, make(map[string]*kms.Client)
}

// TestEndpointConditions: each network condition key holds over an endpoint or over a public listener, as the listener says (spec 04
// VE-05, VE-06).
func TestEndpointConditions(t *testing.T) {
	l := newGrantLab(t)
	key := l.key()
	for _, c := range []struct {
		name, condition string
		public, private bool
	}{
		{"the endpoint", `{"StringEquals":{"aws:SourceVpce":"` + anEndpoint + `"}}`, false, true},
		{"another endpoint", `{"StringEquals":{"aws:SourceVpce":"vpce-0123456789abcdef1"}}`, false, false},
		{"the network", `{"StringEquals":{"aws:SourceVpc":"` + aNetwork + `"}}`, false, true},
		{"the address in the network", `{"IpAddress":{"aws:VpcSourceIp":"127.0.0.0/8"}}`, false, true},
		{"the public address", `{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}`, true, false},
		{"no public address", `{"Null":{"aws:SourceIp":"true"}}`, false, true},
		{"not the public address", `{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, true, true},
		{"TLS", `{"Bool":{"aws:SecureTransport":"true"}}`, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l.via(&api.Endpoint{})
			l.putPolicy(key, keyPolicy(`{"Effect":"Allow","Principal":"*","Action":["kms:PutKeyPolicy"],"Resource":"*"}`,
				`{"Effect":"Allow","Principal":{"AWS":"`+rootOf(owner)+`"},"Action":"kms:DescribeKey","Resource":"*","Condition":`+c.condition+`}`))
			describe := func(what string, want bool) {
				_, err := l.as(owner).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key})
				if (err == nil) != want {
					t.Errorf("%s: %v, allowed should be %t", what, err, want)
				}
			}
			describe("public listener", c.public)
			l.via(&api.Endpoint{VpceID: anEndpoint, VpcID: aNetwork, Secure: true})
			describe("endpoint", c.private)
		})
	}
}

// TestEndpointPolicy: what the endpoint's policy does not allow is refused, and it allows nothing by itself; a change applies at once
// (spec 04 VE-02 to VE-08).
func TestEndpointPolicy(t *testing.T) {
	l := newGrantLab(t)
	key, other := l.key(), l.key()
	e := &api.Endpoint{VpceID: anEndpoint}
	l.via(e)
	if err := e.SetPolicy(`{"Statement":[{"Principal":"*","Effect":"Allow","Action":"kms:DescribeKey","Resource":"` + *key + `"}]}`); err != nil {
		t.Fatal(err)
	}
	describe := func(account string, key *string, want string) {
		t.Helper()
		_, err := l.as(account).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key})
		wantFailure(t, "DescribeKey by "+account, err, want)
	}
	l.recorded("DescribeKey")
	describe(owner, key, "")
	if r := l.recorded("DescribeKey"); len(r) != 1 || r[0]["vpcEndpointId"] != anEndpoint {
		t.Errorf("the record of a call through the endpoint: %v", r)
	}
	describe(owner, other, denied(owner, "DescribeKey")+" on resource: "+*other+" because no VPC endpoint policy allows the kms:DescribeKey action")
	if r := l.recorded("DescribeKey"); len(r) != 0 {
		t.Errorf("what the endpoint policy alone refused is recorded: %v", r)
	}
	describe(stranger, key, denied(stranger, "DescribeKey")+hidden)
	if r := l.recorded("DescribeKey"); len(r) != 1 {
		t.Errorf("what others refuse too has %d records", len(r))
	}
	_, err := l.as(owner).ListKeys(t.Context(), &kms.ListKeysInput{})
	wantFailure(t, "ListKeys", err, denied(owner, "ListKeys")+" on resource: *"+" because no VPC endpoint policy allows the kms:ListKeys action")
	if err := e.SetPolicy(`{"Statement":[{"Principal":"*","Effect":"Allow","Action":"*","Resource":"*"}]}`); err != nil {
		t.Fatal(err)
	}
	describe(owner, other, "")
	if err := e.SetPolicy(`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`); err == nil {
		t.Error("a policy without principal is accepted")
	}
	describe(owner, other, "")
}

// TestEndpointPolicyOnSTS: an endpoint's policy holds for IAM and STS, also where nothing else decides, and the policy that allows
// everybody everything stops nobody.
func TestEndpointPolicyOnSTS(t *testing.T) {
	l := newGrantLab(t)
	p := newIDP(t)
	role := l.newFederatedRole("pods", l.register(owner, p), "", "")
	user := l.newUser(owner, "u", statement("Allow", "*", "*"))
	e := &api.Endpoint{VpceID: anEndpoint}
	l.via(e)
	user = l.login(user.id, user.secret, "")
	calls := map[string]func() error{
		"AssumeRoleWithWebIdentity": func() error { return second(l.bear(role, p.token(nil))) },
		"GetSessionToken":           func() error { return second(user.sts.GetSessionToken(t.Context(), nil)) },
		"GetCallerIdentity":         func() error { return second(user.sts.GetCallerIdentity(t.Context(), nil)) },
		"ListUsers":                 func() error { return second(user.iam.ListUsers(t.Context(), nil)) },
	}
	const everything = `{"Principal":"*","Effect":"Allow","Action":"*","Resource":"*"}`
	for policy, want := range map[string]bool{
		everything: true,
		`{"Principal":"*","Effect":"Allow","Action":"kms:*","Resource":"*"}`:                               false,
		everything + `,{"Principal":"*","Effect":"Deny","Action":["sts:*","iam:*"],"Resource":"*"}`:        false,
		everything + `,{"Principal":"*","Effect":"Deny","Action":"sts:GetFederationToken","Resource":"*"}`: true,
	} {
		if err := e.SetPolicy(`{"Statement":[` + policy + `]}`); err != nil {
			t.Fatal(err)
		}
		for name, call := range calls {
			err := call()
			if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "AccessDenied") {
				t.Errorf("%s under %s: %v", name, policy, err)
			}
		}
	}
	if r := l.recorded("GetSessionToken"); len(r) != 2 {
		t.Errorf("GetSessionToken has %d records, want the two that the endpoint let through", len(r))
	}
}

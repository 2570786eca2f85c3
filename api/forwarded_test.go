package api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/trentkms/trent/api/sigv4"
)

// handedOver is a request for IAM that region eu-west-1 has received, as that region hands it over, with what it says changed.
func handedOver(t *testing.T, who *login, form string, change func(map[string]any)) []byte {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "https://kms.eu-west-1.example/", strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", "an agent")
	signer, err := sigv4.NewSigner(sigv4.Credentials{AccessKeyID: who.id, SecretAccessKey: []byte(who.secret)}, "eu-west-1", "iam")
	if err == nil {
		err = signer.Sign(r, sha256.Sum256([]byte(form)), now())
	}
	if err != nil {
		t.Fatal(err)
	}
	f := map[string]any{
		"requestId": "01234567-89ab-4def-8123-456789abcdef", "method": r.Method, "uri": "/", "host": r.URL.Host, "header": r.Header, "length": len(form),
		"body": []byte(form), "remote": "192.0.2.7:4000", "tls": map[string]any{"version": 0x304, "suite": 0x1301}, "via": map[string]any{},
	}
	if change != nil {
		change(f)
	}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newUserForm(name string) string {
	return "Action=CreateUser&Version=2010-05-08&UserName=" + name
}

// TestForwardedConditions: what a policy asks of the way that a request came is that way, in the region that received it.
func TestForwardedConditions(t *testing.T) {
	l := newGrantLab(t)
	only := func(key, value string) string {
		return statement("Allow", "iam:CreateUser", "*", `"Condition":{"StringEquals":{"`+key+`":"`+value+`"}}`)
	}
	for i, c := range []struct {
		policy string
		change func(map[string]any)
		status string
	}{
		{only("aws:RequestedRegion", "eu-west-1"), nil, `"status":200`},
		{only("aws:RequestedRegion", "us-east-1"), nil, `"status":403`},
		{only("aws:RequestedRegion", "us-east-1"), func(f map[string]any) { f["region"], f["from"] = "us-east-1", "us-east-1" }, `"status":403`},
		{only("aws:SourceIp", "192.0.2.7"), nil, `"status":200`},
		{only("aws:SourceVpce", "vpce-0123456789abcdef0"), nil, `"status":403`},
		{only("aws:SourceVpce", "vpce-0123456789abcdef0"), func(f map[string]any) {
			f["via"] = map[string]any{"vpceId": "vpce-0123456789abcdef0"}
		}, `"status":200`},
	} {
		name := "caller-" + string(rune('a'+i))
		who := l.newUser(owner, name, c.policy)
		reply, err := l.server.DecideForwarded(t.Context(), "eu-west-1", handedOver(t, who, newUserForm("made-by-"+name), c.change))
		if err != nil || !strings.Contains(string(reply), c.status) {
			t.Errorf("%s: %s, %v", c.policy, reply, err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.ContainsFunc(l.records, func(r []byte) bool {
		return bytes.Contains(r, []byte(`"receivedInRegion":"eu-west-1"`)) && bytes.Contains(r, []byte(`"requestID":"01234567-89ab-4def-8123-456789abcdef"`)) &&
			bytes.Contains(r, []byte(`"sourceIPAddress":"192.0.2.7"`))
	}) {
		t.Error("no record says where the request was received")
	}
}

// TestForwardedRequestsAreHeldToTheirForm: what no node sees of a request, no region says of one.
func TestForwardedRequestsAreHeldToTheirForm(t *testing.T) {
	l := newGrantLab(t)
	root := l.root(owner)
	via := func(vpce, vpc string) func(map[string]any) {
		return func(f map[string]any) { f["via"] = map[string]any{"vpceId": vpce, "vpcId": vpc} }
	}
	set := func(field string, value any) func(map[string]any) {
		return func(f map[string]any) { f[field] = value }
	}
	for _, c := range []struct {
		name   string
		change func(map[string]any)
		good   bool
	}{
		{"as nodes do", nil, true},
		{"without a length", set("length", -1), true},
		{"over IPv6", set("remote", "[2001:db8::1]:4000"), true},
		{"without TLS", func(f map[string]any) { delete(f, "tls") }, true},
		{"through an endpoint", via("vpce-0123456789abcdef0", "vpc-01234567"), true},
		{"no request id", set("requestId", ""), false},
		{"a request id of one's own", set("requestId", "01234567-89ab-4def-8123-456789abcdef\n"), false},
		{"a long request id", set("requestId", strings.Repeat("a", 5000)), false},
		{"another method", set("method", "GET"), false},
		{"an address that is none", set("remote", "192.0.2.7"), false},
		{"an address that is a text", set("remote", "somewhere:80"), false},
		{"over a link", set("remote", "[fe80::1%eth0]:4000"), true},
		{"over an endless link", set("remote", "[fe80::1%"+strings.Repeat("x", 200<<10)+"]:4000"), false},
		{"over a link that does not print", set("remote", "[fe80::1%\x1b[2J]:4000"), false},
		{"an endpoint that is none", via("vpce-x", ""), false},
		{"a network without an endpoint", via("", "vpc-01234567"), false},
		{"a network that is none", via("vpce-0123456789abcdef0", "*"), false},
		{"TLS of long ago", set("tls", map[string]any{"version": 0x301}), false},
		{"another length", set("length", 3), false},
		{"another encoding", set("encoding", []string{"gzip"}), false},
		{"endless headers", set("header", http.Header{"X": {strings.Repeat("x", 200<<10)}}), false},
		{"an endless host", set("host", strings.Repeat("x", 200<<10)), false},
	} {
		name := "u" + strings.ReplaceAll(c.name, " ", "-")
		_, err := l.server.DecideForwarded(t.Context(), "eu-west-1", handedOver(t, root, newUserForm(name), c.change))
		if (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// FuzzForwarded: no message of another region makes the one that decides fail.
func FuzzForwarded(f *testing.F) {
	l := newGrantLab(f)
	f.Add([]byte(`{"requestId":"01234567-89ab-4def-8123-456789abcdef","method":"POST","uri":"/","host":"h","length":2,"body":"QT0=","remote":"192.0.2.7:1",` +
		`"header":{"Content-Type":["application/x-www-form-urlencoded"],"Authorization":["AWS4-HMAC-SHA256 x"]},"tls":{"version":772},"via":{}}`))
	f.Add([]byte(`{"requestId":"ACTAAAAAAAAAAAAAAAAA","act":{"name":"CreateAccount","account":"1","asker":{"by":"x"}}}`))
	f.Add([]byte(`{"requestId":"ACTAAAAAAAAAAAAAAAAA","act":{"name":"DeleteService","service":"a","accessKeyId":"\u0000"}}`))
	f.Add([]byte(`{"header":null,"act":null,"tls":null}`))
	f.Fuzz(func(t *testing.T, message []byte) {
		reply, err := l.server.DecideForwarded(t.Context(), "eu-west-1", message)
		if err != nil && strings.Contains(err.Error(), "failed") || err == nil && !json.Valid(reply) {
			t.Errorf("%q is answered %q, %v", message, reply, err)
		}
	})
}

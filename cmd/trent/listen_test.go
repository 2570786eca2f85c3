package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/cmd/trent/config"
)

// TestListeners: a node serves several listeners; behind a load balancer records have the client's address, and an endpoint's policy
// changes with its file.
func TestListeners(t *testing.T) {
	f := testConfig(t)
	const allow, deny = `{"Statement":[{"Principal":"*","Effect":"Allow","Action":"*","Resource":"*"}]}`, `{"Statement":[{"Principal":"*","Effect":"Deny","Action":"kms:ListKeys","Resource":"*"}]}`
	policy := filepath.Join(f.DataDir, "endpoint.json")
	write := func(text string) {
		t.Helper()
		if err := writeDurably(policy, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write(allow)
	f.Listeners = append(f.Listeners,
		config.Listener{Name: "balanced", Address: "127.0.0.1:0", PlainHTTP: true, ProxyProtocol: "required", TrustedProxies: []string{"127.0.0.1"},
			EndpointID: "vpce-0123456789abcdef0", EndpointPolicyFile: policy},
		config.Listener{Name: "ops", Address: "127.0.0.1:0"})
	f.Audit = &config.Audit{SegmentSize: 1 << 20}
	if err := f.Complete(f.DataDir); err != nil {
		t.Fatal(err)
	}
	n := openTestNode(t, f, true)
	o := devOptions{region: f.Region, account: f.Account}
	id, secret, err := o.initialize(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	listeners, err := n.listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.run(ctx, listeners...) }()
	client := func(l *listener, header string) *kms.Client {
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
			if err == nil {
				_, err = c.Write([]byte(header))
			}
			return c, err
		}
		return kms.New(kms.Options{
			Region: f.Region, BaseEndpoint: aws.String("http://" + l.Addr().String()), Retryer: aws.NopRetryer{},
			HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}},
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: id, SecretAccessKey: string(secret)}, nil
			}),
		})
	}
	const header = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\x7f\x00\x00\x01\x30\x39\x00\x50"
	list := func(c *kms.Client) error {
		_, err := c.ListKeys(t.Context(), &kms.ListKeysInput{})
		return err
	}
	balanced := client(listeners[1], header)
	for name, err := range map[string]error{"public": list(client(listeners[0], "")), "balanced": list(balanced)} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := list(client(listeners[1], "")); err == nil {
		t.Error("a connection without header is served")
	}
	if err := list(client(listeners[0], header)); err == nil {
		t.Error("a header is accepted on a listener without load balancer")
	}
	resp, err := http.Get("http://" + listeners[2].Addr().String() + "/readyz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("readyz: %v, %v", resp, err)
	}

	write(deny)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err := list(balanced); err != nil && strings.Contains(err.Error(), "VPC endpoint policy") {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the changed endpoint policy does not apply: %v", err)
		}
	}
	if err := os.WriteFile(policy, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := list(balanced); err == nil {
		t.Error("a broken file has opened the endpoint")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	page, err := audit.Search(t.Context(), f.Audit.Dir, audit.Filter{EventName: "ListKeys"})
	if err != nil {
		t.Fatal(err)
	}
	from := map[string]int{}
	for _, e := range page.Entries {
		var r struct{ SourceIPAddress, VPCEndpointID string }
		if err := json.Unmarshal([]byte(e.Line), &r); err != nil {
			t.Fatal(err)
		}
		from[r.SourceIPAddress+" "+r.VPCEndpointID]++
	}
	if from["127.0.0.1 "] != 1 || from["192.0.2.7 vpce-0123456789abcdef0"] == 0 || len(from) != 2 {
		t.Errorf("the records' addresses and endpoints: %v", from)
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/trentkms/trent/api/audit"
	"github.com/trentkms/trent/cmd/trent/config"
	"github.com/trentkms/trent/region"
)

// served is a running node with one listener, and its root credentials.
type served struct {
	t          *testing.T
	node       *node
	file       *config.File
	url        string
	id, secret string
	stop       func()
}

func newServed(t *testing.T) *served {
	f := testConfig(t)
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
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.run(ctx, listeners...) }()
	s := &served{t: t, node: n, file: f, url: "http://" + listeners[0].Addr().String(), id: id, secret: string(secret)}
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(s.stop)
	return s
}

// trent runs a command with credentials.
func (s *served) trent(id, secret string, args ...string) (string, error) {
	s.t.Helper()
	for name, value := range map[string]string{
		endpointEnv: s.url, "AWS_ENDPOINT_URL_IAM": s.url, "AWS_REGION": s.file.Region, "AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secret,
		"AWS_SESSION_TOKEN": "", "AWS_CA_BUNDLE": "",
	} {
		s.t.Setenv(name, value)
	}
	cmd := root()
	cmd.SetArgs(args)
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	err := cmd.ExecuteContext(ctx)
	return out.String(), err
}

// TestOperatorAPI: every request to the operator API is signed, allowed to a principal of the operator's account by its own action, and
// recorded.
func TestOperatorAPI(t *testing.T) {
	s := newServed(t)
	for _, args := range [][]string{{"operator", "status"}, {"operator", "members"}, {"iam", "service", "create", "ssm"}, {"iam", "service", "list"}} {
		if out, err := s.trent(s.id, s.secret, args...); err != nil {
			t.Errorf("root, %v: %v, %s", args, err, out)
		}
	}
	if _, err := s.trent(s.id, "a wrong secret", "operator", "status"); err == nil || !strings.Contains(err.Error(), "InvalidSignature") {
		t.Errorf("a wrong secret: %v", err)
	}
	if out, err := s.trent(s.id, s.secret, "iam", "service", "create", "Not A Name"); err == nil {
		t.Errorf("a bad name is taken: %s", out)
	}

	// Another account's root user has all permissions there, and none here.
	const tenant = "444455556666"
	var account region.NewAccount
	if out, err := s.trent(s.id, s.secret, "operator", "account", "create", tenant, "--format", "json"); err != nil || json.Unmarshal([]byte(out), &account) != nil {
		t.Fatal(err, out)
	}
	for id, why := range map[string]string{tenant: "exists already", s.file.Account: "exists already", "44445555666": "12 digits"} {
		if _, err := s.trent(s.id, s.secret, "operator", "account", "create", id); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("account %s: %v", id, err)
		}
	}
	if out, err := s.trent(s.id, s.secret, "operator", "account", "list"); err != nil || !strings.Contains(out, tenant) || strings.Count(out, "true") != 1 {
		t.Errorf("the accounts: %v, %s", err, out)
	}
	tenantKey, tenantSecret := account.AccessKeyID, account.SecretAccessKey
	if out, err := s.trent(tenantKey, tenantSecret, "iam", "users"); err != nil {
		t.Errorf("the tenant's root user: %v, %s", err, out)
	}
	if _, err := s.trent(tenantKey, tenantSecret, "operator", "account", "create", "777788889999"); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("an account made by a tenant: %v", err)
	}
	if _, err := s.trent(tenantKey, tenantSecret, "operator", "members"); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("a tenant's root user: %v", err)
	}
	// A user has the actions that its policies allow, and no other.
	admin := iam.New(iam.Options{Region: s.file.Region, BaseEndpoint: &s.url, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: s.id, SecretAccessKey: s.secret}, nil
	})})
	name, text := "watcher", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"trent:List*","Resource":"arn:aws:trent:*:*:region"}]}`
	if _, err := admin.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: &name, PolicyName: &name, PolicyDocument: &text}); err != nil {
		t.Fatal(err)
	}
	made, err := admin.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.trent(*made.AccessKey.AccessKeyId, *made.AccessKey.SecretAccessKey, "operator", "members"); err != nil {
		t.Errorf("a user with trent:List*: %v, %s", err, out)
	}
	if _, err := s.trent(*made.AccessKey.AccessKeyId, *made.AccessKey.SecretAccessKey, "operator", "step-down"); err == nil || !strings.Contains(err.Error(), "trent:StepDown") {
		t.Errorf("a user without trent:StepDown: %v", err)
	}
	// A service calls KMS and nothing else.
	registered, err := s.node.service.RegisterService(t.Context(), "s3")
	if err != nil {
		t.Fatal(err)
	}
	k := registered.AccessKeys[0]
	if _, err := s.trent(k.AccessKeyID, k.SecretAccessKey, "operator", "members"); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("a service: %v", err)
	}

	s.stop()
	page, err := audit.Search(t.Context(), s.file.Audit.Dir, audit.Filter{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, e := range page.Entries {
		var r struct{ EventSource, EventName, ErrorCode, RecipientAccountID string }
		if err := json.Unmarshal([]byte(e.Line), &r); err != nil {
			t.Fatal(err)
		}
		if r.EventSource == "trent.amazonaws.com" {
			seen[r.RecipientAccountID+" "+r.EventName+" "+r.ErrorCode]++
		}
	}
	for _, want := range []string{"111122223333 GetStatus ", "111122223333 ListMembers ", "111122223333 CreateService ", "111122223333 CreateAccount ", "111122223333 CreateAccount Conflict", "111122223333 CreateService Bad Request",
		"444455556666 ListMembers AccessDenied"} {
		if seen[want] == 0 {
			t.Errorf("there is no record %q in %v", want, seen)
		}
	}
}

// TestAdminActions: every request of the admin API has an action or is for the socket alone, and every action a request.
func TestAdminActions(t *testing.T) {
	docs, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for pattern, action := range adminActions {
		if !strings.Contains(string(docs), "`trent:"+action+"`") {
			t.Errorf("operations.md does not name trent:%s, which %s needs", action, pattern)
		}
	}
	n := &node{members: &region.Members{}}
	m := n.adminHandler()
	known := map[string]bool{}
	for _, p := range m.patterns {
		known[p] = true
		if (adminActions[p] == "") != socketOnly[p] {
			t.Errorf("%s has the action %q; for the socket alone: %t", p, adminActions[p], socketOnly[p])
		}
	}
	for p := range adminActions {
		if !known[p] {
			t.Errorf("%s has an action and no handler", p)
		}
	}
}

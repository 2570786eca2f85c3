package api_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/trentkms/trent/api/sigv4"
	"github.com/trentkms/trent/fsm"
)

// login is somebody's credentials on a lab's node, with a client for each service. No client retries.
type login struct {
	id, secret, token string
	kms               *kms.Client
	iam               *iam.Client
	sts               *sts.Client
}

func (l *grantLab) login(id, secret, token string) *login {
	provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}, nil
	})
	url, region, once := aws.String(l.url), "us-east-1", aws.NopRetryer{}
	return &login{
		id: id, secret: secret, token: token,
		kms: kms.New(kms.Options{Region: region, BaseEndpoint: url, Retryer: once, Credentials: provider}),
		iam: iam.New(iam.Options{Region: region, BaseEndpoint: url, Retryer: once, Credentials: provider}),
		sts: sts.New(sts.Options{Region: region, BaseEndpoint: url, Retryer: once, Credentials: provider}),
	}
}

// root is the root user of an account.
func (l *grantLab) root(account string) *login {
	return l.login("AKIA"+account, string(secretOf(account).Bytes()), "")
}

// user makes a user of an account, with an access key and the given inline policy, "" for none.
func (l *grantLab) newUser(account, name, policy string) *login {
	l.t.Helper()
	admin := l.root(account).iam
	must(admin.CreateUser(l.t.Context(), &iam.CreateUserInput{UserName: &name}))(l.t)
	l.putUserPolicy(account, name, policy)
	k := must(admin.CreateAccessKey(l.t.Context(), &iam.CreateAccessKeyInput{UserName: &name}))(l.t).AccessKey
	return l.login(*k.AccessKeyId, *k.SecretAccessKey, "")
}

func (l *grantLab) putUserPolicy(account, name, policy string) {
	l.t.Helper()
	if policy != "" {
		must(l.root(account).iam.PutUserPolicy(l.t.Context(), &iam.PutUserPolicyInput{
			UserName: &name, PolicyName: aws.String("p"), PolicyDocument: &policy,
		}))(l.t)
	}
}

// role makes a role of an account with a trust policy for a principal, and an inline policy, "" for none.
func (l *grantLab) newRole(account, name, principal, policy string) string {
	l.t.Helper()
	admin := l.root(account).iam
	trust := statement("Allow", "sts:AssumeRole", "", `"Principal":{"AWS":"`+principal+`"}`)
	r := must(admin.CreateRole(l.t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust}))(l.t).Role
	if policy != "" {
		must(admin.PutRolePolicy(l.t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("p"), PolicyDocument: &policy}))(l.t)
	}
	return *r.Arn
}

// assume makes a session of a role.
func (l *grantLab) newSession(who *login, in *sts.AssumeRoleInput) *login {
	l.t.Helper()
	if in.RoleSessionName == nil {
		in.RoleSessionName = aws.String("s1")
	}
	c := must(who.sts.AssumeRole(l.t.Context(), in))(l.t).Credentials
	return l.login(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
}

// statement is a policy of one statement. Without a resource it has none.
func statement(effect, action, resource string, more ...string) string {
	s := `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Action":"` + action + `"`
	if resource != "" {
		s += `,"Resource":"` + resource + `"`
	}
	for _, m := range more {
		s += "," + m
	}
	return s + "}]}"
}

// keyPolicy is a key policy of statements, each given as its JSON.
func keyPolicy(statements ...string) string {
	list := make([]json.RawMessage, len(statements))
	for i, s := range statements {
		list[i] = json.RawMessage(s)
	}
	b, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": list})
	if err != nil {
		panic(err)
	}
	return string(b)
}

const rootStatement = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}`

// named is a statement that allows actions to a principal, by its ARN or "*".
func named(principal, action string) string {
	if principal != "*" {
		principal = `{"AWS":"` + principal + `"}`
	} else {
		principal = `"*"`
	}
	return `{"Effect":"Allow","Principal":` + principal + `,"Action":"` + action + `","Resource":"*"}`
}

// putPolicy replaces a key's policy, past the lockout check.
func (l *grantLab) putPolicy(key *string, policy string) {
	l.t.Helper()
	must(l.root(owner).kms.PutKeyPolicy(l.t.Context(), &kms.PutKeyPolicyInput{KeyId: key, Policy: &policy, BypassPolicyLockoutSafetyCheck: true}))(l.t)
}

// keyWith makes a key of the owner with a policy, past the lockout check.
func (l *grantLab) keyWith(policy string) *string {
	l.t.Helper()
	return l.key(func(in *kms.CreateKeyInput) { in.Policy, in.BypassPolicyLockoutSafetyCheck = &policy, true })
}

// wantEncrypt tells how an Encrypt of a login on a key ends.
func wantEncrypt(t testing.TB, what string, who *login, key *string, want string) {
	t.Helper()
	_, err := who.kms.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key, Plaintext: []byte("x")})
	wantFailure(t, what, err, want)
}

func putIdentity(i fsm.Identity, was uint64) fsm.Body { return &fsm.PutIdentity{Identity: i, Was: was} }

func contains(s, part string) bool { return strings.Contains(s, part) }

// raw sends a call signed at a time, and returns the answer. A target is for the JSON protocol; without one the body is a form.
func (l *grantLab) raw(who *login, service string, at time.Time, target, body string) string {
	l.t.Helper()
	r, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, l.url+"/", strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if target != "" {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", target)
	}
	signer, err := sigv4.NewSigner(sigv4.Credentials{AccessKeyID: who.id, SecretAccessKey: []byte(who.secret), SessionToken: who.token}, "us-east-1", service)
	if err == nil {
		err = signer.Sign(r, sha256.Sum256([]byte(body)), at)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return resp.Status + "\n" + string(b)
}

func errOf(text string) error { return errors.New(text) }

func now() time.Time { return time.Now() }

// sameInvocation makes calls look like attempts of one.
func sameInvocation(attempt string) func(*middleware.Stack) error {
	return func(s *middleware.Stack) error {
		return s.Finalize.Insert(middleware.FinalizeMiddlewareFunc("same", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
			h := in.Request.(*smithyhttp.Request).Header
			h.Set("Amz-Sdk-Invocation-Id", "invocation-1")
			h.Set("Amz-Sdk-Request", attempt)
			return next.HandleFinalize(ctx, in)
		}), "Signing", middleware.Before)
	}
}

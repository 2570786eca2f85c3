package cluster_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// logins are clients of every node with one set of credentials; no call is tried twice.
type logins struct {
	id  string
	kms []*kms.Client
	iam []*iam.Client
	sts []*sts.Client
}

func (r *regionOf) login(id, secret, token string) *logins {
	l := &logins{id: id}
	provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: token}, nil
	})
	for _, p := range r.nodes {
		url, once, client := aws.String("http://"+p.api), aws.NopRetryer{}, &http.Client{Timeout: 15 * time.Second}
		l.kms = append(l.kms, kms.New(kms.Options{Region: "eu-central-1", BaseEndpoint: url, Retryer: once, HTTPClient: client, Credentials: provider}))
		l.iam = append(l.iam, iam.New(iam.Options{Region: "eu-central-1", BaseEndpoint: url, Retryer: once, HTTPClient: client, Credentials: provider}))
		l.sts = append(l.sts, sts.New(sts.Options{Region: "eu-central-1", BaseEndpoint: url, Retryer: once, HTTPClient: client, Credentials: provider}))
	}
	return l
}

// revocation is one way to take a permission away from somebody who has it.
type revocation struct {
	name string
	who  *logins
	key  string
	take func(node int) error
}

const useAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:Encrypt","sts:AssumeRole"],"Resource":"*"}]}`

// revocations: whatever is taken away on one node is gone on all of them with the acknowledgement. Calls run on every node without a
// pause, so that some are under way at that moment; none that begins later may get through.
func (r *regionOf) revocations(t *testing.T) {
	defer r.in(t)()
	for i, c := range r.revocable(t) {
		t.Run(c.name, func(t *testing.T) { c.check(t, i%len(r.nodes)) })
	}
}

func (c *revocation) check(t *testing.T, node int) {
	var revoked atomic.Bool
	var passed, refused, late atomic.Int64
	var wait sync.WaitGroup
	inUse := make(chan struct{}, len(c.who.kms))
	stop, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for _, client := range c.who.kms {
		wait.Go(func() {
			for used := false; stop.Err() == nil; {
				after := revoked.Load()
				_, err := client.Encrypt(stop, &kms.EncryptInput{KeyId: &c.key, Plaintext: []byte("x")})
				switch {
				case err == nil && after:
					late.Add(1)
					return
				case err == nil && !used:
					used = true
					passed.Add(1)
					inUse <- struct{}{}
				case after && denial(err):
					refused.Add(1)
					return
				}
			}
		})
	}
	for range c.who.kms {
		select {
		case <-inUse:
		case <-stop.Done():
			t.Fatalf("only %d nodes let the caller in at first", passed.Load())
		}
	}
	if err := c.take(node); err != nil {
		t.Fatal(err)
	}
	revoked.Store(true)
	wait.Wait()
	if late.Load() > 0 || refused.Load() != int64(len(c.who.kms)) {
		t.Errorf("%d nodes let the caller in after the acknowledgement, %d refused", late.Load(), refused.Load())
	}
}

// denial tells a refusal for want of a permission or of credentials.
func denial(err error) bool {
	var e smithy.APIError
	return errors.As(err, &e) && (e.ErrorCode() == "AccessDeniedException" || e.ErrorCode() == "UnrecognizedClientException")
}

// revocable makes users, roles, keys and grants, each with a way to lose them.
func (r *regionOf) revocable(t *testing.T) []*revocation {
	t.Helper()
	root := r.login(r.key, r.secret, "")
	admin, keys := root.iam[0], root.kms[0]
	key := *must(keys.CreateKey(ctx(t), &kms.CreateKeyInput{}))(t).KeyMetadata.Arn
	user := func(name string, allowed bool) *logins {
		must(admin.CreateUser(ctx(t), &iam.CreateUserInput{UserName: &name}))(t)
		if allowed {
			must(admin.PutUserPolicy(ctx(t), &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("p"), PolicyDocument: aws.String(useAll)}))(t)
		}
		k := must(admin.CreateAccessKey(ctx(t), &iam.CreateAccessKeyInput{UserName: &name}))(t).AccessKey
		return r.login(*k.AccessKeyId, *k.SecretAccessKey, "")
	}
	arn := func(name string) *string { return aws.String("arn:aws:iam::" + account + ":user/" + name) }
	role := must(admin.CreateRole(ctx(t), &iam.CreateRoleInput{RoleName: aws.String("app"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"sts:AssumeRole"}]}`)}))(t).Role.Arn
	allowRole := &iam.PutRolePolicyInput{RoleName: aws.String("app"), PolicyName: aws.String("p"), PolicyDocument: aws.String(useAll)}
	must(admin.PutRolePolicy(ctx(t), allowRole))(t)
	session := func(of *logins) *logins {
		c := must(of.sts[1].AssumeRole(ctx(t), &sts.AssumeRoleInput{RoleArn: role, RoleSessionName: aws.String("s1")}))(t).Credentials
		return r.login(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
	}
	deleted, inactive, detached, granted, named, leaver, founder, assumer := user("deleted", true), user("inactive", true), user("detached", false),
		user("granted", false), user("named", false), user("leaver", true), user("founder", true), user("assumer", true)
	policy := aws.String("arn:aws:iam::aws:policy/AdministratorAccess")
	must(admin.AttachUserPolicy(ctx(t), &iam.AttachUserPolicyInput{UserName: aws.String("detached"), PolicyArn: policy}))(t)
	grant := must(keys.CreateGrant(ctx(t), &kms.CreateGrantInput{KeyId: &key, GranteePrincipal: arn("granted"), Operations: []types.GrantOperation{types.GrantOperationEncrypt}}))(t).GrantId
	other := *must(keys.CreateKey(ctx(t), &kms.CreateKeyInput{}))(t).KeyMetadata.Arn
	const delegate = `{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"kms:*","Resource":"*"}`
	keyPolicy := func(more string) *kms.PutKeyPolicyInput {
		return &kms.PutKeyPolicyInput{KeyId: &other, Policy: aws.String(`{"Version":"2012-10-17","Statement":[` + delegate + more + `]}`)}
	}
	must(keys.PutKeyPolicy(ctx(t), keyPolicy(`,{"Effect":"Allow","Principal":{"AWS":"`+*arn("named")+`"},"Action":"kms:Encrypt","Resource":"*"}`)))(t)
	dropKey := func(n int, name string, of *logins) error {
		_, err := root.iam[n].DeleteAccessKey(ctx(t), &iam.DeleteAccessKeyInput{UserName: &name, AccessKeyId: &of.id})
		return err
	}
	return []*revocation{
		{"DeleteAccessKey", deleted, key, func(n int) error { return dropKey(n, "deleted", deleted) }},
		{"UpdateAccessKey", inactive, key, func(n int) error {
			_, err := root.iam[n].UpdateAccessKey(ctx(t), &iam.UpdateAccessKeyInput{UserName: aws.String("inactive"), AccessKeyId: &inactive.id, Status: "Inactive"})
			return err
		}},
		{"DetachUserPolicy", detached, key, func(n int) error {
			_, err := root.iam[n].DetachUserPolicy(ctx(t), &iam.DetachUserPolicyInput{UserName: aws.String("detached"), PolicyArn: policy})
			return err
		}},
		{"RevokeGrant", granted, key, func(n int) error {
			_, err := root.kms[n].RevokeGrant(ctx(t), &kms.RevokeGrantInput{KeyId: &key, GrantId: grant})
			return err
		}},
		{"PutKeyPolicy", named, other, func(n int) error {
			_, err := root.kms[n].PutKeyPolicy(ctx(t), keyPolicy(""))
			return err
		}},
		{"sessions of a deleted user", session(leaver), key, func(n int) error {
			if err := dropKey(n, "leaver", leaver); err != nil {
				return err
			}
			if _, err := root.iam[n].DeleteUserPolicy(ctx(t), &iam.DeleteUserPolicyInput{UserName: aws.String("leaver"), PolicyName: aws.String("p")}); err != nil {
				return err
			}
			_, err := root.iam[n].DeleteUser(ctx(t), &iam.DeleteUserInput{UserName: aws.String("leaver")})
			return err
		}},
		{"sessions of a deleted access key", session(founder), key, func(n int) error { return dropKey(n, "founder", founder) }},
		{"DeleteRolePolicy", session(assumer), key, func(n int) error {
			_, err := root.iam[n].DeleteRolePolicy(ctx(t), &iam.DeleteRolePolicyInput{RoleName: aws.String("app"), PolicyName: aws.String("p")})
			return err
		}},
	}
}

// must returns the result of a call that has to succeed.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

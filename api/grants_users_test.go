package api_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/fsm"
)

// grantUser makes a user of an account, with an inline identity policy if it is not empty, and a client for it. The name is its access
// key's too.
func (l *grantLab) grantUser(account, name, id, policy string) *kms.Client {
	l.t.Helper()
	i := fsm.Identity{Account: account, Type: fsm.IdentityUser, ID: id, Name: name, Path: "/"}
	if policy != "" {
		i.Inline = []fsm.InlinePolicy{{Name: "p", Document: policy}}
	}
	l.propose(&fsm.PutIdentity{Identity: i})
	key := "AKIA" + id
	if err := l.service.PutRootAccessKey(l.t.Context(), account, key, secretOf(account)); err != nil {
		l.t.Fatal(err)
	}
	access := *l.State().AccessKey(key)
	access.Principal = id
	l.propose(&fsm.DeleteAccessKey{ID: key}, &fsm.PutAccessKey{AccessKey: access})
	return kms.New(kms.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(l.url), Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: key, SecretAccessKey: string(secretOf(account).Bytes())}, nil
		}),
	})
}

// deleteGrantUser deletes what grantUser made.
func (l *grantLab) deleteGrantUser(id string) {
	l.t.Helper()
	l.propose(&fsm.DeleteAccessKey{ID: "AKIA" + id}, &fsm.DeleteIdentity{ID: id, Was: l.State().Identity(id).Version})
}

// TestGrantsOfUsers: a grant to a user is that user's and no namesake's (spec 04 GR-15); one to an account is for those of its
// users whom identity policies allow it (EV-08); an identity policy's Deny closes both.
func TestGrantsOfUsers(t *testing.T) {
	l := newGrantLab(t)
	ctx := t.Context()
	const (
		annID, annID2 = "AIDAANNANNANNANNANN11", "AIDAANNANNANNANNANN22"
		ann           = "arn:aws:iam::" + partner + ":user/ann"
		encryptAll    = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:Encrypt","Resource":"*"}}`
		encryptNone   = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:Encrypt","Resource":"*"}}`
	)
	encrypts := func(c *kms.Client, key *string) bool {
		_, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: key, Plaintext: []byte("x")})
		return err == nil
	}
	to := func(principal string) func(*kms.CreateGrantInput) {
		return func(in *kms.CreateGrantInput) {
			in.GranteePrincipal, in.RetiringPrincipal = aws.String(principal), aws.String(principal)
		}
	}
	mine, everybodys := l.key(), l.key()
	user := l.grantUser(partner, "ann", annID, "")
	bob := l.grantUser(partner, "bob", "AIDABOBBOBBOBBOBBOB11", encryptAll)
	denied := l.grantUser(partner, "eve", "AIDAEVEEVEEVEEVEEVE11", encryptNone)
	if encrypts(user, mine) {
		t.Error("a user may encrypt without grant")
	}
	g := l.grant(mine, to(ann), types.GrantOperationEncrypt)
	l.grant(mine, to("arn:aws:iam::"+partner+":user/eve"), types.GrantOperationEncrypt)
	l.grant(everybodys, to(rootOf(partner)), types.GrantOperationEncrypt)
	for _, c := range []struct {
		name           string
		client         *kms.Client
		own, accountds bool
	}{
		{"grantee", user, true, false},
		{"user with an identity policy", bob, false, true},
		{"grantee with a Deny", denied, false, false},
		{"root of the grantee's account", l.as(partner), false, true},
	} {
		if got := encrypts(c.client, mine); got != c.own {
			t.Errorf("%s by the grant to a user: %v", c.name, got)
		}
		if got := encrypts(c.client, everybodys); got != c.accountds {
			t.Errorf("%s by the grant to the account: %v", c.name, got)
		}
	}
	list := func() types.GrantListEntry {
		t.Helper()
		page := must(l.as(owner).ListGrants(ctx, &kms.ListGrantsInput{KeyId: mine, GrantId: g.GrantId}))(t)
		if len(page.Grants) != 1 {
			t.Fatalf("%d grants", len(page.Grants))
		}
		return page.Grants[0]
	}
	if e := list(); *e.GranteePrincipal != ann || *e.RetiringPrincipal != ann {
		t.Errorf("shown as %s and %s", *e.GranteePrincipal, *e.RetiringPrincipal)
	}
	found := func(name string) int {
		return len(must(l.as(owner).ListGrants(ctx, &kms.ListGrantsInput{KeyId: mine, GranteePrincipal: aws.String(name)}))(t).Grants)
	}
	if found(ann) != 1 {
		t.Error("the grant is not found by its grantee")
	}

	l.deleteGrantUser(annID)
	if e := list(); *e.GranteePrincipal != annID || *e.RetiringPrincipal != annID {
		t.Errorf("of a deleted user shown as %s and %s", *e.GranteePrincipal, *e.RetiringPrincipal)
	}
	_, err := l.as(owner).CreateGrant(ctx, &kms.CreateGrantInput{KeyId: mine, GranteePrincipal: aws.String(ann), Operations: []types.GrantOperation{"Encrypt"}})
	wantFailure(t, "a grant for a deleted user", err, "InvalidArnException: ARN does not refer to a valid principal: "+ann)
	again := l.grantUser(partner, "ann", annID2, "")
	if encrypts(again, mine) {
		t.Error("a namesake inherits the grant")
	}
	if found(ann) != 0 || found(annID) != 1 {
		t.Errorf("%d grants of the namesake, %d of the deleted user", found(ann), found(annID))
	}
	_, err = again.RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: g.GrantToken})
	if err == nil {
		t.Error("a namesake retires the grant")
	}
	must(l.as(owner).RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: mine, GrantId: g.GrantId}))(t)

	// The user that is there now gets its own, and may retire it.
	own := l.grant(mine, to(ann), types.GrantOperationEncrypt)
	if !encrypts(again, mine) {
		t.Error("a grant for the new user does nothing")
	}
	must(again.RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: own.GrantToken}))(t)
	if encrypts(again, mine) {
		t.Error("a retired grant lets in")
	}
}

package integration_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/trenttest"
)

// administration is a statement that lets the root user administer a key and not use it.
const administration = `{"Effect":"Allow","Principal":{"AWS":"` + rootARN + `"},"Resource":"*",` +
	`"Action":["kms:CreateGrant","kms:ListGrants","kms:RevokeGrant","kms:PutKeyPolicy","kms:GetKeyPolicy","kms:DisableKey","kms:EnableKey","kms:ScheduleKeyDeletion"]}`

// TestGrantsAreEnforced: what the key policy does not give, a grant gives at once, and its end takes at once.
func TestGrantsAreEnforced(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	ctx := t.Context()
	policy := policyOf(administration)
	md := newKey(t, c, func(in *kms.CreateKeyInput) { in.Policy = &policy })
	encrypt := func(tokens ...string) string {
		_, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("x"), EncryptionContext: map[string]string{"tenant": "acme", "n": "1"}, GrantTokens: tokens})
		return text(err)
	}
	deniedText := "AccessDeniedException: User: " + rootARN + " is not authorized to perform: kms:Encrypt on resource: " + *md.Arn +
		" because no resource-based policy allows the kms:Encrypt action"
	expect := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	expect("without a grant", encrypt(), deniedText)
	grant := func(change func(*kms.CreateGrantInput)) *kms.CreateGrantOutput {
		t.Helper()
		in := &kms.CreateGrantInput{KeyId: md.Arn, GranteePrincipal: aws.String(rootARN), Operations: []types.GrantOperation{"Encrypt", "RetireGrant"}}
		if change != nil {
			change(in)
		}
		return do(c.CreateGrant(ctx, in)).ok(t)
	}
	first := grant(func(in *kms.CreateGrantInput) {
		in.Name, in.RetiringPrincipal = aws.String("first"), aws.String(rootARN)
		in.Constraints = &types.GrantConstraints{EncryptionContextSubset: map[string]string{"tenant": "acme"}}
	})
	expect("by the grant", encrypt(), "")
	expect("by the grant and its token", encrypt(*first.GrantToken), "")
	_, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("x"), EncryptionContext: map[string]string{"tenant": "other"}})
	expect("outside the constraint", text(err), deniedText)

	list := do(c.ListGrants(ctx, &kms.ListGrantsInput{KeyId: md.KeyId})).ok(t)
	if len(list.Grants) != 1 || list.Truncated || list.NextMarker != nil {
		t.Fatalf("%+v", list)
	}
	near(t, "CreationDate", list.Grants[0].CreationDate, time.Now())
	want := types.GrantListEntry{
		KeyId: md.Arn, GrantId: first.GrantId, Name: aws.String("first"), CreationDate: list.Grants[0].CreationDate, GranteePrincipal: aws.String(rootARN),
		RetiringPrincipal: aws.String(rootARN), IssuingAccount: aws.String(rootARN), Operations: []types.GrantOperation{"Encrypt", "RetireGrant"},
		Constraints: &types.GrantConstraints{EncryptionContextSubset: map[string]string{"tenant": "acme"}},
	}
	same(t, "ListGrants", list.Grants[0], want)
	found := false
	for p := kms.NewListRetirableGrantsPaginator(c, &kms.ListRetirableGrantsInput{RetiringPrincipal: aws.String(rootARN), Limit: aws.Int32(1)}); p.HasMorePages(); {
		for _, g := range do(p.NextPage(ctx)).ok(t).Grants {
			if *g.GrantId == *first.GrantId {
				found = true
				same(t, "ListRetirableGrants", g, want)
			}
		}
	}
	if !found {
		t.Error("the grant is not among those that its retiring principal can retire")
	}
	do(c.RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: first.GrantToken})).ok(t)
	expect("after its retirement", encrypt(), deniedText)
	second := grant(nil)
	expect("by another", encrypt(), "")
	do(c.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: md.KeyId, GrantId: second.GrantId})).ok(t)
	expect("after its revocation", encrypt(*second.GrantToken), deniedText)
	third := grant(nil)
	do(c.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: md.Arn, GrantId: third.GrantId})).ok(t)
	do(c.RetireGrant(ctx, &kms.RetireGrantInput{KeyId: md.Arn, GrantId: third.GrantId})).refused(t, "NotFoundException: Grant ID "+*third.GrantId+" is not found.")
}

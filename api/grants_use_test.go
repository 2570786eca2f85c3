package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/fsm"
)

type pairs = map[string]string

// TestGrantLetsInAtOnce: a grant lets another account's root user use a key as soon as it is made, without its token, and no
// longer once it is gone (spec 04 EV-08, GR-11).
func TestGrantLetsInAtOnce(t *testing.T) {
	l := newGrantLab(t)
	key, ctx := l.key(), t.Context()
	encrypt := func() error {
		_, err := l.as(partner).Encrypt(ctx, &kms.EncryptInput{KeyId: key, Plaintext: []byte("hello")})
		return err
	}
	for round := range 3 {
		wantFailure(t, "without grant", encrypt(), denied(partner, "Encrypt")+hidden)
		g := l.grant(key, nil, types.GrantOperationEncrypt)
		wantFailure(t, "with grant", encrypt(), "")
		_, err := l.as(partner).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: key})
		wantFailure(t, "another operation", err, denied(partner, "DescribeKey")+hidden)
		_, err = l.as(stranger).Encrypt(ctx, &kms.EncryptInput{KeyId: key, Plaintext: []byte("hello"), GrantTokens: []string{*g.GrantToken}})
		wantFailure(t, "somebody else with its token", err, denied(stranger, "Encrypt")+hidden)
		if round == 0 {
			must(l.as(owner).RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: key, GrantId: g.GrantId}))(t)
		} else {
			must(l.as(owner).RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: g.GrantToken}))(t)
		}
		_, err = l.as(partner).Encrypt(ctx, &kms.EncryptInput{KeyId: key, Plaintext: []byte("hello"), GrantTokens: []string{*g.GrantToken}})
		wantFailure(t, "with the token of a grant that is gone", err, denied(partner, "Encrypt")+hidden)
	}
	two := []string{*l.grant(key, nil, types.GrantOperationEncrypt).GrantId, *l.grant(key, nil, types.GrantOperationEncrypt).GrantId}
	must(l.as(owner).RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: key, GrantId: &two[0]}))(t)
	wantFailure(t, "one of two is left", encrypt(), "")
	must(l.as(owner).PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: key, Policy: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"` + rootOf(owner) + `"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Deny","Principal":{"AWS":"` + partner + `"},"Action":"kms:Encrypt","Resource":"*"}]}`)}))(t)
	wantFailure(t, "against a Deny", encrypt(), denied(partner, "Encrypt")+hidden)
}

// TestGrantConstraints is spec 04 GR-12 through the operations that have an encryption context.
func TestGrantConstraints(t *testing.T) {
	l := newGrantLab(t)
	ctx := t.Context()
	ops := []types.GrantOperation{
		types.GrantOperationEncrypt, types.GrantOperationDecrypt, types.GrantOperationReEncryptFrom, types.GrantOperationReEncryptTo, types.GrantOperationDescribeKey,
	}
	subset, equals := l.key(), l.key()
	l.grant(subset, func(in *kms.CreateGrantInput) {
		in.Constraints = &types.GrantConstraints{EncryptionContextSubset: pairs{"dept": "it", "app": "x"}, EncryptionContextEquals: pairs{}}
	}, ops...)
	l.grant(equals, func(in *kms.CreateGrantInput) {
		in.Constraints = &types.GrantConstraints{EncryptionContextEquals: pairs{"dept": "it", "app": "x"}}
	}, ops...)
	for _, c := range []struct {
		context         pairs
		subset, equally bool
	}{
		{nil, false, false},
		{pairs{"dept": "it"}, false, false},
		{pairs{"dept": "it", "app": "x"}, true, true},
		{pairs{"dept": "it", "app": "x", "zone": "1"}, true, false},
		{pairs{"dept": "it", "app": "X"}, false, false},
		{pairs{"Dept": "it", "app": "x"}, false, false},
	} {
		for _, k := range []struct {
			key *string
			ok  bool
		}{{subset, c.subset}, {equals, c.equally}} {
			blob := must(l.as(owner).Encrypt(ctx, &kms.EncryptInput{KeyId: k.key, Plaintext: []byte("x"), EncryptionContext: c.context}))(t).CiphertextBlob
			_, encrypt := l.as(partner).Encrypt(ctx, &kms.EncryptInput{KeyId: k.key, Plaintext: []byte("x"), EncryptionContext: c.context})
			_, decrypt := l.as(partner).Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: c.context})
			mine := must(l.as(partner).CreateKey(ctx, &kms.CreateKeyInput{}))(t).KeyMetadata.KeyId
			_, from := l.as(partner).ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: blob, SourceEncryptionContext: c.context, DestinationKeyId: mine})
			own := must(l.as(partner).Encrypt(ctx, &kms.EncryptInput{KeyId: mine, Plaintext: []byte("x")}))(t).CiphertextBlob
			_, to := l.as(partner).ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: own, DestinationEncryptionContext: c.context, DestinationKeyId: k.key})
			for op, err := range map[string]error{"Encrypt": encrypt, "Decrypt": decrypt, "ReEncryptFrom": from, "ReEncryptTo": to} {
				if ok := err == nil; ok != k.ok || !ok && !strings.HasPrefix(failure(err), "AccessDeniedException") {
					t.Errorf("%s in %v, equals %v: %v", op, c.context, k.key == equals, err)
				}
			}
		}
	}
	_, err := l.as(partner).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: equals})
	wantFailure(t, "DescribeKey knows no constraint", err, "")
}

// TestGrantTokensEverywhere: every operation that takes tokens refuses what is none, and ignores tokens that do not help (spec 04
// GT-03, GT-07).
func TestGrantTokensEverywhere(t *testing.T) {
	l := newGrantLab(t)
	key, other := l.key(), l.key()
	good := l.grant(other, nil, types.GrantOperationEncrypt).GrantToken
	call := func(tokens ...string) error {
		_, err := l.as(owner).Encrypt(t.Context(), &kms.EncryptInput{KeyId: key, Plaintext: []byte("x"), GrantTokens: tokens})
		return err
	}
	const invalid = "InvalidGrantTokenException: The grant token is not valid in this Region."
	wantFailure(t, "of another key", call(*good), "")
	wantFailure(t, "ten", call(slices.Repeat([]string{*good}, 10)...), "")
	wantFailure(t, "eleven", call(slices.Repeat([]string{*good}, 11)...),
		"ValidationException: 1 validation error detected: Value at 'grantTokens' failed to satisfy constraint: Member must have length less than or equal to 10")
	for name, token := range map[string]string{
		"words": "nonsense", "not base64url": strings.Repeat("+", len(*good)), "cut": (*good)[1:], "longer": *good + "A", "another letter": flip(*good, 50),
		"another domain key": flip(*good, 8), "magic": flip(*good, 0), "last letter": flip(*good, len(*good)-1), "long": strings.Repeat("A", 8192),
	} {
		wantFailure(t, name, call(token), invalid)
		wantFailure(t, name+" beside a good one", call(*good, token), invalid)
		_, err := l.as(owner).RetireGrant(t.Context(), &kms.RetireGrantInput{GrantToken: aws.String(token)})
		wantFailure(t, name+" retired", err, invalid)
	}
}

// flip changes one letter.
func flip(s string, i int) string {
	b := []byte(s)
	if b[i]++; b[i] > 'z' || b[i] == '[' || b[i] == ':' || b[i] == '.' || b[i] == '`' {
		b[i] = 'A'
	}
	return string(b)
}

// TestRevocationOvertakesAWrite: a write that was decided by a grant is decided again if the grant goes before the write is
// committed (spec 04 GT-01; design: a write is judged at its place in the log).
func TestRevocationOvertakesAWrite(t *testing.T) {
	l := newGrantLab(t)
	key, ctx := l.key(), t.Context()
	g := l.grant(key, nil, types.GrantOperationCreateGrant, types.GrantOperationDecrypt)
	keyID := (*key)[strings.LastIndexByte(*key, '/')+1:]
	l.before = func() {
		l.propose(&fsm.DeleteGrant{Key: fsm.KeyRef{Account: owner, ID: keyID}, ID: *g.GrantId, End: fsm.GrantRevoked})
	}
	_, err := l.as(partner).CreateGrant(ctx, &kms.CreateGrantInput{
		KeyId: key, GranteePrincipal: aws.String(rootOf(stranger)), Operations: []types.GrantOperation{types.GrantOperationDecrypt},
	})
	wantFailure(t, "CreateGrant by a grant that goes", err, denied(partner, "CreateGrant")+hidden)
	if grants := must(l.as(owner).ListGrants(ctx, &kms.ListGrantsInput{KeyId: key}))(t).Grants; len(grants) != 0 {
		t.Errorf("%d grants are left", len(grants))
	}
}

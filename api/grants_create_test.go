package api_test

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/fsm"
)

var (
	grantID    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	grantToken = regexp.MustCompile(`^[A-Za-z0-9_-]{100,200}$`)
)

// TestCreateGrant: what a grant was made of is what a list shows (spec 04 GR-02, GR-16).
func TestCreateGrant(t *testing.T) {
	l := newGrantLab(t)
	key, ctx := l.key(), t.Context()
	out := l.grant(key, func(in *kms.CreateGrantInput) {
		in.Name, in.RetiringPrincipal = aws.String("a/name_1:-"), aws.String(rootOf(stranger))
		in.Constraints = &types.GrantConstraints{EncryptionContextSubset: pairs{"b": "2", "a": "1"}}
	}, types.GrantOperationEncrypt, types.GrantOperationDecrypt, types.GrantOperationEncrypt)
	plain := l.grant(key, nil, types.GrantOperationDescribeKey)
	if !grantID.MatchString(*out.GrantId) || !grantToken.MatchString(*out.GrantToken) || *plain.GrantId == *out.GrantId {
		t.Errorf("ids %s and %s, token %s", *out.GrantId, *plain.GrantId, *out.GrantToken)
	}
	list := must(l.as(owner).ListGrants(ctx, &kms.ListGrantsInput{KeyId: key}))(t)
	if len(list.Grants) != 2 || list.Truncated || list.NextMarker != nil {
		t.Fatalf("%+v", list)
	}
	g := list.Grants[0]
	if made := *g.CreationDate; time.Since(made).Abs() > time.Minute {
		t.Errorf("made at %v", made)
	}
	want := types.GrantListEntry{
		KeyId: key, GrantId: out.GrantId, Name: aws.String("a/name_1:-"), CreationDate: g.CreationDate, GranteePrincipal: aws.String(rootOf(partner)),
		RetiringPrincipal: aws.String(rootOf(stranger)), IssuingAccount: aws.String(rootOf(owner)),
		Operations: []types.GrantOperation{"Decrypt", "Encrypt"}, Constraints: &types.GrantConstraints{EncryptionContextSubset: pairs{"a": "1", "b": "2"}},
	}
	if !reflect.DeepEqual(g, want) {
		t.Errorf("got  %+v\nwant %+v", g, want)
	}
	if p := list.Grants[1]; aws.ToString(p.Name) != "" || p.Name == nil || p.RetiringPrincipal != nil || p.Constraints != nil {
		t.Errorf("a plain grant: %+v", p)
	}
	if n := l.State().Key(owner, (*key)[strings.LastIndexByte(*key, '/')+1:]).GrantCount; n != 2 {
		t.Errorf("the key counts %d grants", n)
	}
}

// TestCreateGrantByName is spec 04 GR-08.
func TestCreateGrantByName(t *testing.T) {
	l := newGrantLab(t)
	key, other := l.key(), l.key()
	constraint := func(in *kms.CreateGrantInput) {
		in.Constraints = &types.GrantConstraints{EncryptionContextEquals: pairs{"a": "1", "b": "2"}}
	}
	named := func(key *string, change func(*kms.CreateGrantInput), ops ...types.GrantOperation) *kms.CreateGrantOutput {
		return l.grant(key, func(in *kms.CreateGrantInput) {
			in.Name = aws.String("name")
			constraint(in)
			if change != nil {
				change(in)
			}
		}, ops...)
	}
	const encrypt, decrypt = types.GrantOperationEncrypt, types.GrantOperationDecrypt
	first := named(key, nil, encrypt, decrypt)
	again := named(key, nil, decrypt, encrypt, decrypt)
	if *again.GrantId != *first.GrantId || *again.GrantToken == *first.GrantToken {
		t.Errorf("again: %+v, first %+v", again, first)
	}
	for name, g := range map[string]*kms.CreateGrantOutput{
		"another key":        named(other, nil, encrypt, decrypt),
		"other operations":   named(key, nil, encrypt),
		"another grantee":    named(key, func(in *kms.CreateGrantInput) { in.GranteePrincipal = aws.String(rootOf(stranger)) }, encrypt, decrypt),
		"another retirer":    named(key, func(in *kms.CreateGrantInput) { in.RetiringPrincipal = aws.String(rootOf(stranger)) }, encrypt, decrypt),
		"another name":       named(key, func(in *kms.CreateGrantInput) { in.Name = aws.String("name2") }, encrypt, decrypt),
		"another constraint": named(key, func(in *kms.CreateGrantInput) { in.Constraints.EncryptionContextEquals["a"] = "2" }, encrypt, decrypt),
		"no name":            named(key, func(in *kms.CreateGrantInput) { in.Name = nil }, encrypt, decrypt),
	} {
		if *g.GrantId == *first.GrantId {
			t.Errorf("%s is the same grant", name)
		}
	}
	// The second token is as good as the first, and the grant is gone with it.
	must(l.as(owner).RetireGrant(t.Context(), &kms.RetireGrantInput{GrantToken: again.GrantToken}))(t)
	_, err := l.as(owner).RetireGrant(t.Context(), &kms.RetireGrantInput{GrantToken: first.GrantToken})
	wantFailure(t, "the first token then", err, "NotFoundException: Grant ID "+*first.GrantId+" is not found.")
	if third := named(key, nil, encrypt, decrypt); *third.GrantId == *first.GrantId {
		t.Error("a grant that is gone is given out again")
	}
}

func TestCreateGrantRefusals(t *testing.T) {
	l := newGrantLab(t)
	ctx := t.Context()
	key := l.key()
	mac := l.key(func(in *kms.CreateKeyInput) { in.KeySpec, in.KeyUsage = "HMAC_256", "GENERATE_VERIFY_MAC" })
	signer := l.key(func(in *kms.CreateKeyInput) { in.KeySpec, in.KeyUsage = "ECC_NIST_P256", "SIGN_VERIFY" })
	off, going, waiting := l.key(), l.key(), l.key(func(in *kms.CreateKeyInput) { in.Origin = "EXTERNAL" })
	must(l.as(owner).DisableKey(ctx, &kms.DisableKeyInput{KeyId: off}))(t)
	must(l.as(owner).ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: going}))(t)
	many, long := pairs{}, strings.Repeat("ä", 385)
	for i := range 9 {
		many[fmt.Sprint(i)] = "v"
	}
	badPrincipal := func(arn string) string { return "InvalidArnException: ARN does not refer to a valid principal: " + arn }
	for name, c := range map[string]struct {
		change func(*kms.CreateGrantInput)
		want   string
	}{
		"fine":              {func(*kms.CreateGrantInput) {}, ""},
		"no operations":     {func(in *kms.CreateGrantInput) { in.Operations = []types.GrantOperation{} }, "ValidationException: Operations must hold at least one grant operation."},
		"CreateGrant alone": {func(in *kms.CreateGrantInput) { in.Operations = []types.GrantOperation{"CreateGrant", "CreateGrant"} }, "ValidationException: Grants must not contain only the CreateGrant operation."},
		"unknown operation": {func(in *kms.CreateGrantInput) {
			in.Operations = []types.GrantOperation{"Encrypt", "ScheduleKeyDeletion"}
		},
			"ValidationException: 1 validation error detected: Value '[Encrypt, ScheduleKeyDeletion]' at 'operations' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [Decrypt, …"},
		"operation of other keys": {func(in *kms.CreateGrantInput) { in.Operations = []types.GrantOperation{"Encrypt", "Sign"} }, "ValidationException: Grant operation Sign is not valid for a key with key spec SYMMETRIC_DEFAULT and key usage ENCRYPT_DECRYPT."},
		"GetPublicKey":            {func(in *kms.CreateGrantInput) { in.Operations = []types.GrantOperation{"GetPublicKey"} }, "ValidationException: Grant operation GetPublicKey is not valid for a key with…"},
		"MAC key": {func(in *kms.CreateGrantInput) {
			in.KeyId, in.Operations = mac, []types.GrantOperation{"GenerateMac", "VerifyMac", "DescribeKey"}
		}, ""},
		"MAC key encrypting": {func(in *kms.CreateGrantInput) { in.KeyId = mac }, "ValidationException: Grant operation Encrypt is not valid for a key with…"},
		"constraint on MAC key": {func(in *kms.CreateGrantInput) {
			in.KeyId, in.Operations, in.Constraints = mac, []types.GrantOperation{"GenerateMac"}, &types.GrantConstraints{EncryptionContextSubset: pairs{"a": "b"}}
		}, "ValidationException: Encryption context constraints are only valid in grants on symmetric encryption keys."},
		"signing key": {func(in *kms.CreateGrantInput) {
			in.KeyId, in.Operations = signer, []types.GrantOperation{"Sign", "Verify", "GetPublicKey"}
		}, ""},
		"both constraints": {func(in *kms.CreateGrantInput) {
			in.Constraints = &types.GrantConstraints{EncryptionContextSubset: pairs{"a": "b"}, EncryptionContextEquals: pairs{"a": "b"}}
		}, "ValidationException: Constraints must not hold both EncryptionContextEquals and EncryptionContextSubset."},
		"nine pairs": {func(in *kms.CreateGrantInput) {
			in.Constraints = &types.GrantConstraints{EncryptionContextSubset: many}
		}, "ValidationException: A grant constraint must not hold more than 8 encryption context pairs."},
		"source ARN": {func(in *kms.CreateGrantInput) {
			in.Constraints = &types.GrantConstraints{SourceArn: aws.String("arn:aws:s3:::bucket")}
		},
			"ValidationException: 1 validation error detected: Value at 'constraints.sourceArn' failed to satisfy constraint: Member must be null, because this service does not support it"},
		"service as grantee": {func(in *kms.CreateGrantInput) { in.GranteeServicePrincipal = aws.String("s3.amazonaws.com") },
			"ValidationException: 1 validation error detected: Value at 'granteeServicePrincipal' failed to satisfy constraint: Member must be null, because this service does not support it"},
		"long value": {func(in *kms.CreateGrantInput) {
			in.Constraints = &types.GrantConstraints{EncryptionContextSubset: pairs{"a": long}}
		}, "ValidationException: An encryption context pair in a grant constraint must not…"},
		"longest value": {func(in *kms.CreateGrantInput) {
			in.Constraints = &types.GrantConstraints{EncryptionContextSubset: pairs{"a": long[2:]}}
		}, ""},
		"unknown account":   {func(in *kms.CreateGrantInput) { in.GranteePrincipal = aws.String(rootOf("999999999999")) }, badPrincipal(rootOf("999999999999"))},
		"account as digits": {func(in *kms.CreateGrantInput) { in.GranteePrincipal = aws.String(partner) }, badPrincipal(partner)},
		"group": {func(in *kms.CreateGrantInput) {
			in.GranteePrincipal = aws.String("arn:aws:iam::" + partner + ":group/g")
		}, badPrincipal("arn:aws:iam::" + partner + ":group/g")},
		"service": {func(in *kms.CreateGrantInput) { in.GranteePrincipal = aws.String("s3.amazonaws.com") }, badPrincipal("s3.amazonaws.com")},
		"unknown user": {func(in *kms.CreateGrantInput) {
			in.GranteePrincipal = aws.String("arn:aws:iam::" + partner + ":user/u")
		}, badPrincipal("arn:aws:iam::" + partner + ":user/u")},
		"another partition": {func(in *kms.CreateGrantInput) {
			in.GranteePrincipal = aws.String("arn:aws-cn:iam::" + partner + ":root")
		}, badPrincipal("arn:aws-cn:iam::" + partner + ":root")},
		"unknown retiring account": {func(in *kms.CreateGrantInput) { in.RetiringPrincipal = aws.String(rootOf("999999999999")) }, badPrincipal(rootOf("999999999999"))},
		"bad retiring principal":   {func(in *kms.CreateGrantInput) { in.RetiringPrincipal = aws.String("me") }, badPrincipal("me")},
		"bad name":                 {func(in *kms.CreateGrantInput) { in.Name = aws.String("a b") }, "ValidationException: 1 validation error detected: Value 'a b' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"},
		"alias":                    {func(in *kms.CreateGrantInput) { in.KeyId = aws.String("alias/a") }, "InvalidArnException: Key Aliases are not supported for this operation."},
		"no key":                   {func(in *kms.CreateGrantInput) { in.KeyId = aws.String("00000000-0000-4000-8000-000000000000") }, "NotFoundException: Key 'arn:aws:kms:us-east-1:111122223333:key/00000000-0000-4000-8000-000000000000' does not exist"},
		"disabled":                 {func(in *kms.CreateGrantInput) { in.KeyId = off }, "DisabledException: " + *off + " is disabled."},
		"pending deletion":         {func(in *kms.CreateGrantInput) { in.KeyId = going }, "KMSInvalidStateException: " + *going + " is pending deletion."},
		"pending import":           {func(in *kms.CreateGrantInput) { in.KeyId = waiting }, "KMSInvalidStateException: " + *waiting + " is pending import."},
	} {
		for _, dryRun := range []bool{true, false} {
			in := &kms.CreateGrantInput{KeyId: key, GranteePrincipal: aws.String(rootOf(partner)), Operations: []types.GrantOperation{"Encrypt", "CreateGrant"}, DryRun: &dryRun}
			c.change(in)
			want := c.want
			if dryRun && want == "" {
				want = dryRunWould
			}
			_, err := l.as(owner).CreateGrant(ctx, in)
			wantFailure(t, fmt.Sprint(name, ", dry run ", dryRun), err, want)
		}
	}
	if grants := must(l.as(owner).ListGrants(ctx, &kms.ListGrantsInput{KeyId: key}))(t).Grants; len(grants) != 2 {
		t.Errorf("%d grants were made, want 2: dry runs and refusals make none", len(grants))
	}
}

func TestCreateGrantQuota(t *testing.T) {
	l := newGrantLab(t)
	key := l.key()
	quotas := fsm.DefaultQuotas()
	quotas.GrantsPerKey = 2
	l.propose(&fsm.SetQuotas{Quotas: quotas})
	named := func(in *kms.CreateGrantInput) { in.Name = aws.String("n") }
	first := l.grant(key, named, "Encrypt")
	l.grant(key, nil, "Encrypt")
	if again := l.grant(key, named, "Encrypt"); *again.GrantId != *first.GrantId {
		t.Error("a named grant is counted twice")
	}
	for _, dryRun := range []bool{true, false} {
		_, err := l.as(owner).CreateGrant(t.Context(), &kms.CreateGrantInput{
			KeyId: key, GranteePrincipal: aws.String(rootOf(partner)), Operations: []types.GrantOperation{"Encrypt"}, DryRun: &dryRun})
		wantFailure(t, "one too many", err, "LimitExceededException: Grants per key quota for this account in this region is 2.")
	}
	must(l.as(owner).RevokeGrant(t.Context(), &kms.RevokeGrantInput{KeyId: key, GrantId: first.GrantId}))(t)
	l.grant(key, nil, "Encrypt")
}

// TestCreateGrantByGrant is spec 04 GR-06: who may only by a grant passes on less, or the same.
func TestCreateGrantByGrant(t *testing.T) {
	l := newGrantLab(t)
	ctx := t.Context()
	none, subset, equals := l.key(), l.key(), l.key()
	parent := func(key *string, c *types.GrantConstraints) *string {
		return l.grant(key, func(in *kms.CreateGrantInput) { in.Constraints = c }, "CreateGrant", "Decrypt", "Encrypt").GrantId
	}
	parents := map[*string]*string{
		none:   parent(none, nil),
		subset: parent(subset, &types.GrantConstraints{EncryptionContextSubset: pairs{"a": "1"}}),
		equals: parent(equals, &types.GrantConstraints{EncryptionContextEquals: pairs{"a": "1"}}),
	}
	ops := func(o ...types.GrantOperation) []types.GrantOperation { return o }
	sub := func(p pairs) *types.GrantConstraints { return &types.GrantConstraints{EncryptionContextSubset: p} }
	eq := func(p pairs) *types.GrantConstraints { return &types.GrantConstraints{EncryptionContextEquals: p} }
	for i, c := range []struct {
		key        *string
		ops        []types.GrantOperation
		constraint *types.GrantConstraints
		ok         bool
	}{
		{none, ops("Decrypt"), nil, true},
		{none, ops("Decrypt", "Encrypt", "CreateGrant"), sub(pairs{"x": "y"}), true},
		{none, ops("Decrypt", "DescribeKey"), nil, false},
		{none, ops("Decrypt", "RetireGrant"), eq(pairs{"x": "y"}), false},
		{subset, ops("Decrypt"), nil, false},
		{subset, ops("Decrypt"), sub(pairs{"a": "1"}), true},
		{subset, ops("Decrypt"), sub(pairs{"a": "1", "b": "2"}), true},
		{subset, ops("Decrypt"), eq(pairs{"a": "1", "b": "2"}), true},
		{subset, ops("Decrypt"), sub(pairs{"a": "2"}), false},
		{equals, ops("Decrypt"), nil, false},
		{equals, ops("Decrypt"), eq(pairs{"a": "1"}), true},
		{equals, ops("Decrypt"), sub(pairs{"a": "1"}), false},
		{equals, ops("Decrypt"), eq(pairs{"a": "1", "b": "2"}), false},
	} {
		out, err := l.as(partner).CreateGrant(ctx, &kms.CreateGrantInput{
			KeyId: c.key, GranteePrincipal: aws.String(rootOf(stranger)), Operations: c.ops, Constraints: c.constraint})
		if !c.ok {
			wantFailure(t, fmt.Sprint("row ", i), err, denied(partner, "CreateGrant")+hidden)
			continue
		}
		wantFailure(t, fmt.Sprint("row ", i), err, "")
		if err != nil {
			continue
		}
		g := l.State().Grant(*out.GrantId)
		if g.Parent != *parents[c.key] || g.IssuingAccount != partner {
			t.Errorf("row %d: made by %q of %s", i, g.Parent, g.IssuingAccount)
		}
	}
	// Children outlive their parents.
	child := must(l.as(partner).CreateGrant(ctx, &kms.CreateGrantInput{
		KeyId: none, GranteePrincipal: aws.String(rootOf(stranger)), Operations: ops("Encrypt")}))(t)
	must(l.as(owner).RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: none, GrantId: parents[none]}))(t)
	must(l.as(stranger).Encrypt(ctx, &kms.EncryptInput{KeyId: none, Plaintext: []byte("x")}))(t)
	must(l.as(partner).RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: child.GrantToken}))(t)
}

// TestCreateGrantConditions is spec 05 KCK-04, KCK-07, KCK-08: a key policy limits what grants a foreign account may make.
func TestCreateGrantConditions(t *testing.T) {
	l := newGrantLab(t)
	ctx := t.Context()
	key := l.key()
	try := func(condition string, change func(*kms.CreateGrantInput), ok bool) {
		t.Helper()
		must(l.as(owner).PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: key, Policy: aws.String(`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Principal":{"AWS":"` + rootOf(owner) + `"},"Action":"kms:*","Resource":"*"},
			{"Effect":"Allow","Principal":{"AWS":"` + rootOf(partner) + `"},"Action":"kms:CreateGrant","Resource":"*","Condition":{` + condition + `}}]}`)}))(t)
		in := &kms.CreateGrantInput{
			KeyId: key, GranteePrincipal: aws.String(rootOf(stranger)), RetiringPrincipal: aws.String(rootOf(partner)),
			Operations:  []types.GrantOperation{"Encrypt", "Decrypt"},
			Constraints: &types.GrantConstraints{EncryptionContextSubset: pairs{"dept": "it", "app": "x"}},
		}
		if change != nil {
			change(in)
		}
		if _, err := l.as(partner).CreateGrant(ctx, in); (err == nil) != ok {
			t.Errorf("%s: %v", condition, err)
		}
	}
	unconstrained := func(in *kms.CreateGrantInput) { in.Constraints = nil }
	exact := func(in *kms.CreateGrantInput) {
		in.Constraints = &types.GrantConstraints{EncryptionContextEquals: pairs{"dept": "it"}}
	}
	describe := func(in *kms.CreateGrantInput) { in.Operations = append(in.Operations, "DescribeKey") }
	unretired := func(in *kms.CreateGrantInput) { in.RetiringPrincipal = nil }
	try(`"ForAllValues:StringEquals":{"kms:GrantOperations":["Encrypt","Decrypt"]}`, nil, true)
	try(`"ForAllValues:StringEquals":{"kms:GrantOperations":["Encrypt","Decrypt"]}`, describe, false)
	try(`"StringEquals":{"kms:GranteePrincipal":"`+rootOf(stranger)+`"}`, nil, true)
	try(`"StringEquals":{"kms:GranteePrincipal":"`+rootOf(partner)+`"}`, nil, false)
	try(`"StringEquals":{"kms:RetiringPrincipal":"`+rootOf(partner)+`"}`, nil, true)
	try(`"StringEquals":{"kms:RetiringPrincipal":"`+rootOf(partner)+`"}`, unretired, false)
	try(`"Null":{"kms:RetiringPrincipal":"true"}`, unretired, true)
	try(`"StringEquals":{"kms:GrantConstraintType":"EncryptionContextSubset"}`, nil, true)
	try(`"StringEquals":{"kms:GrantConstraintType":"EncryptionContextSubset"}`, exact, false)
	try(`"StringEquals":{"kms:GrantConstraintType":"EncryptionContextEquals"}`, exact, true)
	try(`"Null":{"kms:GrantConstraintType":"true"}`, unconstrained, true)
	try(`"Null":{"kms:GrantConstraintType":"true"}`, nil, false)
	try(`"StringEquals":{"kms:EncryptionContext:dept":"it"}`, nil, true)
	try(`"StringEquals":{"kms:EncryptionContext:dept":"it"}`, unconstrained, false)
	try(`"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["dept"]}`, exact, true)
	try(`"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["dept"]}`, nil, false)
	try(`"Bool":{"kms:GrantIsForAWSResource":"true"}`, nil, false)
	try(`"Bool":{"kms:GrantIsForAWSResource":"false"}`, nil, true)
}

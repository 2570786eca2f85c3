package integration_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/trentkms/trent/integration/trenttest"
)

// delegation is a statement that gives an account everything.
const delegation = `{"Sid":"Enable IAM User Permissions","Effect":"Allow","Principal":{"AWS":"` + rootARN + `"},"Action":"kms:*","Resource":"*"}`

func policyOf(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

func TestKeyPolicyRoundTrip(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	get := func(id *string) string {
		t.Helper()
		out := do(c.GetKeyPolicy(t.Context(), &kms.GetKeyPolicyInput{KeyId: id})).ok(t)
		if aws.ToString(out.PolicyName) != "default" {
			t.Errorf("policy name %q", aws.ToString(out.PolicyName))
		}
		return *out.Policy
	}
	md := newKey(t, c)
	byDefault := "{\n  \"Version\" : \"2012-10-17\",\n  \"Id\" : \"key-default-1\",\n  \"Statement\" : [ {\n    \"Sid\" : \"Enable IAM User Permissions\",\n" +
		"    \"Effect\" : \"Allow\",\n    \"Principal\" : {\n      \"AWS\" : \"" + rootARN + "\"\n    },\n    \"Action\" : \"kms:*\",\n    \"Resource\" : \"*\"\n  } ]\n}"
	if got := get(md.KeyId); got != byDefault {
		t.Errorf("default key policy:\n%s", got)
	}
	// Byte for byte, white space and Latin-1 included, at creation and later.
	odd := "{\t\"Version\":\"2012-10-17\",\r\n\"Id\":\"Schlüssel-Ärger\",  \"Statement\" : " + delegation + "\n}"
	do(c.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: md.Arn, Policy: &odd, PolicyName: aws.String("default")})).ok(t)
	if got := get(md.Arn); got != odd {
		t.Errorf("put %q, got %q", odd, got)
	}
	made := newKey(t, c, func(in *kms.CreateKeyInput) { in.Policy = &odd })
	if got := get(made.KeyId); got != odd {
		t.Errorf("made with %q, got %q", odd, got)
	}
	for _, policy := range []string{
		policyOf(`{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"kms:*","Resource":"*"}`),
		policyOf(`{"Effect":"Allow","Principal":"*","Action":["kms:Put*","kms:Get*"],"Resource":"*"}`),
		policyOf(delegation, `{"Effect":"Allow","Principal":{"Service":["logs.us-east-1.amazonaws.com","s3.amazonaws.com"]},"Action":"kms:Decrypt","Resource":"*",`+
			`"Condition":{"StringEquals":{"kms:EncryptionContext:aws:logs:arn":"x"},"Bool":{"aws:SecureTransport":"true"}}}`),
		policyOf(delegation) + strings.Repeat(" ", 32768-len(policyOf(delegation))), // the longest
	} {
		do(c.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: md.KeyId, Policy: &policy})).ok(t)
		if got := get(md.KeyId); got != policy {
			t.Errorf("put %.200q, got %.200q", policy, got)
		}
	}
	out := do(c.ListKeyPolicies(t.Context(), &kms.ListKeyPoliciesInput{KeyId: md.KeyId})).ok(t)
	same(t, "ListKeyPolicies", *out, kms.ListKeyPoliciesOutput{PolicyNames: []string{"default"}})
}

func TestKeyPolicyRefusals(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	md := newKey(t, c)
	const (
		lockout    = "MalformedPolicyDocumentException: The new key policy will not allow you to update the key policy in the future."
		principals = "MalformedPolicyDocumentException: Policy contains a statement with one or more invalid principals."
		badARN     = "InvalidArnException: An ARN in the specified key policy is invalid."
	)
	type tc struct{ policy, want string }
	allow := func(principal string) string {
		return policyOf(delegation, `{"Effect":"Allow","Principal":`+principal+`,"Action":"kms:Decrypt","Resource":"*"}`)
	}
	for _, x := range []tc{
		{policyOf(`{"Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"kms:*","Resource":"*"}`), lockout},
		{policyOf(`{"Effect":"Allow","Principal":{"AWS":"` + rootARN + `"},"Action":"kms:Encrypt","Resource":"*"}`), lockout},
		{policyOf(delegation, `{"Effect":"Deny","Principal":"*","Action":"kms:PutKeyPolicy","Resource":"*"}`), lockout},
		{allow(`{"AWS":"arn:aws:iam::111122223333:user/nobody"}`), principals},
		{allow(`{"AWS":"arn:aws:iam::111122223333:role/none"}`), principals},
		{allow(`{"AWS":"999999999999"}`), principals},
		{allow(`{"AWS":"arn:aws:iam::999999999999:root"}`), principals},
		{allow(`{"Service":"nosuch.amazonaws.com"}`), principals},
		{allow(`{"AWS":"arn:aws:iam::111122223333:group/admins"}`), badARN},
		{allow(`{"AWS":"arn:nonsense"}`), badARN},
		{strings.Repeat(" ", 32769-len(policyOf(delegation))) + policyOf(delegation), "LimitExceededException: The policy is larger than 32768 bytes."},
	} {
		body := func(more string) string {
			return fmt.Sprintf(`{"KeyId":"%s","Policy":%q%s}`, *md.KeyId, x.policy, more)
		}
		rows := []row{{"PutKeyPolicy", body(``), x.want}, {"CreateKey", fmt.Sprintf(`{"Policy":%q}`, x.policy), x.want}}
		if x.want != lockout {
			rows = append(rows, row{"PutKeyPolicy", body(`,"BypassPolicyLockoutSafetyCheck":true`), x.want})
		}
		refuse(t, s, rows)
	}
	for _, policy := range []string{`nonsense`, `[]`, `{}`, `{"Version":"2012-10-17","Statement":[]}`, `{"Version":"2099-01-01","Statement":[` + delegation + `]}`,
		policyOf(`{"Effect":"Perhaps","Principal":"*","Action":"kms:*","Resource":"*"}`), policyOf(`{"Effect":"Allow","Action":"kms:*","Resource":"*"}`),
		policyOf(delegation, `{"Effect":"Allow","NotPrincipal":{"AWS":"`+account+`"},"Action":"kms:*","Resource":"*"}`),
		policyOf(delegation) + "}", `{"Statement":[` + delegation + `],"Statement":[` + delegation + `]}`,
	} {
		for _, a := range []*trenttest.Answer{
			do(s.Call(t.Context(), "PutKeyPolicy", fmt.Sprintf(`{"KeyId":"%s","Policy":%q}`, *md.KeyId, policy))).ok(t),
			do(s.Call(t.Context(), "CreateKey", fmt.Sprintf(`{"Policy":%q}`, policy))).ok(t),
		} {
			if name, message, _ := strings.Cut(a.Text(), ": "); name != "MalformedPolicyDocumentException" || message == "" {
				t.Errorf("%s: %s", policy, a.Text())
			}
		}
	}
	refuse(t, s, []row{
		{"GetKeyPolicy", `{"KeyId":"{id}","PolicyName":"other"}`, "NotFoundException: No such policy exists"},
		{"PutKeyPolicy", `{"KeyId":"{id}","PolicyName":"other","Policy":"{}"}`, "UnsupportedOperationException"},
		{"PutKeyPolicy", `{"KeyId":"{id}","Policy":"{\u2022}"}`, invalid(violation("'{•}'", "policy", `satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u00FF]+`))},
		{"PutKeyPolicy", `{"KeyId":"{id}","Policy":""}`, invalid(violation("''", "policy", "have length greater than or equal to 1"),
			violation("''", "policy", `satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u00FF]+`))},
		{"PutKeyPolicy", `{"KeyId":"{id}"}`, invalid(violation("null", "policy", "not be null"))},
		{"GetKeyPolicy", `{"KeyId":"{id}","PolicyName":"no-name"}`, invalid(violation("'no-name'", "policyName", `satisfy regular expression pattern: [\w]+`))},
	}, "{id}", *md.KeyId)
}

// TestKeyPolicyIsEnforced: what the policy does not give, nobody gets, the account's root included.
func TestKeyPolicyIsEnforced(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	md := newKey(t, c)
	blob := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("x")})).ok(t).CiphertextBlob
	put := func(policy string) {
		t.Helper()
		do(c.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: md.KeyId, Policy: &policy, BypassPolicyLockoutSafetyCheck: true})).ok(t)
	}
	user := "User: " + rootARN + " is not authorized to perform: kms:"
	explicit := func(op string) string {
		return "AccessDeniedException: " + user + op + " on resource: " + *md.Arn + " with an explicit deny in a resource-based policy"
	}
	implicit := func(op string) string {
		return "AccessDeniedException: " + user + op + " on resource: " + *md.Arn + " because no resource-based policy allows the kms:" + op + " action"
	}
	put(policyOf(delegation, `{"Effect":"Deny","Principal":"*","Action":["kms:Encrypt","kms:GenerateDataKey*"],"Resource":"*"}`))
	refuse(t, s, []row{
		{"Encrypt", `{"KeyId":"{id}","Plaintext":"aGk="}`, explicit("Encrypt")},
		{"GenerateDataKeyWithoutPlaintext", `{"KeyId":"{id}","KeySpec":"AES_256"}`, explicit("GenerateDataKeyWithoutPlaintext")},
		{"ReEncrypt", `{"CiphertextBlob":"{blob}","DestinationKeyId":"{id}"}`, ""},
	}, "{id}", *md.KeyId, "{blob}", b64(blob))

	put(policyOf(delegation, `{"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*","Condition":{"StringNotEquals":{"kms:EncryptionContext:tenant":"acme"}}}`))
	kept := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("x"), EncryptionContext: map[string]string{"tenant": "acme"}})).ok(t).CiphertextBlob
	refuse(t, s, []row{
		{"Decrypt", `{"CiphertextBlob":"{blob}"}`, hidden}, // no key was named, so nothing is told about it
		{"Decrypt", `{"CiphertextBlob":"{blob}","KeyId":"{id}"}`, explicit("Decrypt")},
		{"Decrypt", `{"CiphertextBlob":"{kept}","EncryptionContext":{"tenant":"acme"}}`, ""},
		{"Decrypt", `{"CiphertextBlob":"{kept}","KeyId":"{id}","EncryptionContext":{"tenant":"other"}}`, explicit("Decrypt")},
	}, "{id}", *md.KeyId, "{blob}", b64(blob), "{kept}", b64(kept))

	name := "alias/policy/" + *md.KeyId
	createAlias(t, c, name, md)
	put(policyOf(`{"Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"kms:*","Resource":"*"}`)) // bypassing the lockout check
	rows := []row{
		{"DescribeKey", `{"KeyId":"{id}"}`, implicit("DescribeKey")},
		{"DescribeKey", `{"KeyId":"{name}"}`, implicit("DescribeKey")},
		{"PutKeyPolicy", `{"KeyId":"{id}","Policy":"{}"}`, implicit("PutKeyPolicy")},
		{"ScheduleKeyDeletion", `{"KeyId":"{id}"}`, implicit("ScheduleKeyDeletion")},
		{"UpdateAlias", `{"AliasName":"{name}","TargetKeyId":"{id}"}`, implicit("UpdateAlias")},
		{"DeleteAlias", `{"AliasName":"{name}"}`, implicit("DeleteAlias")},
		{"TagResource", `{"KeyId":"{id}","Tags":[{"TagKey":"a","TagValue":"b"}]}`, implicit("TagResource")},
		{"Sign", `{"KeyId":"{id}","Message":"aGk=","SigningAlgorithm":"ECDSA_SHA_256"}`, implicit("Sign")}, // before the usage is looked at
		{"ReEncrypt", `{"CiphertextBlob":"{blob}","SourceKeyId":"{id}","DestinationKeyId":"{id}"}`, implicit("ReEncryptFrom")},
		{"Decrypt", `{"CiphertextBlob":"{blob}"}`, hidden},
	}
	refuse(t, s, rows, "{id}", *md.KeyId, "{name}", name, "{blob}", b64(blob))
}

// TestAliasesInPolicies: kms:RequestAlias is about the name in the request; kms:ResourceAliases means nothing in a key policy (spec
// 05 table of section 6).
func TestAliasesInPolicies(t *testing.T) {
	t.Parallel()
	s := trenttest.Shared(t)
	c := s.Client()
	policy := policyOf(delegation,
		`{"Effect":"Deny","Principal":"*","Action":"kms:Encrypt","Resource":"*","Condition":{"ForAnyValue:StringLike":{"kms:ResourceAliases":"alias/frozen/*"}}}`,
		`{"Effect":"Deny","Principal":"*","Action":"kms:Encrypt","Resource":"*","Condition":{"StringLike":{"kms:RequestAlias":"alias/by-name/*"}}}`)
	md := newKey(t, c, func(in *kms.CreateKeyInput) { in.Policy = &policy })
	encrypt := func(id string) string {
		t.Helper()
		return do(s.Call(t.Context(), "Encrypt", `{"KeyId":"`+id+`","Plaintext":"aGk="}`)).ok(t).Text()
	}
	denied := "AccessDeniedException: User: " + rootARN + " is not authorized to perform: kms:Encrypt on resource: " + *md.Arn + " with an explicit deny in a resource-based policy"
	expect := func(id, want string) {
		t.Helper()
		if got := encrypt(id); got != want {
			t.Errorf("Encrypt by %s: %q, want %q", id, got, want)
		}
	}
	byName, frozen := "alias/by-name/"+*md.KeyId, "alias/frozen/"+*md.KeyId
	createAlias(t, c, byName, md)
	expect(*md.KeyId, "")
	expect(byName, denied)
	expect(arnHead+byName, denied)
	createAlias(t, c, frozen, md)
	expect(*md.KeyId, "")
	expect(frozen, "")
	do(c.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: &byName})).ok(t)
	expect(byName, "NotFoundException: Alias "+arnHead+byName+" is not found.")
}

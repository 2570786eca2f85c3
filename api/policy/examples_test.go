package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// exampleKind tells a document's kind from its file name.
func exampleKind(file string) Kind {
	name, _, _ := strings.Cut(filepath.Base(file), "-")
	return map[string]Kind{"key": KeyPolicy, "identity": IdentityPolicy, "endpoint": EndpointPolicy}[name]
}

func example(t testing.TB, name string) *Policy {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, exampleKind(name), string(text))
}

// TestExamples evaluates the policy forms of the developer guide: policies that must mean here what they mean there (spec 04
// IDP-12, VE-06, VE-07, SV-01; spec 05 section 6; spec 09 SVC-09 to SVC-11).
func TestExamples(t *testing.T) {
	alice, carol := user(accountK, "alice"), user(accountX, "carol")
	app, admins, users := session(accountK, "App", "s"), session(accountK, "KeyAdmins", "s"), session(accountK, "KeyUsers", "s")
	trail, ses := service("cloudtrail.amazonaws.com"), service("ses.amazonaws.com")
	const (
		yes    = Allowed
		no     = ImplicitDeny
		denied = ExplicitDeny
		ctx    = "kms:EncryptionContext:"
		names  = "kms:EncryptionContextKeys="
	)
	tests := []struct {
		name    string
		caller  *Principal
		action  string
		context string // "key=value key=value"
		want    Outcome
	}{
		{"key-console", admins, "kms:PutKeyPolicy", "", yes},
		{"key-console", admins, "kms:CreateGrant", "", yes},
		{"key-console", admins, "kms:Decrypt", "", no},
		{"key-console", admins, "kms:ScheduleKeyDeletion", "", yes},
		{"key-console", users, "kms:ReEncryptTo", "", yes},
		{"key-console", users, "kms:GenerateDataKeyPair", "", yes},
		{"key-console", users, "kms:CreateGrant", "kms:GrantIsForAWSResource=true", yes},
		{"key-console", users, "kms:CreateGrant", "kms:GrantIsForAWSResource=false", no},
		{"key-console", users, "kms:PutKeyPolicy", "", no},
		{"key-console", carol, "kms:Encrypt", "", no},
		{"key-location-grants", session(accountK, "LocationTeam", "s"), "kms:CreateGrant",
			"kms:ViaService=geo.us-west-2.amazonaws.com kms:CallerAccount=111122223333 " + ctx + "aws:geo:arn=arn:aws:geo:us-west-2:111122223333:tracker/fleet", yes},
		{"key-location-grants", session(accountK, "LocationTeam", "s"), "kms:CreateGrant",
			"kms:CallerAccount=111122223333 " + ctx + "aws:geo:arn=arn:aws:geo:us-west-2:111122223333:tracker/fleet", no},
		{"key-trail", trail, "kms:GenerateDataKey", "aws:SourceArn=arn:aws:cloudtrail:us-west-2:111122223333:trail/finance " + ctx + "aws:cloudtrail:arn=arn:aws:cloudtrail:us-east-1:111122223333:trail/x", yes},
		{"key-trail", trail, "kms:GenerateDataKey", "aws:SourceArn=arn:aws:cloudtrail:us-west-2:111122223333:trail/other " + ctx + "aws:cloudtrail:arn=arn:aws:cloudtrail:us-east-1:111122223333:trail/x", no},
		{"key-trail", trail, "kms:GenerateDataKey", "aws:SourceArn=arn:aws:cloudtrail:us-west-2:111122223333:trail/finance", no},
		{"key-trail", trail, "kms:Decrypt", "aws:SourceArn=arn:aws:cloudtrail:us-west-2:111122223333:trail/finance " + ctx + "aws:cloudtrail:arn=arn:aws:cloudtrail:us-east-1:111122223333:trail/x", no},
		{"key-mail-service", ses, "kms:GenerateDataKey", ctx + "aws:ses:rule-name=r " + ctx + "aws:ses:message-id=m " + ctx + "aws:ses:source-account=111122223333", yes},
		{"key-mail-service", ses, "kms:GenerateDataKey", ctx + "aws:ses:rule-name=r " + ctx + "aws:ses:source-account=111122223333", no},
		{"key-through-service", alice, "kms:Decrypt", "kms:ViaService=workmail.us-east-1.amazonaws.com kms:CallerAccount=111122223333", yes},
		{"key-through-service", alice, "kms:Decrypt", "kms:CallerAccount=111122223333", no},
		{"key-through-service", carol, "kms:Decrypt", "kms:ViaService=workmail.us-east-1.amazonaws.com kms:CallerAccount=444455556666", no},
		{"key-through-service", root(accountK), "kms:RevokeGrant", "", yes},
		{"key-through-service", root(accountK), "kms:PutKeyPolicy", "", no},
		{"key-endpoint-only", root(accountK), "kms:Encrypt", "aws:SourceVpce=vpce-1234abcdf5678c90a", yes},
		{"key-endpoint-only", root(accountK), "kms:Encrypt", "aws:SourceVpce=vpce-00000000000000000", denied},
		{"key-endpoint-only", root(accountK), "kms:Encrypt", "", denied},
		{"key-endpoint-only", root(accountK), "kms:DescribeKey", "", yes},
		{"key-two-networks", root(accountK), "kms:PutKeyPolicy", "aws:SourceVpc=vpc-12345678", yes},
		{"key-two-networks", root(accountK), "kms:Encrypt", "aws:SourceVpc=vpc-12345678", no},
		{"key-two-networks", root(accountK), "kms:Encrypt", "aws:SourceVpc=vpc-2b2b2b2b", yes},
		{"key-two-networks", root(accountK), "kms:GetKeyPolicy", "", yes},
		{"key-two-networks", alice, "kms:GetKeyPolicy", "", no},
		{"key-one-algorithm", app, "kms:Encrypt", "kms:EncryptionAlgorithm=RSAES_OAEP_SHA_1", denied},
		{"key-one-algorithm", app, "kms:Encrypt", "kms:EncryptionAlgorithm=RSAES_OAEP_SHA_256", no},
		{"key-context-exact", app, "kms:GenerateDataKey", ctx + "AppName=Ledger " + names + "AppName", yes},
		{"key-context-exact", app, "kms:GenerateDataKey", ctx + "AppName=Ledger " + ctx + "Stage=x " + names + "AppName " + names + "Stage", no},
		{"key-context-exact", app, "kms:GenerateDataKey", "", no},
		{"key-context-required", app, "kms:GenerateDataKeyPair", names + "any", yes},
		{"key-context-required", app, "kms:Encrypt", "", no},
		{"key-context-of-user", alice, "kms:Decrypt", "aws:username=alice " + ctx + "user=alice", yes},
		{"key-context-of-user", alice, "kms:Decrypt", "aws:username=alice " + ctx + "user=bob", no},
		{"key-context-of-user", app, "kms:Decrypt", ctx + "user=alice", no},
		{"key-expiring-import", app, "kms:ImportKeyMaterial", "kms:ValidTo=1546257599", yes},
		{"key-expiring-import", app, "kms:ImportKeyMaterial", "kms:ValidTo=1546257600", no},
		{"key-expiring-import", app, "kms:ImportKeyMaterial", "kms:ValidTo=1546257599 kms:ExpirationModel=KEY_MATERIAL_EXPIRES", no},
		{"key-grant-operations", app, "kms:CreateGrant", "kms:GrantOperations=Encrypt kms:GranteePrincipal=arn:aws:iam::111122223333:role/Limited", yes},
		{"key-grant-operations", app, "kms:CreateGrant", "kms:GrantOperations=Encrypt kms:GrantOperations=Decrypt kms:GranteePrincipal=arn:aws:iam::111122223333:role/Limited", no},
		{"key-grant-operations", app, "kms:CreateGrant", "kms:GrantOperations=Encrypt kms:GranteePrincipal=arn:aws:iam::111122223333:role/Other", no},
		{"key-no-bypass", app, "kms:PutKeyPolicy", "", yes},
		{"key-no-bypass", app, "kms:PutKeyPolicy", "kms:BypassPolicyLockoutSafetyCheck=false", no},
		{"key-mac-algorithms", app, "kms:VerifyMac", "kms:MacAlgorithm=HMAC_SHA_512", yes},
		{"key-mac-algorithms", app, "kms:VerifyMac", "kms:MacAlgorithm=HMAC_SHA_256", no},
		{"key-rotation-period", root(accountK), "kms:EnableKeyRotation", "kms:RotationPeriodInDays=180", denied},
		{"key-rotation-period", root(accountK), "kms:EnableKeyRotation", "kms:RotationPeriodInDays=365", yes},
		{"key-enclave", session(accountK, "Enclave", "s"), "kms:Decrypt",
			"kms:RecipientAttestation:ImageSha384=9fedcba8abcdef7abcdef6abcdef5abcdef4abcdef3abcdef2abcdef1abcdef0abcdef1abcdefexample kms:RecipientAttestation:PCR1=1de4f2dcf774f6e3b679f62e5f120065b2e408dcea327bd1c9dddaea6664e7af", yes},
		{"key-enclave", session(accountK, "Enclave", "s"), "kms:Decrypt", "", no},
		{"identity-list", alice, "kms:ListKeys", "", yes},
		{"identity-list", alice, "kms:CreateKey", "", no},
		{"identity-two-keys", alice, "kms:Decrypt", "", yes},
		{"identity-two-keys", alice, "kms:Encrypt", "", no},
		{"identity-deny", alice, "kms:Encrypt", "", yes},
		{"identity-deny", alice, "kms:PutKeyPolicy", "", denied},
		{"identity-deny", alice, "kms:CreateKey", "", denied},
		{"identity-viewer", alice, "kms:GetKeyPolicy", "", yes},
		{"identity-viewer", alice, "kms:ListAliases", "", yes},
		{"identity-viewer", alice, "kms:Decrypt", "", no},
		{"identity-creator", alice, "kms:CreateKey", "", yes},
		{"identity-creator", alice, "kms:PutKeyPolicy", "", no},
		{"identity-creator", alice, "kms:TagResource", "", yes},
		{"identity-rsa-only", alice, "kms:CreateKey", "kms:KeySpec=RSA_4096", yes},
		{"identity-rsa-only", alice, "kms:CreateKey", "kms:KeySpec=SYMMETRIC_DEFAULT", no},
		{"identity-one-region", alice, "kms:Encrypt", "", yes},
		{"identity-symmetric-only", alice, "kms:Encrypt", "kms:EncryptionAlgorithm=SYMMETRIC_DEFAULT", yes},
		{"identity-symmetric-only", alice, "kms:Encrypt", "kms:EncryptionAlgorithm=RSAES_OAEP_SHA_1", denied},
		{"identity-test-aliases", alice, "kms:EnableKey", "kms:ResourceAliases=alias/aTestb", yes},
		{"identity-test-aliases", alice, "kms:EnableKey", "kms:ResourceAliases=alias/aTestb kms:ResourceAliases=alias/prod", no},
		{"identity-test-aliases", alice, "kms:EnableKey", "", no},
		{"identity-tagged", alice, "kms:Decrypt", "aws:ResourceTag/Project=Alpha", no}, // another region
		{"identity-parameter", alice, "kms:Decrypt", ctx + "PARAMETER_ARN=arn:aws:ssm:us-west-2:111122223333:parameter/MyParameter", yes},
		{"identity-parameter", alice, "kms:Decrypt", ctx + "PARAMETER_ARN=arn:aws:ssm:us-west-2:111122223333:parameter/Other", no},
		{"identity-replicas", alice, "kms:ScheduleKeyDeletion", "kms:MultiRegionKeyType=REPLICA", yes},
		{"identity-replicas", alice, "kms:ScheduleKeyDeletion", "kms:MultiRegionKeyType=PRIMARY", no},
		{"endpoint-one-user", alice, "kms:Decrypt", "", yes},
		{"endpoint-one-user", alice, "kms:Encrypt", "", no},
		{"endpoint-one-user", alice, "kms:ListKeys", "", no}, // its resource is "*", which a key ARN does not cover
		{"endpoint-local-only", alice, "kms:Encrypt", "aws:PrincipalAccount=111122223333", yes},
		{"endpoint-local-only", carol, "kms:Encrypt", "aws:PrincipalAccount=444455556666", denied},
	}
	tested := map[string]bool{}
	for _, test := range tests {
		tested[test.name] = true
		p := example(t, test.name)
		req := onKey(test.caller, test.action)
		if row, _ := PermissionFor(test.action, ResourceNone); row.Resource == ResourceNone {
			req.Resource = Resource{Type: ResourceNone}
		}
		req.with(strings.Fields(test.context)...)
		switch p.Kind() {
		case KeyPolicy:
			req.ResourcePolicy = p
		case IdentityPolicy:
			req.ResourcePolicy, req.Identity = defaultPolicy(t), []*Policy{p}
		case EndpointPolicy:
			req.ResourcePolicy, req.Endpoint, req.Identity = keyPolicyOf(t, toAll), p, []*Policy{identityOf(t, allowAll)}
		}
		if d := decide(t, req); d.Outcome != test.want {
			t.Errorf("%s: %s by %s with [%s]: %v by %v, want %v", test.name, test.action, test.caller.ARN, test.context, d.Outcome, d.PolicyType, test.want)
		}
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples", err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".json"); !tested[name] {
			t.Errorf("%s is never evaluated", name)
		}
	}
}

// TestAcceptanceDET08: two stories. Alice has no permission of her own under the default key policy; Bob, in a role of account
// X, may use a key of account K that trusts his account.
func TestAcceptanceDET08(t *testing.T) {
	wantOutcome(t, onKey(user(accountK, "alice"), "kms:Encrypt").keyPolicy(defaultPolicy(t)), ImplicitDeny)
	key := keyPolicyOf(t, toAccountK+`, {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::444455556666:root"}, "Action": ["kms:Encrypt", "kms:Decrypt"], "Resource": "*"}`)
	bob := session(accountX, "Engineering", "bob")
	role := identityOf(t, `{"Effect": "Allow", "Action": ["kms:Encrypt", "kms:Decrypt", "kms:GetPublicKey"], "Resource": "`+keyARN+`"}`)
	wantOutcome(t, onKey(bob, "kms:Encrypt").keyPolicy(key).identity(role), Allowed)
	wantOutcome(t, onKey(bob, "kms:GetPublicKey").keyPolicy(key).identity(role), ImplicitDeny)
	wantOutcome(t, onKey(bob, "kms:Encrypt").keyPolicy(defaultPolicy(t)).identity(role), ImplicitDeny)
}

// TestPowerUserIDP08: may create and look, but neither use keys nor change policies.
func TestPowerUserIDP08(t *testing.T) {
	for _, m := range ManagedPolicies() {
		p := parse(t, IdentityPolicy, m.Document)
		if Size(m.Document) > ManagedPolicyLimit || len(p.Lint()) > 0 {
			t.Errorf("%s: %v", m.Name, p.Lint())
		}
		if m.Name != "AWSKeyManagementServicePowerUser" {
			continue
		}
		if arn := m.ARN("aws"); arn != "arn:aws:iam::aws:policy/AWSKeyManagementServicePowerUser" {
			t.Error(arn)
		}
		for action, want := range map[string]Outcome{
			"kms:DescribeKey": Allowed, "kms:TagResource": Allowed, "kms:GetPublicKey": Allowed, "kms:DeleteAlias": Allowed,
			"kms:Encrypt": ImplicitDeny, "kms:UpdateAlias": ImplicitDeny, "kms:PutKeyPolicy": ImplicitDeny, "kms:CreateGrant": ImplicitDeny,
		} {
			wantOutcome(t, onKey(user(accountK, "alice"), action).keyPolicy(defaultPolicy(t)).identity(p), want)
		}
		create := (&Request{Principal: user(accountK, "alice"), Action: "kms:CreateKey", Resource: Resource{Type: ResourceNone}}).identity(p)
		wantOutcome(t, create, Allowed)
	}
}

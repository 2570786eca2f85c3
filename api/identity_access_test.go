package api_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

const (
	noIdentity = " because no identity-based policy allows the kms:Encrypt action"
	noResource = " because no resource-based policy allows the kms:Encrypt action"
	allKMS     = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`
)

// mayNot is the refusal of an Encrypt.
func mayNot(arn string, key *string, why string) string {
	return "AccessDeniedException: User: " + arn + " is not authorized to perform: kms:Encrypt on resource: " + *key + why
}

func userARN(name string) string { return "arn:aws:iam::" + owner + ":user/" + name }

// TestConsequencesEV11: what follows from identity and key policies together.
func TestConsequencesEV11(t *testing.T) {
	l := newGrantLab(t)
	key := l.key()
	full := l.newUser(owner, "full", allKMS)
	plain := l.newUser(owner, "plain", "")
	wantEncrypt(t, "delegated, identity allows", full, key, "")
	wantEncrypt(t, "delegated, identity is silent", plain, key, mayNot(userARN("plain"), key, noIdentity))

	key = l.keyWith(keyPolicy(named(userARN("plain"), "kms:*")))
	wantEncrypt(t, "(a) no account statement", full, key, mayNot(userARN("full"), key, noResource))
	wantEncrypt(t, "named in the key policy", plain, key, "")

	l.putUserPolicy(owner, "plain", statement("Deny", "kms:Encrypt", "*"))
	wantEncrypt(t, "(b) named, denied by an identity policy", plain, key, mayNot(userARN("plain"), key, " with an explicit deny in an identity-based policy"))

	role := l.newRole(owner, "app", userARN("full"), "")
	l.putUserPolicy(owner, "full", statement("Allow", "sts:AssumeRole", "*"))
	session := l.newSession(full, &sts.AssumeRoleInput{RoleArn: &role})
	wantEncrypt(t, "role that nobody names", session, key, mayNot("arn:aws:sts::"+owner+":assumed-role/app/s1", key, noResource))
	key = l.keyWith(keyPolicy(rootStatement, named(role, "kms:Encrypt")))
	wantEncrypt(t, "(c) role named, without identity policies", session, key, "")

	key = l.keyWith(keyPolicy(rootStatement, named("*", "kms:Encrypt")))
	guest := l.newUser(partner, "guest", "")
	wantEncrypt(t, "(d) everybody, same account", full, key, "")
	wantEncrypt(t, "(d) everybody, foreign account", guest, key,
		"AccessDeniedException: User: arn:aws:iam::"+partner+":user/guest is not authorized to perform: kms:Encrypt on this resource because no identity-based policy allows the kms:Encrypt action")
	l.putUserPolicy(partner, "guest", allKMS)
	wantEncrypt(t, "(d) everybody, foreign account with an Allow of its own", guest, key, "")
}

// TestRevocationIsImmediate: once a change is acknowledged, no later call of the user gets through.
func TestRevocationIsImmediate(t *testing.T) {
	l := newGrantLab(t)
	ctx, admin, key := t.Context(), l.root(owner).iam, l.key()
	policy := must(admin.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("use"), PolicyDocument: aws.String(allKMS)}))(t).Policy.Arn
	u := l.newUser(owner, "u", "")
	name := aws.String("u")
	group := must(admin.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String("g")}))(t).Group.GroupName
	denial := mayNot(userARN("u"), key, noIdentity)
	for what, c := range map[string]struct{ give, take func() error }{
		"attached policy": {
			func() error {
				_, err := admin.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: name, PolicyArn: policy})
				return err
			},
			func() error {
				_, err := admin.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: name, PolicyArn: policy})
				return err
			},
		},
		"group": {
			func() error {
				_, err := admin.AttachGroupPolicy(ctx, &iam.AttachGroupPolicyInput{GroupName: group, PolicyArn: policy})
				if err == nil {
					_, err = admin.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: group, UserName: name})
				}
				return err
			},
			func() error {
				_, err := admin.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{GroupName: group, UserName: name})
				return err
			},
		},
		"inline policy": {
			func() error {
				_, err := admin.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: name, PolicyName: name, PolicyDocument: aws.String(allKMS)})
				return err
			},
			func() error {
				_, err := admin.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: name, PolicyName: name})
				return err
			},
		},
	} {
		for range 3 {
			if err := c.give(); err != nil {
				t.Fatal(err)
			}
			wantEncrypt(t, what+" given", u, key, "")
			if err := c.take(); err != nil {
				t.Fatal(err)
			}
			wantEncrypt(t, what+" taken", u, key, denial)
		}
	}
	must(admin.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: name, PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")}))(t)
	wantEncrypt(t, "built-in policy", u, key, "")
	must(admin.PutUserPermissionsBoundary(ctx, &iam.PutUserPermissionsBoundaryInput{UserName: name, PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/AWSKeyManagementServicePowerUser")}))(t)
	wantEncrypt(t, "boundary", u, key, mayNot(userARN("u"), key, " because no permissions boundary allows the kms:Encrypt action"))
	must(admin.DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: name}))(t)
	wantEncrypt(t, "no boundary", u, key, "")

	for range 2 {
		must(admin.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: name, AccessKeyId: &u.id, Status: iamtypes.StatusTypeInactive}))(t)
		wantEncrypt(t, "inactive access key", u, key, "UnrecognizedClientException: The security token included in the request is invalid.")
		must(admin.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: name, AccessKeyId: &u.id, Status: iamtypes.StatusTypeActive}))(t)
		wantEncrypt(t, "active access key", u, key, "")
	}
	must(admin.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: name, AccessKeyId: &u.id}))(t)
	wantEncrypt(t, "deleted access key", u, key, "UnrecognizedClientException: The security token included in the request is invalid.")
}

// TestManagedPolicyVersions: the version in force decides.
func TestManagedPolicyVersions(t *testing.T) {
	l := newGrantLab(t)
	ctx, admin, key := t.Context(), l.root(owner).iam, l.key()
	policy := must(admin.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("use"), PolicyDocument: aws.String(allKMS)}))(t).Policy.Arn
	u := l.newUser(owner, "u", "")
	must(admin.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: aws.String("u"), PolicyArn: policy}))(t)
	wantEncrypt(t, "v1", u, key, "")
	must(admin.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: policy, PolicyDocument: aws.String(statement("Deny", "kms:*", "*"))}))(t)
	wantEncrypt(t, "v1 is still in force", u, key, "")
	must(admin.SetDefaultPolicyVersion(ctx, &iam.SetDefaultPolicyVersionInput{PolicyArn: policy, VersionId: aws.String("v2")}))(t)
	wantEncrypt(t, "v2", u, key, mayNot(userARN("u"), key, " with an explicit deny in an identity-based policy"))
	must(admin.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: policy, PolicyDocument: aws.String(allKMS), SetAsDefault: true}))(t)
	wantEncrypt(t, "v3", u, key, "")
}

// TestSessions: what a role session may, and what ends it.
func TestSessions(t *testing.T) {
	l := newGrantLab(t)
	ctx, admin, key := t.Context(), l.root(owner).iam, l.key()
	u := l.newUser(owner, "u", statement("Allow", "sts:*", "*"))
	role := l.newRole(owner, "app", rootOf(owner), allKMS)
	in := &sts.AssumeRoleInput{RoleArn: &role}
	s := l.newSession(u, in)
	me := must(s.sts.GetCallerIdentity(ctx, nil))(t)
	if *me.Arn != "arn:aws:sts::"+owner+":assumed-role/app/s1" || *me.Account != owner {
		t.Errorf("the session is %s of %s", *me.Arn, *me.Account)
	}
	wantEncrypt(t, "session", s, key, "")
	narrow := l.newSession(u, &sts.AssumeRoleInput{RoleArn: &role, Policy: aws.String(statement("Allow", "kms:DescribeKey", "*"))})
	wantEncrypt(t, "session policy", narrow, key, mayNot(*me.Arn, key, " because no session policy allows the kms:Encrypt action"))
	chained := l.newRole(owner, "next", role, allKMS)
	must(admin.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("app"), PolicyName: aws.String("q"), PolicyDocument: aws.String(statement("Allow", "sts:AssumeRole", "*"))}))(t)
	next := l.newSession(s, &sts.AssumeRoleInput{RoleArn: &chained})
	wantEncrypt(t, "session of a session", next, key, "")

	unknown := "UnrecognizedClientException: The security token included in the request is invalid."
	forged := l.login(s.id, s.secret, next.token)
	wantEncrypt(t, "another session's token", forged, key, unknown)
	wantEncrypt(t, "no token", l.login(s.id, s.secret, ""), key, unknown)
	wantEncrypt(t, "another secret", l.login(s.id, next.secret, s.token), key,
		"InvalidSignatureException: The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")

	must(admin.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: aws.String("app"), PolicyName: aws.String("p")}))(t)
	wantEncrypt(t, "role without the policy", s, key, mayNot(*me.Arn, key, noIdentity))
	must(admin.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("app"), PolicyName: aws.String("p"), PolicyDocument: aws.String(allKMS)}))(t)
	wantEncrypt(t, "role with the policy", s, key, "")

	must(admin.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: aws.String("u"), AccessKeyId: &u.id, Status: iamtypes.StatusTypeInactive}))(t)
	wantEncrypt(t, "the first access key is inactive", s, key, unknown)
	wantEncrypt(t, "the first access key is inactive, chained", next, key, unknown)

	l.ahead.Store(int64(61 * time.Minute))
	if got := l.raw(s, "kms", time.Now().Add(61*time.Minute), "TrentService.ListKeys", "{}"); !contains(got, "ExpiredTokenException") {
		t.Errorf("after its end: %s", got)
	}
}

// TestDeletedRole: neither its sessions nor a namesake have what was its own.
func TestDeletedRole(t *testing.T) {
	l := newGrantLab(t)
	ctx, admin, key := t.Context(), l.root(owner).iam, l.key()
	u := l.newUser(owner, "u", statement("Allow", "sts:*", "*"))
	role := l.newRole(owner, "app", rootOf(owner), "")
	l.putPolicy(key, keyPolicy(rootStatement, named(role, "kms:Encrypt"), named(userARN("u"), "kms:Encrypt")))
	s := l.newSession(u, &sts.AssumeRoleInput{RoleArn: &role})
	wantEncrypt(t, "role", s, key, "")
	must(admin.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("app")}))(t)
	wantEncrypt(t, "deleted role", s, key, "UnrecognizedClientException: The security token included in the request is invalid.")
	id := must(admin.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("u")}))(t).User.UserId
	l.newRole(owner, "app", rootOf(owner), "")
	namesake := l.newSession(u, &sts.AssumeRoleInput{RoleArn: &role})
	wantEncrypt(t, "namesake", namesake, key, mayNot("arn:aws:sts::"+owner+":assumed-role/app/s1", key, noIdentity))

	shown := *must(l.root(owner).kms.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: key}))(t).Policy
	if !contains(shown, "AROA") || !contains(shown, userARN("u")) || contains(shown, "role/app") {
		t.Errorf("the policy shows %s, want the id of the deleted role and the ARN of %s", shown, *id)
	}
	_, err := l.root(owner).kms.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: key, Policy: &shown})
	wantFailure(t, "a policy with an orphaned id", err, "MalformedPolicyDocumentException: Policy contains a statement with one or more invalid principals.")
	must(admin.UpdateUser(ctx, &iam.UpdateUserInput{UserName: aws.String("u"), NewUserName: aws.String("v")}))(t)
	if shown := *must(l.root(owner).kms.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: key}))(t).Policy; !contains(shown, userARN("v")) {
		t.Errorf("the policy shows %s after a renaming", shown)
	}
	wantEncrypt(t, "renamed user", u, key, "")
}

// TestPrincipalsMustExist: key policies and grants name who is there.
func TestPrincipalsMustExist(t *testing.T) {
	l := newGrantLab(t)
	ctx, root, key := t.Context(), l.root(owner).kms, l.key()
	l.newUser(owner, "u", "")
	for principal, want := range map[string]string{
		userARN("u"):                             "",
		userARN("nobody"):                        "MalformedPolicyDocumentException: Policy contains a statement with one or more invalid principals.",
		userARN("U"):                             "MalformedPolicyDocumentException: Policy contains a statement with one or more invalid principals.",
		"arn:aws:iam::" + owner + ":user/path/u": "MalformedPolicyDocumentException: Policy contains a statement with one or more invalid principals.",
		"arn:aws:iam::" + owner + ":group/g":     "InvalidArnException: An ARN in the specified key policy is invalid.",
		"arn:aws:sts::" + owner + ":assumed-role/nothing/s1": "MalformedPolicyDocumentException: Policy contains a statement with one or more invalid principals.",
		"AIDAAAAAAAAAAAAAAAAAA":                              "MalformedPolicyDocumentException: Policy contains a statement with one or more invalid principals.",
	} {
		policy := keyPolicy(rootStatement, named(principal, "kms:*"))
		_, err := root.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: key, Policy: &policy})
		wantFailure(t, principal, err, want)
	}
	u := l.newUser(owner, "grantee", "")
	l.grant(key, func(in *kms.CreateGrantInput) { in.GranteePrincipal = aws.String(userARN("grantee")) }, types.GrantOperationEncrypt)
	wantEncrypt(t, "grantee", u, key, "")
}

// TestRetriedOnChange: a change that was decided before the caller lost the permission is refused.
func TestRetriedOnChange(t *testing.T) {
	l := newGrantLab(t)
	key := l.key()
	u := l.newUser(owner, "u", allKMS)
	user := l.node.State().IdentityNamed(owner, 1, "u")
	stripped := *user
	stripped.Inline = nil
	l.mu.Lock()
	l.before = func() { l.propose(putIdentity(stripped, user.Version)) }
	l.mu.Unlock()
	_, err := u.kms.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: key})
	wantFailure(t, "decided before, applied after", err, "AccessDeniedException: User: "+userARN("u")+" is not authorized to perform: kms:DisableKey…")
}

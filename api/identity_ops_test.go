package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
)

const emptyPolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:ListKeys","Resource":"*"}]}`

func text[T any](_ T, err error) string { return failure(err) }

// TestUsers goes through the life of a user.
func TestUsers(t *testing.T) {
	l := newGrantLab(t)
	ctx, c := t.Context(), l.root(owner).iam
	u := must(c.CreateUser(ctx, &iam.CreateUserInput{
		UserName: aws.String("Ann"), Path: aws.String("/a/b/"), Tags: []iamtypes.Tag{{Key: aws.String("team"), Value: aws.String("x = y")}},
	}))(t).User
	if *u.Arn != "arn:aws:iam::"+owner+":user/a/b/Ann" || !strings.HasPrefix(*u.UserId, "AIDA") || len(*u.UserId) != 21 || *u.Tags[0].Value != "x = y" {
		t.Errorf("user %+v", u)
	}
	for _, c := range []struct{ what, got, want string }{
		{"taken", text(c.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("ANN")})), "EntityAlreadyExists: User with name ANN already exists."},
		{"absent", text(c.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("bob")})), "NoSuchEntity: The user with name bob cannot be found."},
		{"bad name", text(c.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("a b")})),
			`ValidationError: 1 validation error detected: Value 'a b' at 'userName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]+`},
		{"no such boundary", text(c.PutUserPermissionsBoundary(ctx, &iam.PutUserPermissionsBoundaryInput{UserName: aws.String("Ann"), PermissionsBoundary: aws.String("arn:aws:iam::111122223333:policy/none")})),
			"NoSuchEntity: Policy arn:aws:iam::111122223333:policy/none does not exist or is not attachable."},
		{"no boundary", text(c.DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: aws.String("Ann")})),
			"NoSuchEntity: User Ann does not have a permissions boundary."},
		{"service policy", text(c.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{UserName: aws.String("Ann"), PolicyArn: aws.String("arn:aws:iam::aws:policy/aws-service-role/AWSKeyManagementServiceMultiRegionKeysServiceRolePolicy")})),
			"PolicyNotAttachable: Cannot attach a Service Role Policy to a Customer Role."},
		{"no such inline policy", text(c.GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: aws.String("Ann"), PolicyName: aws.String("p")})),
			"NoSuchEntity: The user policy with name p cannot be found."},
		{"malformed", text(c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("Ann"), PolicyName: aws.String("p"), PolicyDocument: aws.String("{}")})),
			"MalformedPolicyDocument: The policy has no Statement. Add at least one."},
		{"too large", text(c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("Ann"), PolicyName: aws.String("p"), PolicyDocument: aws.String(statement("Allow", "kms:"+strings.Repeat("x", 2048), "*"))})),
			"LimitExceeded: Maximum policy size of 2048 bytes exceeded for user Ann"},
		{"no such access key", text(c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: aws.String("Ann"), AccessKeyId: aws.String("AKIAAAAAAAAAAAAAAAAA")})),
			"NoSuchEntity: The Access Key with id AKIAAAAAAAAAAAAAAAAA cannot be found."},
	} {
		if c.got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.what, c.got, c.want)
		}
	}
	must(c.UpdateUser(ctx, &iam.UpdateUserInput{UserName: aws.String("ann"), NewUserName: aws.String("Bea"), NewPath: aws.String("/")}))(t)
	must(c.TagUser(ctx, &iam.TagUserInput{UserName: aws.String("Bea"), Tags: []iamtypes.Tag{{Key: aws.String("TEAM"), Value: aws.String("y")}, {Key: aws.String("other"), Value: aws.String("")}}}))(t)
	must(c.UntagUser(ctx, &iam.UntagUserInput{UserName: aws.String("Bea"), TagKeys: []string{"other", "none"}}))(t)
	must(c.PutUserPermissionsBoundary(ctx, &iam.PutUserPermissionsBoundaryInput{UserName: aws.String("Bea"), PermissionsBoundary: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")}))(t)
	got := must(c.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("Bea")}))(t).User
	if *got.UserId != *u.UserId || *got.Path != "/" || len(got.Tags) != 1 || *got.Tags[0].Value != "y" || *got.PermissionsBoundary.PermissionsBoundaryArn != "arn:aws:iam::aws:policy/AdministratorAccess" {
		t.Errorf("user %+v", got)
	}
	must(c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("Bea"), PolicyName: aws.String("p"), PolicyDocument: aws.String(emptyPolicy)}))(t)
	if p := must(c.GetUserPolicy(ctx, &iam.GetUserPolicyInput{UserName: aws.String("Bea"), PolicyName: aws.String("p")}))(t); !strings.HasPrefix(*p.PolicyDocument, "%7B%22Version%22%3A%222012-10-17%22") {
		t.Errorf("document %s is not percent-encoded", *p.PolicyDocument)
	}
	first := must(c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("Bea")}))(t).AccessKey
	must(c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("Bea")}))(t)
	wantFailure(t, "third access key", second(c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("Bea")})), "LimitExceeded: Cannot exceed quota for AccessKeysPerUser: 2")
	bea := l.login(*first.AccessKeyId, *first.SecretAccessKey, "")
	wantFailure(t, "without permission", second(bea.iam.ListUsers(ctx, nil)),
		"AccessDenied: User: arn:aws:iam::111122223333:user/Bea is not authorized to perform: iam:ListUsers on resource: arn:aws:iam::111122223333:user/ because no identity-based policy allows the iam:ListUsers action")
	must(c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("Bea"), PolicyName: aws.String("self"), PolicyDocument: aws.String(statement("Allow", "iam:*", "arn:aws:iam::*:user/${aws:username}"))}))(t)
	if self := must(bea.iam.GetUser(ctx, &iam.GetUserInput{}))(t).User; *self.UserName != "Bea" {
		t.Errorf("the caller is %+v", self)
	}
	if keys := must(bea.iam.ListAccessKeys(ctx, nil))(t).AccessKeyMetadata; len(keys) != 2 || keys[0].Status != iamtypes.StatusTypeActive {
		t.Errorf("access keys %+v", keys)
	}
	for _, step := range []struct {
		hold string
		free func() error
	}{
		{"must delete access keys first", func() error {
			for _, k := range must(bea.iam.ListAccessKeys(ctx, nil))(t).AccessKeyMetadata {
				if _, err := c.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: aws.String("Bea"), AccessKeyId: k.AccessKeyId}); err != nil {
					return err
				}
			}
			return nil
		}},
		{"must delete policies first", func() error {
			for _, p := range must(c.ListUserPolicies(ctx, &iam.ListUserPoliciesInput{UserName: aws.String("Bea")}))(t).PolicyNames {
				if _, err := c.DeleteUserPolicy(ctx, &iam.DeleteUserPolicyInput{UserName: aws.String("Bea"), PolicyName: &p}); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		wantFailure(t, "held", second(c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: aws.String("Bea")})), "DeleteConflict: Cannot delete entity, "+step.hold+".")
		if err := step.free(); err != nil {
			t.Fatal(err)
		}
	}
	must(c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: aws.String("Bea")}))(t)
	again := must(c.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("Bea")}))(t).User
	if *again.UserId == *u.UserId {
		t.Error("a namesake has the old unique id")
	}
}

func second[T any](_ T, err error) error { return err }

// TestPages: lists come in pages that hold everything once, in the order of names.
func TestPages(t *testing.T) {
	l := newGrantLab(t)
	ctx, c := t.Context(), l.root(owner).iam
	for i := range 7 {
		path := aws.String("/even/")
		if i%2 == 1 {
			path = aws.String("/odd/")
		}
		must(c.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String(fmt.Sprint("user", 6-i)), Path: path}))(t)
	}
	for _, test := range []struct{ prefix, want string }{
		{"", "user0 user1 user2 user3 user4 user5 user6"}, {"/odd/", "user1 user3 user5"}, {"/none/", ""},
	} {
		in := &iam.ListUsersInput{MaxItems: aws.Int32(2)}
		if test.prefix != "" {
			in.PathPrefix = &test.prefix
		}
		var names []string
		for p := iam.NewListUsersPaginator(c, in); p.HasMorePages(); {
			for _, u := range must(p.NextPage(ctx))(t).Users {
				names = append(names, *u.UserName)
			}
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("%s: %s, want %s", test.prefix, got, test.want)
		}
	}
	wantFailure(t, "another list's marker", second(c.ListUsers(ctx, &iam.ListUsersInput{Marker: aws.String("abc")})), "ValidationError…")
}

// TestRolesAndPolicies goes through the other operations.
func TestRolesAndPolicies(t *testing.T) {
	l := newGrantLab(t)
	ctx, c := t.Context(), l.root(owner).iam
	trust := statement("Allow", "sts:AssumeRole", "", `"Principal":{"AWS":"`+rootOf(owner)+`"}`)
	r := must(c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("r"), AssumeRolePolicyDocument: &trust, Description: aws.String("d"), MaxSessionDuration: aws.Int32(7200)}))(t).Role
	if *r.Arn != "arn:aws:iam::"+owner+":role/r" || *r.MaxSessionDuration != 7200 || !strings.HasPrefix(*r.AssumeRolePolicyDocument, "%7B") {
		t.Errorf("role %+v", r)
	}
	wantFailure(t, "trust in nobody", second(c.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("r"),
		PolicyDocument: aws.String(statement("Allow", "sts:AssumeRole", "", `"Principal":{"AWS":"arn:aws:iam::111122223333:user/nobody"}`))})), "MalformedPolicyDocument: Invalid principal in policy…")
	must(c.UpdateRole(ctx, &iam.UpdateRoleInput{RoleName: aws.String("r"), Description: aws.String("e")}))(t)
	if got := must(c.UpdateRoleDescription(ctx, &iam.UpdateRoleDescriptionInput{RoleName: aws.String("r"), Description: aws.String("f")}))(t).Role; *got.Description != "f" || *got.MaxSessionDuration != 7200 {
		t.Errorf("role %+v", got)
	}
	p := must(c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: aws.String(emptyPolicy), Path: aws.String("/x/"), Description: aws.String("d")}))(t).Policy
	if *p.Arn != "arn:aws:iam::"+owner+":policy/x/p" || *p.DefaultVersionId != "v1" {
		t.Errorf("policy %+v", p)
	}
	must(c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("r"), PolicyArn: p.Arn}))(t)
	must(c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: aws.String("r"), PolicyArn: p.Arn}))(t)
	must(c.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String("g")}))(t)
	must(c.AttachGroupPolicy(ctx, &iam.AttachGroupPolicyInput{GroupName: aws.String("g"), PolicyArn: p.Arn}))(t)
	must(c.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: aws.String("r"), PermissionsBoundary: p.Arn}))(t)
	got := must(c.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: p.Arn}))(t).Policy
	if *got.AttachmentCount != 2 || *got.PermissionsBoundaryUsageCount != 1 {
		t.Errorf("policy %+v", got)
	}
	e := must(c.ListEntitiesForPolicy(ctx, &iam.ListEntitiesForPolicyInput{PolicyArn: p.Arn}))(t)
	if len(e.PolicyRoles) != 1 || len(e.PolicyGroups) != 1 || len(e.PolicyUsers) != 0 {
		t.Errorf("entities %+v", e)
	}
	wantFailure(t, "in use", second(c.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: p.Arn})), "DeleteConflict: Cannot delete a policy attached to entities.")
	wantFailure(t, "held", second(c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("r")})), "DeleteConflict: Cannot delete entity, must detach all policies first.")
	for range 4 {
		must(c.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: p.Arn, PolicyDocument: aws.String(emptyPolicy)}))(t)
	}
	wantFailure(t, "sixth version", second(c.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: p.Arn, PolicyDocument: aws.String(emptyPolicy)})),
		"LimitExceeded: A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.")
	wantFailure(t, "version in force", second(c.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: p.Arn, VersionId: aws.String("v1")})),
		"DeleteConflict: Cannot delete the default version of a policy.")
	must(c.DeletePolicyVersion(ctx, &iam.DeletePolicyVersionInput{PolicyArn: p.Arn, VersionId: aws.String("v3")}))(t)
	var versions []string
	for _, v := range must(c.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: p.Arn}))(t).Versions {
		versions = append(versions, *v.VersionId)
	}
	if got := strings.Join(versions, " "); got != "v5 v4 v2 v1" {
		t.Errorf("versions %s", got)
	}
	if v := must(c.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess"), VersionId: aws.String("v1")}))(t).PolicyVersion; !v.IsDefaultVersion || !strings.Contains(*v.Document, "Effect") {
		t.Errorf("version %+v", v)
	}
	wantFailure(t, "built-in", second(c.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})), "AccessDenied: Policy is outside your own account.")
	for scope, want := range map[iamtypes.PolicyScopeType]int{"All": 5, "AWS": 4, "Local": 1} {
		n := 0
		for pages := iam.NewListPoliciesPaginator(c, &iam.ListPoliciesInput{Scope: scope, MaxItems: aws.Int32(2)}); pages.HasMorePages(); {
			n += len(must(pages.NextPage(ctx))(t).Policies)
		}
		if n != want {
			t.Errorf("%s: %d policies, want %d", scope, n, want)
		}
	}
	if m := must(c.GetAccountSummary(ctx, nil))(t).SummaryMap; m["Roles"] != 1 || m["Groups"] != 1 || m["Policies"] != 1 || m["UsersQuota"] != 5000 {
		t.Errorf("summary %v", m)
	}
	must(c.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: aws.String("r"), PolicyArn: p.Arn}))(t)
	wantFailure(t, "detached", second(c.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: aws.String("r"), PolicyArn: p.Arn})), "NoSuchEntity: Policy "+*p.Arn+" was not found.")
	if n := must(c.ListInstanceProfilesForRole(ctx, &iam.ListInstanceProfilesForRoleInput{RoleName: aws.String("r")}))(t); len(n.InstanceProfiles) != 0 {
		t.Errorf("instance profiles %+v", n)
	}
	must(c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("r")}))(t)
	wantFailure(t, "unknown action", errOf(l.raw(l.root(owner), "iam", now(), "", "Action=UploadSSHPublicKey&Version=2010-05-08")),
		"400 Bad Request\n<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>Could not find operation UploadSSHPublicKey for version 2010-05-08</Message></Error>…")
}

// TestAssumeRole: who may assume a role, under which conditions.
func TestAssumeRole(t *testing.T) {
	l := newGrantLab(t)
	ctx, root := t.Context(), l.root(owner)
	u := l.newUser(owner, "u", "")
	role := l.newRole(owner, "named", userARN("u"), "")
	delegated := l.newRole(owner, "delegated", rootOf(owner), "")
	foreign := l.newRole(partner, "foreign", rootOf(owner), "")
	must(root.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("named"), PolicyDocument: aws.String(
		statement("Allow", "sts:AssumeRole", "", `"Principal":{"AWS":"`+userARN("u")+`"}`, `"Condition":{"StringEquals":{"sts:ExternalId":"secret"}}`))}))(t)
	as := func(who *login, role string, change ...func(*sts.AssumeRoleInput)) error {
		in := &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: aws.String("s1")}
		for _, f := range change {
			f(in)
		}
		return second(who.sts.AssumeRole(ctx, in))
	}
	external := func(in *sts.AssumeRoleInput) { in.ExternalId = aws.String("secret") }
	refused := func(role string) string {
		return "AccessDenied: User: " + userARN("u") + " is not authorized to perform: sts:AssumeRole on resource: " + role
	}
	wantFailure(t, "without the external id", as(u, role), refused(role))
	wantFailure(t, "named in the trust policy", as(u, role, external), "")
	wantFailure(t, "delegated, identity is silent", as(u, delegated), refused(delegated))
	wantFailure(t, "foreign, identity is silent", as(u, foreign), refused(foreign))
	wantFailure(t, "no such role", as(u, "arn:aws:iam::"+owner+":role/none"), refused("arn:aws:iam::"+owner+":role/none"))
	l.putUserPolicy(owner, "u", statement("Allow", "sts:AssumeRole", "*"))
	wantFailure(t, "delegated, identity allows", as(u, delegated), "")
	l.recorded("AssumeRole")
	wantFailure(t, "foreign, identity allows", as(u, foreign), "")
	if both := l.recorded("AssumeRole"); len(both) != 2 || both[0]["recipientAccountId"] != owner || both[1]["recipientAccountId"] != partner || both[0]["sharedEventID"] != both[1]["sharedEventID"] {
		t.Errorf("records of a foreign role: %v", both)
	}
	wantFailure(t, "root", as(root, delegated), "AccessDenied: Roles may not be assumed by root accounts.")
	wantFailure(t, "too long", as(u, delegated, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(7200) }),
		"ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	tags := func(in *sts.AssumeRoleInput) {
		in.Tags = []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("red")}}
	}
	wantFailure(t, "tags without sts:TagSession", as(u, delegated, tags),
		"AccessDenied: User: "+userARN("u")+" is not authorized to perform: sts:TagSession on resource: "+delegated)
	l.putUserPolicy(owner, "u", statement("Allow", "sts:*", "*"))
	wantFailure(t, "tags that the trust policy does not allow", as(u, delegated, tags),
		"AccessDenied: User: "+userARN("u")+" is not authorized to perform: sts:TagSession on resource: "+delegated)
	must(root.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("delegated"), PolicyDocument: aws.String(
		strings.Replace(statement("Allow", "sts:AssumeRole", "", `"Principal":{"AWS":"`+rootOf(owner)+`"}`), `"sts:AssumeRole"`, `["sts:AssumeRole","sts:TagSession"]`, 1))}))(t)
	must(root.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("delegated"), PolicyName: aws.String("p"), PolicyDocument: aws.String(
		statement("Allow", "kms:ListKeys", "*", `"Condition":{"StringEquals":{"aws:PrincipalTag/Team":"red"}}`))}))(t)
	red := l.newSession(u, &sts.AssumeRoleInput{RoleArn: &delegated, Tags: []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("red")}}})
	blue := l.newSession(u, &sts.AssumeRoleInput{RoleArn: &delegated, Tags: []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("blue")}}})
	wantFailure(t, "session tag", second(red.kms.ListKeys(ctx, nil)), "")
	wantFailure(t, "another session tag", second(blue.kms.ListKeys(ctx, nil)), "AccessDeniedException…")
	token := must(u.sts.GetSessionToken(ctx, nil))(t).Credentials
	own := l.login(*token.AccessKeyId, *token.SecretAccessKey, *token.SessionToken)
	if me := must(own.sts.GetCallerIdentity(ctx, nil))(t); *me.Arn != userARN("u") {
		t.Errorf("a session token is %s's", *me.Arn)
	}
	wantFailure(t, "IAM with a session token", second(own.iam.GetUser(ctx, &iam.GetUserInput{})), "InvalidClientTokenId: The security token included in the request is invalid.")
	if info := must(u.sts.GetAccessKeyInfo(ctx, &sts.GetAccessKeyInfoInput{AccessKeyId: aws.String(u.id)}))(t); *info.Account != owner {
		t.Errorf("the access key is of account %s", *info.Account)
	}
	if records := l.recorded("AssumeRole"); len(records) == 0 || records[len(records)-1]["eventSource"] != "sts.amazonaws.com" {
		t.Errorf("records %v", records)
	} else if s := fmt.Sprint(records); strings.Contains(s, red.token) || strings.Contains(s, red.secret) || !strings.Contains(s, red.id) {
		t.Error("the records show credentials, or not whose")
	}
}

// TestSimulate: the simulator answers as real requests are, and says why.
func TestSimulate(t *testing.T) {
	l := newGrantLab(t)
	ctx, c, key := t.Context(), l.root(owner).iam, l.key()
	l.newUser(owner, "u", statement("Allow", "kms:Encrypt", "*", `"Condition":{"StringEquals":{"kms:EncryptionContext:a":"b"}}`))
	in := &iam.SimulatePrincipalPolicyInput{PolicySourceArn: aws.String(userARN("u")), ActionNames: []string{"kms:Encrypt", "kms:Decrypt"}, ResourceArns: []string{*key}}
	r := must(c.SimulatePrincipalPolicy(ctx, in))(t).EvaluationResults
	if len(r) != 2 || r[0].EvalDecision != "implicitDeny" || len(r[0].MissingContextValues) != 1 || r[1].EvalDecision != "implicitDeny" {
		t.Errorf("%+v", r)
	}
	in.ContextEntries = []iamtypes.ContextEntry{{ContextKeyName: aws.String("kms:EncryptionContext:a"), ContextKeyValues: []string{"b"}, ContextKeyType: "string"}}
	if r := must(c.SimulatePrincipalPolicy(ctx, in))(t).EvaluationResults; r[0].EvalDecision != "allowed" || *r[0].MatchedStatements[0].SourcePolicyId != "user/u/p" {
		t.Errorf("%+v", r)
	}
	l.putUserPolicy(owner, "u", statement("Allow", "kms:Encrypt", "*", `"Condition":{"ForAnyValue:StringEquals":{"kms:EncryptionContextKeys":"a"}}`))
	if r := must(c.SimulatePrincipalPolicy(ctx, in))(t).EvaluationResults; r[0].EvalDecision != "allowed" {
		t.Errorf("by the key of the pair: %+v", r[0])
	}
	// What the state knows of the key counts: its grants, properties, tags and aliases.
	grant := l.grant(key, func(in *kms.CreateGrantInput) {
		in.GranteePrincipal = aws.String(userARN("u"))
		in.Constraints = &kmstypes.GrantConstraints{EncryptionContextEquals: map[string]string{"a": "b"}}
	}, kmstypes.GrantOperationDecrypt)
	r = must(c.SimulatePrincipalPolicy(ctx, in))(t).EvaluationResults
	if last := r[1].MatchedStatements; r[1].EvalDecision != "allowed" || *last[len(last)-1].SourcePolicyId != "grant "+*grant.GrantId {
		t.Errorf("by a grant: %+v", r[1])
	}
	in.ContextEntries = nil
	if r := must(c.SimulatePrincipalPolicy(ctx, in))(t).EvaluationResults; r[1].EvalDecision != "implicitDeny" {
		t.Errorf("by a grant for another context: %+v", r[1])
	}
	must(l.as(owner).CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/app"), TargetKeyId: key}))(t)
	must(l.as(owner).TagResource(ctx, &kms.TagResourceInput{KeyId: key, Tags: []kmstypes.Tag{{TagKey: aws.String("team"), TagValue: aws.String("red")}}}))(t)
	for condition, want := range map[string]string{
		`{"StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT","aws:ResourceTag/team":"red"},"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/app"}}`: "allowed",
		`{"StringEquals":{"kms:KeySpec":"RSA_2048"}}`: "implicitDeny", `{"StringEquals":{"aws:ResourceTag/team":"blue"}}`: "implicitDeny",
		`{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/other"}}`: "implicitDeny",
	} {
		l.putUserPolicy(owner, "u", statement("Allow", "kms:Decrypt", "*", `"Condition":`+condition))
		if r := must(c.SimulatePrincipalPolicy(ctx, in))(t).EvaluationResults; string(r[1].EvalDecision) != want {
			t.Errorf("%s: %s", condition, r[1].EvalDecision)
		}
	}
	custom := must(c.SimulateCustomPolicy(ctx, &iam.SimulateCustomPolicyInput{PolicyInputList: []string{allKMS}, ActionNames: []string{"kms:CreateKey"}}))(t).EvaluationResults
	if custom[0].EvalDecision != "allowed" {
		t.Errorf("%+v", custom)
	}
}

// TestSimulateAsReal: what every direct call has is known to the simulator too, so that it decides as the real call is decided.
func TestSimulateAsReal(t *testing.T) {
	l := newGrantLab(t)
	key, u := l.key(), l.newUser(owner, "u", "")
	in := &iam.SimulatePrincipalPolicyInput{PolicySourceArn: aws.String(userARN("u")), ActionNames: []string{"kms:DescribeKey"}, ResourceArns: []string{*key}}
	for condition, want := range map[string]bool{
		`{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}`: true, `{"StringNotEquals":{"aws:RequestedRegion":"us-east-1"}}`: false,
		`{"StringEquals":{"aws:PrincipalType":"User"}}`: true, `{"Bool":{"aws:ViaAWSService":"false"}}`: true, `{"Bool":{"aws:ViaAWSService":"true"}}`: false,
		`{"Bool":{"aws:PrincipalIsAWSService":"false"}}`: true, `{"NumericGreaterThan":{"aws:EpochTime":"1"}}`: true,
		`{"Null":{"kms:ViaService":"true"}}`: true, `{"Null":{"kms:MultiRegionKeyType":"true"}}`: true,
		`{"StringEquals":{"aws:ResourceAccount":"` + owner + `"}}`: true, `{"StringNotEquals":{"aws:ResourceAccount":"` + owner + `"}}`: false,
	} {
		l.putUserPolicy(owner, "u", statement("Allow", "kms:DescribeKey", "*", `"Condition":`+condition))
		_, err := u.kms.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key})
		r := must(l.root(owner).iam.SimulatePrincipalPolicy(t.Context(), in))(t).EvaluationResults[0]
		if (err == nil) != want || (r.EvalDecision == "allowed") != want {
			t.Errorf("%s: real %v, simulated %s, missing %v, want %t", condition, err, r.EvalDecision, r.MissingContextValues, want)
		}
	}
	in.ActionNames = []string{"kms:DisableKey"}
	l.putUserPolicy(owner, "u", statement("Allow", "kms:DisableKey", "*", `"Condition":{"NumericLessThan":{"kms:TrailingDaysWithoutKeyUsage":"1"}}`))
	if r := must(l.root(owner).iam.SimulatePrincipalPolicy(t.Context(), in))(t).EvaluationResults[0]; r.EvalDecision != "allowed" {
		t.Errorf("the days since the last use: %s", r.EvalDecision)
	}
}

// TestIdentityRecords: changes are recorded with who did what, and without the secret.
func TestIdentityRecords(t *testing.T) {
	l := newGrantLab(t)
	u := l.newUser(owner, "u", allKMS)
	r := l.recorded("CreateAccessKey")
	if len(r) != 1 || r[0]["eventSource"] != "iam.amazonaws.com" || r[0]["readOnly"] != false || fmt.Sprint(r[0]["requestParameters"]) != "map[userName:u]" {
		t.Fatalf("records %v", r)
	}
	if s := fmt.Sprint(r[0]["responseElements"]); !strings.Contains(s, u.id) || strings.Contains(s, u.secret) {
		t.Errorf("responseElements %s", s)
	}
	must(u.kms.ListKeys(context.Background(), nil))(t)
	identity := fmt.Sprint(l.recorded("ListKeys")[0]["userIdentity"])
	for _, part := range []string{"type:IAMUser", "userName:u", "arn:" + userARN("u"), "accessKeyId:" + u.id} {
		if !strings.Contains(identity, part) {
			t.Errorf("userIdentity %s lacks %s", identity, part)
		}
	}
}

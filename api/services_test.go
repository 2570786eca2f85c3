package api_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/trentkms/trent/region"
)

// service registers a service and returns its login.
func (l *grantLab) newService(name string) *login {
	l.t.Helper()
	s := must(l.service.RegisterService(l.t.Context(), name))(l.t)
	k := s.AccessKeys[0]
	return l.login(k.AccessKeyID, k.SecretAccessKey, "")
}

// saying is a client that sends headers, as name and value in turn.
func (w *login) saying(headers ...string) *kms.Client {
	return kms.New(w.kms.Options(), func(o *kms.Options) {
		for i := 0; i < len(headers); i += 2 {
			o.APIOptions = append(o.APIOptions, smithyhttp.SetHeaderValue(headers[i], headers[i+1]))
		}
	})
}

// forWhom are the headers of a call on behalf of a login.
func forWhom(w *login) []string {
	h := []string{"X-Trent-On-Behalf-Of", w.id}
	if w.token != "" {
		h = append(h, "X-Trent-On-Behalf-Of-Token", w.token)
	}
	return h
}

func conditioned(principal, action, condition string) string {
	return `{"Effect":"Allow","Principal":` + principal + `,"Action":"` + action + `","Resource":"*","Condition":` + condition + `}`
}

// TestServiceConditions: each condition key about services holds in calls of a registered service, on behalf of somebody or for itself,
// and in nobody else's, whatever headers they send.
func TestServiceConditions(t *testing.T) {
	l := newGrantLab(t)
	ssm := l.newService("ssm")
	user := l.newUser(owner, "u", "")
	key := l.key()
	const source, account = "arn:aws:ssm:us-east-1:111122223333:parameter/p", "111122223333"
	claims := []string{"X-Trent-On-Behalf-Of", user.id, "X-Trent-Source-Arn", source, "X-Trent-Source-Account", account}
	const everybody = `"*"`
	for _, c := range []struct {
		name, principal, condition string
		behalf, itself, claimed    bool
	}{
		{"via the service", everybody, `{"StringEquals":{"kms:ViaService":"ssm.us-east-1.amazonaws.com","kms:CallerAccount":"` + owner + `"}}`, true, false, false},
		{"via another service", everybody, `{"StringEquals":{"kms:ViaService":"s3.us-east-1.amazonaws.com"}}`, false, false, false},
		{"via any service", everybody, `{"Bool":{"aws:ViaAWSService":"true"}}`, true, false, false},
		{"called via", everybody, `{"ForAnyValue:StringEquals":{"aws:CalledVia":"ssm.amazonaws.com"}}`, true, false, false},
		{"directly", everybody, `{"Null":{"kms:ViaService":"true"}}`, false, true, true},
		{"the user", everybody, `{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::` + owner + `:user/u"}}`, true, false, true},
		{"the service's principal", `{"Service":"ssm.amazonaws.com"}`, `{"Bool":{"aws:PrincipalIsAWSService":"true"}}`, false, true, false},
		{"the service's principal in the region", `{"Service":"ssm.us-east-1.amazonaws.com"}`, `{"Null":{"aws:CurrentTime":"false"}}`, false, true, false},
		{"the resource's account", `{"Service":"ssm.amazonaws.com"}`, `{"StringEquals":{"aws:SourceAccount":"` + account + `"}}`, false, true, false},
		{"the resource", `{"Service":"ssm.amazonaws.com"}`, `{"ArnLike":{"aws:SourceArn":"arn:aws:ssm:*:111122223333:*"}}`, false, true, false},
		{"another resource", `{"Service":"ssm.amazonaws.com"}`, `{"ArnLike":{"aws:SourceArn":"arn:aws:ssm:*:444455556666:*"}}`, false, false, false},
		{"the resource, by anybody", everybody, `{"StringEquals":{"aws:SourceAccount":"` + account + `"}}`, false, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l.putPolicy(key, keyPolicy(rootStatement, conditioned(c.principal, "kms:DescribeKey", c.condition)))
			for _, call := range []struct {
				who    string
				client *kms.Client
				want   bool
			}{
				{"the service on behalf of the user", ssm.saying(forWhom(user)...), c.behalf},
				{"the service for itself", ssm.saying(claims[2:]...), c.itself},
				{"the user, with the service's headers", user.saying(claims...), c.claimed},
			} {
				_, err := call.client.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: key})
				if (err == nil) != call.want {
					t.Errorf("%s: %v, allowed should be %t", call.who, err, call.want)
				}
			}
		})
	}
}

// TestGrantsForServices: a statement on kms:GrantIsForAWSResource lets services make grants, and nobody directly.
func TestGrantsForServices(t *testing.T) {
	l := newGrantLab(t)
	ec2, user := l.newService("ec2"), l.newUser(owner, "u", "")
	key := l.keyWith(keyPolicy(rootStatement, conditioned(`"*"`, "kms:CreateGrant", `{"Bool":{"kms:GrantIsForAWSResource":"true"}}`)))
	in := &kms.CreateGrantInput{KeyId: key, GranteePrincipal: aws.String(rootOf(partner)), Operations: []types.GrantOperation{types.GrantOperationDecrypt}}
	if _, err := user.kms.CreateGrant(t.Context(), in); err == nil {
		t.Error("the user makes a grant directly")
	}
	must(ec2.saying(forWhom(user)...).CreateGrant(t.Context(), in))(t)
	records := l.recorded("CreateGrant")
	r := records[len(records)-1]
	who := r["userIdentity"].(map[string]any)
	const name = "ec2.us-east-1.amazonaws.com"
	if who["userName"] != "u" || who["invokedBy"] != name || r["sourceIPAddress"] != name || r["userAgent"] != name {
		t.Errorf("the record of a service's call: %v", r)
	}
}

// TestServiceLimits: a service acts only for credentials that are good, never as another service, never towards IAM and STS, and not once
// it is deleted.
func TestServiceLimits(t *testing.T) {
	l := newGrantLab(t)
	ssm, s3, user := l.newService("ssm"), l.newService("s3"), l.newUser(owner, "u", statement("Allow", "kms:ListKeys", "*"))
	role := l.newRole(owner, "r", rootOf(owner), statement("Allow", "kms:*", "*"))
	admin := l.newUser(owner, "admin", statement("Allow", "sts:AssumeRole", "*"))
	session := l.newSession(admin, &sts.AssumeRoleInput{RoleArn: &role, Policy: aws.String(statement("Allow", "kms:ListAliases", "*"))})
	for _, name := range []string{"ssm.us-east-1", "SSM", "-ssm", "ssm.", ""} {
		if _, err := l.service.RegisterService(t.Context(), name); !errors.Is(err, region.ErrServiceName) {
			t.Errorf("a service named %q: %v", name, err)
		}
	}
	list := func(c *kms.Client) error {
		_, err := c.ListKeys(t.Context(), &kms.ListKeysInput{})
		return err
	}
	if err := list(ssm.saying(forWhom(user)...)); err != nil {
		t.Errorf("on behalf of the user: %v", err)
	}
	if err := list(ssm.saying(forWhom(session)...)); err == nil || !strings.Contains(err.Error(), "session policy") {
		t.Errorf("the session policy does not bind the service: %v", err)
	}
	must(ssm.saying(forWhom(session)...).ListAliases(t.Context(), &kms.ListAliasesInput{}))(t)
	for name, c := range map[string]*kms.Client{
		"itself":            ssm.kms,
		"a service":         ssm.saying("X-Trent-On-Behalf-Of", s3.id),
		"nobody":            ssm.saying("X-Trent-On-Behalf-Of", "AKIANOBODY0123456789"),
		"a foreign token":   ssm.saying("X-Trent-On-Behalf-Of", user.id, "X-Trent-On-Behalf-Of-Token", session.token),
		"a token alone":     ssm.saying("X-Trent-On-Behalf-Of-Token", session.token),
		"the wrong secret":  l.login(ssm.id, user.secret, "").saying(forWhom(user)...),
		"a malformed arn":   ssm.saying("X-Trent-Source-Arn", "parameter"),
		"an unsigned claim": kms.New(ssm.kms.Options(), func(o *kms.Options) { o.HTTPClient = addHeader{"X-Trent-On-Behalf-Of", user.id} }),
	} {
		if err := list(c); err == nil {
			t.Errorf("%s: ListKeys is allowed", name)
		}
	}
	if _, err := ssm.iam.ListUsers(t.Context(), &iam.ListUsersInput{}); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("IAM for a service: %v", err)
	}
	if _, err := ssm.sts.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{}); err == nil {
		t.Error("STS gives a service a session")
	}
	must(l.root(owner).iam.UpdateAccessKey(t.Context(), &iam.UpdateAccessKeyInput{UserName: aws.String("u"), AccessKeyId: &user.id, Status: "Inactive"}))(t)
	if err := list(ssm.saying(forWhom(user)...)); err == nil {
		t.Error("a service acts for an inactive access key")
	}
	if err := l.service.DeleteService(t.Context(), "ssm", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := ssm.saying(forWhom(session)...).ListAliases(t.Context(), &kms.ListAliasesInput{}); err == nil || !strings.Contains(err.Error(), "UnrecognizedClient") {
		t.Errorf("a deleted service: %v", err)
	}
}

// TestManagedKeys: an AWS managed key is made when its service first asks for it, once, and nobody can use or change it but through the
// service (spec 09 SVC-11 to SVC-14).
func TestManagedKeys(t *testing.T) {
	l := newGrantLab(t)
	ssm, s3, ec2 := l.newService("ssm"), l.newService("s3"), l.newService("ec2")
	user, root := l.newUser(owner, "u", statement("Allow", "kms:*", "*")), l.root(owner)
	alias := aws.String("alias/aws/ssm")
	encrypt := func(c *kms.Client, alias *string) error {
		_, err := c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: alias, Plaintext: []byte("x")})
		return err
	}
	for name, c := range map[string]*kms.Client{"the user": user.kms, "another service": s3.saying(forWhom(user)...), "the service for itself": ssm.kms} {
		if err := encrypt(c, alias); err == nil || !strings.Contains(err.Error(), "NotFoundException") {
			t.Errorf("%s, before there is a key: %v", name, err)
		}
	}
	if err := encrypt(ssm.saying(forWhom(user)...), alias); err != nil {
		t.Fatal(err)
	}
	key := must(root.kms.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: alias}))(t).KeyMetadata
	if key.KeyManager != types.KeyManagerTypeAws || *key.AWSAccountId != owner {
		t.Errorf("the key: %+v", key)
	}
	if r := l.recorded("CreateKey"); len(r) != 1 || r[0]["userIdentity"].(map[string]any)["invokedBy"] != "AWS Internal" {
		t.Errorf("the records of the key's making: %v", r)
	}
	if err := encrypt(ssm.saying(forWhom(root)...), alias); err != nil {
		t.Error(err)
	}
	if again := must(root.kms.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: alias}))(t).KeyMetadata; *again.Arn != *key.Arn {
		t.Error("the second use has made another key")
	}
	// The same alias in another account is another key.
	if err := encrypt(ssm.saying(forWhom(l.root(partner))...), alias); err != nil {
		t.Error(err)
	}
	if err := encrypt(ec2.saying(forWhom(user)...), aws.String("alias/aws/ebs")); err != nil {
		t.Errorf("the alias of a service with another name: %v", err)
	}
	for name, c := range map[string]*kms.Client{"directly": user.kms, "as root": root.kms, "via another service": s3.saying(forWhom(user)...),
		"by the service for itself": ssm.kms, "from another account": ssm.saying(forWhom(l.root(partner))...)} {
		if err := encrypt(c, key.Arn); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
			t.Errorf("Encrypt %s: %v", name, err)
		}
	}
	_, err := root.kms.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: key.Arn})
	if err == nil {
		t.Error("the key can be deleted")
	}
	_, err = root.kms.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: key.Arn, Policy: aws.String(keyPolicy(rootStatement)), BypassPolicyLockoutSafetyCheck: true})
	if err == nil {
		t.Error("the key's policy can be changed")
	}
	p := *must(root.kms.GetKeyPolicy(t.Context(), &kms.GetKeyPolicyInput{KeyId: key.Arn}))(t).Policy
	if !strings.Contains(p, `"auto-ssm-1"`) {
		t.Errorf("the key policy: %s", p)
	}
	if !must(root.kms.GetKeyRotationStatus(t.Context(), &kms.GetKeyRotationStatusInput{KeyId: key.Arn}))(t).KeyRotationEnabled {
		t.Error("the key does not rotate")
	}
}

// addHeader adds a header after the request was signed.
type addHeader struct{ name, value string }

// Do sends a request.
func (a addHeader) Do(r *http.Request) (*http.Response, error) {
	r.Header.Set(a.name, a.value)
	return http.DefaultClient.Do(r)
}

package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/trentkms/trent/api"
	"github.com/trentkms/trent/api/sigv4"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm/soft"
	"github.com/trentkms/trent/region"
)

// BenchmarkCallByIdentity: the same call, signing included, by the root user, by a user with an inline policy and a group's managed
// one, and by a session of a role.
func BenchmarkCallByIdentity(b *testing.B) {
	module, err := soft.Open(soft.Options{InMemory: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = module.Close() })
	machine, err := fsm.New(fsm.Options{Fatal: func(err error) { b.Error(err) }})
	if err != nil {
		b.Fatal(err)
	}
	c := &machineCluster{FSM: machine}
	service := region.New(region.Config{Partition: "aws", Region: "us-east-1", Cluster: c, HSM: module, BuiltIn: api.BuiltInPolicies("aws")})
	if err := service.Initialize(context.Background(), region.InitConfig{
		ClusterID: "0123456789abcdef0123456789abcdef", Account: owner, AccessKeyID: "AKIA" + owner, Secret: secretOf(owner),
	}); err != nil {
		b.Fatal(err)
	}
	handler := api.NewServer(api.Config{Service: service, Audit: discard{}}).Handler()
	send := func(b *testing.B, who sigv4.Credentials, service, target, body string) string {
		r := httptest.NewRequest(http.MethodPost, "http://localhost/", bytes.NewReader([]byte(body)))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if target != "" {
			r.Header.Set("Content-Type", "application/x-amz-json-1.1")
			r.Header.Set("X-Amz-Target", "TrentService."+target)
		}
		signer, err := sigv4.NewSigner(who, "us-east-1", service)
		if err == nil {
			err = signer.Sign(r, sha256.Sum256([]byte(body)), time.Now())
		}
		if err != nil {
			b.Fatal(err)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatalf("%s %s: %s", target, body, w.Body)
		}
		return w.Body.String()
	}
	root := sigv4.Credentials{AccessKeyID: "AKIA" + owner, SecretAccessKey: secretOf(owner).Bytes()}
	key := regexp.MustCompile(`arn:aws:kms[^"]*`).FindString(send(b, root, "kms", "CreateKey", "{}"))
	iam := func(values ...string) string {
		form := url.Values{"Version": {"2010-05-08"}, "Action": {values[0]}}
		for i := 1; i < len(values); i += 2 {
			form.Set(values[i], values[i+1])
		}
		return send(b, root, "iam", "", form.Encode())
	}
	iam("CreateUser", "UserName", "u")
	iam("CreateGroup", "GroupName", "g")
	iam("AddUserToGroup", "UserName", "u", "GroupName", "g")
	iam("PutUserPolicy", "UserName", "u", "PolicyName", "p", "PolicyDocument", statement("Allow", "sts:*", "*"))
	managed := regexp.MustCompile(`arn:aws:iam::[^<]*`).FindString(iam("CreatePolicy", "PolicyName", "m", "PolicyDocument", allKMS))
	iam("AttachGroupPolicy", "GroupName", "g", "PolicyArn", managed)
	iam("CreateRole", "RoleName", "r", "AssumeRolePolicyDocument", statement("Allow", "sts:AssumeRole", "", `"Principal":{"AWS":"`+userARN("u")+`"}`))
	iam("AttachRolePolicy", "RoleName", "r", "PolicyArn", managed)
	user := credentialsOf(iam("CreateAccessKey", "UserName", "u"))
	session := credentialsOf(send(b, user, "sts", "", url.Values{
		"Version": {"2011-06-15"}, "Action": {"AssumeRole"}, "RoleArn": {"arn:aws:iam::" + owner + ":role/r"}, "RoleSessionName": {"s1"},
	}.Encode()))
	for _, who := range []struct {
		name string
		cred sigv4.Credentials
	}{{"root", root}, {"user", user}, {"session", session}} {
		b.Run(who.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				send(b, who.cred, "kms", "DescribeKey", `{"KeyId":"`+key+`"}`)
			}
		})
	}
}

// credentialsOf reads the credentials in an answer.
func credentialsOf(answer string) sigv4.Credentials {
	get := func(name string) string {
		if m := regexp.MustCompile("<" + name + ">([^<]*)").FindStringSubmatch(answer); m != nil {
			return m[1]
		}
		return ""
	}
	return sigv4.Credentials{AccessKeyID: get("AccessKeyId"), SecretAccessKey: []byte(get("SecretAccessKey")), SessionToken: get("SessionToken")}
}

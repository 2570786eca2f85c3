package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/trentkms/trent/integration/trenttest"
)

// someone are credentials in one region.
type someone struct {
	kms *kms.Client
	iam *iam.Client
	sts *sts.Client
}

// regionURLs are where the regions of a process are now.
func regionURLs(t *testing.T, s *trenttest.Server) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.Dir, "endpoints.json"))
	if err != nil {
		t.Fatal(err)
	}
	var endpoints []struct{ Region, URL string }
	if err := json.Unmarshal(b, &endpoints); err != nil {
		t.Fatal(err)
	}
	urls := map[string]string{}
	for _, e := range endpoints {
		urls[e.Region] = e.URL
	}
	return urls
}

func as(id, secret, region, url string) someone {
	provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, nil
	})
	at, c, once := aws.String(url), &http.Client{}, aws.NopRetryer{}
	return someone{
		kms.New(kms.Options{Region: region, BaseEndpoint: at, HTTPClient: c, Retryer: once, Credentials: provider}),
		iam.New(iam.Options{Region: region, BaseEndpoint: at, HTTPClient: c, Retryer: once, Credentials: provider}),
		sts.New(sts.Options{Region: region, BaseEndpoint: at, HTTPClient: c, Retryer: once, Credentials: provider}),
	}
}

// identitiesOfRegions: users that are made in any region work in all of them, and end in all of them. What loses the home comes last.
func identitiesOfRegions(t *testing.T, s *trenttest.Server) {
	ctx, urls := t.Context(), regionURLs(t, s)
	const home, other, third = "us-east-1", "eu-west-1", "ap-southeast-2"
	root := as(s.AccessKeyID, s.Secret, other, urls[other])
	user := aws.String("anywhere")
	do(root.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: user})).ok(t)
	do(root.iam.AttachUserPolicy(ctx, &iam.AttachUserPolicyInput{
		UserName: user, PolicyArn: aws.String("arn:aws:iam::aws:policy/AWSKeyManagementServicePowerUser"),
	})).ok(t)
	k := do(root.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: user})).ok(t).AccessKey
	s.Plant("access key of a user of several regions", []byte(*k.SecretAccessKey))

	// Where it was made and at home the key works at once, elsewhere as soon as the news is there.
	for _, name := range []string{other, home} {
		do(as(*k.AccessKeyId, *k.SecretAccessKey, name, urls[name]).kms.CreateKey(ctx, &kms.CreateKeyInput{})).ok(t)
	}
	within(t, "the user works in the third region", func(ctx context.Context) (*kms.CreateKeyOutput, error) {
		return as(*k.AccessKeyId, *k.SecretAccessKey, third, urls[third]).kms.CreateKey(ctx, &kms.CreateKeyInput{})
	})
	for _, name := range []string{home, other, third} {
		users := do(as(s.AccessKeyID, s.Secret, name, urls[name]).iam.ListUsers(ctx, &iam.ListUsersInput{})).ok(t).Users
		if len(users) != 1 || *users[0].UserName != *user {
			t.Errorf("users in %s: %+v", name, users)
		}
	}
	operate(t, s, other, urls[other], "account", "create", "444455556666")
	recordedAtHome(t, s)

	do(as(s.AccessKeyID, s.Secret, home, urls[home]).iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: user, AccessKeyId: k.AccessKeyId})).ok(t)
	for _, name := range []string{other, third} {
		within(t, "the access key ends in "+name, func(ctx context.Context) (struct{}, error) {
			_, err := as(*k.AccessKeyId, *k.SecretAccessKey, name, urls[name]).kms.ListKeys(ctx, &kms.ListKeysInput{})
			var e smithy.APIError
			if errors.As(err, &e) && e.ErrorCode() == "UnrecognizedClientException" {
				return struct{}{}, nil
			}
			return struct{}{}, fmt.Errorf("answered %w", err)
		})
	}
	homeIsLost(t, s, urls, home, other)
}

// recordedAtHome: the home's audit log has the change once, with the caller's own identity, or, of what operators do, with who has asked for it
// as the other region says.
func recordedAtHome(t *testing.T, s *trenttest.Server) {
	t.Helper()
	records, err := s.Records()
	if err != nil {
		t.Fatal(err)
	}
	made := slices.DeleteFunc(records, func(r trenttest.Record) bool { return r.EventName != "CreateUser" })
	if len(made) != 1 || made[0].AWSRegion != "us-east-1" || made[0].RequestID == "" {
		t.Errorf("records of CreateUser at home: %+v", made)
	}
	if records, err = s.Records(); err != nil {
		t.Fatal(err)
	}
	made = slices.DeleteFunc(records, func(r trenttest.Record) bool { return r.EventName != "CreateAccount" })
	if len(made) != 1 {
		t.Fatalf("records of CreateAccount at home: %+v", made)
	}
	said := made[0].ServiceEventDetails
	if said["receivedInRegion"] != "eu-west-1" || said["requestedBy"] != "arn:aws:iam::111122223333:root" || said["requestedByAccessKeyId"] != s.AccessKeyID ||
		said["receivedRequestId"] == nil || made[0].UserIdentity["type"] != "AWSService" && made[0].UserIdentity["invokedBy"] == nil {
		t.Errorf("CreateAccount at home: %v by %v", said, made[0].UserIdentity)
	}
}

// operate runs an operator command at a region's endpoint, as the root user, and returns what it prints.
func operate(t *testing.T, s *trenttest.Server, region, url string, args ...string) []byte {
	t.Helper()
	binary, err := trenttest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, append(append([]string{"operator"}, args...), "--endpoint", url)...)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+s.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+s.Secret, "AWS_REGION="+region)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("operator %v: %v\n%s", args, err, out)
	}
	return out
}

// homeIsLost: without its home a region goes on with the identities that it has and changes none; once it has forgotten the home it decides
// itself.
func homeIsLost(t *testing.T, s *trenttest.Server, urls map[string]string, home, other string) {
	ctx := t.Context()
	operate(t, s, home, urls[home], "region", "forget", other, "--force") // it answers the other one nothing any more
	root := as(s.AccessKeyID, s.Secret, other, urls[other])
	_, err := root.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("later")})
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != "ServiceUnavailable" || !strings.Contains(e.ErrorMessage(), home) {
		t.Errorf("a user is made without the home: %v", err)
	}
	do(root.iam.ListUsers(ctx, &iam.ListUsersInput{})).ok(t)
	do(root.kms.CreateKey(ctx, &kms.CreateKeyInput{})).ok(t)
	operate(t, s, other, urls[other], "region", "forget", home, "--force")
	do(root.iam.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("later")})).ok(t)
}

package main

import (
	"context"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// TestQuotasCommand: an operator sees the quotas and sets those that can be set, which then hold.
func TestQuotasCommand(t *testing.T) {
	s := newServed(t)
	out, err := s.trent(s.id, s.secret, "operator", "quotas")
	if err != nil || !strings.Contains(out, "KMS keys                         100000") || !strings.Contains(out, "On-demand rotations per KMS key") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, args := range [][]string{{"Key policy document size", "1"}, {"KMS keys", "0"}, {"KMS locks", "5"}, {"KMS keys", "many"}} {
		if out, err := s.trent(s.id, s.secret, append([]string{"operator", "quotas", "set"}, args...)...); err == nil {
			t.Errorf("%v is accepted: %s", args, out)
		}
	}
	if out, err := s.trent(s.id, s.secret, "operator", "quotas", "set", "KMS keys", "1"); err != nil {
		t.Fatal(err, out)
	}
	client := kms.New(kms.Options{Region: s.file.Region, BaseEndpoint: &s.url, Retryer: aws.NopRetryer{}, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: s.id, SecretAccessKey: s.secret}, nil
	})})
	for i := range 2 {
		_, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
		if i == 0 && err != nil || i == 1 && (err == nil || !strings.Contains(err.Error(), "LimitExceededException")) {
			t.Errorf("key %d: %v", i+1, err)
		}
	}
}

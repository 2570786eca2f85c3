package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/trentkms/trent/integration/trenttest"
)

// regions starts a process of three federated regions. The server is the first one's; the clients are those of all, by region.
func regions(t *testing.T) (*trenttest.Server, map[string]*kms.Client) {
	t.Helper()
	s := trenttest.Start(t, trenttest.Options{Args: []string{"--regions", "us-east-1,eu-west-1,ap-southeast-2"}, Faults: true})
	b, err := os.ReadFile(filepath.Join(s.Dir, "endpoints.json"))
	if err != nil {
		t.Fatal(err)
	}
	var endpoints []struct{ Region, Node, URL string }
	if err := json.Unmarshal(b, &endpoints); err != nil {
		t.Fatal(err)
	}
	clients := map[string]*kms.Client{}
	for _, e := range endpoints {
		if e.Node == "" || e.URL == "" {
			t.Errorf("endpoint %+v", e)
		}
		clients[e.Region] = s.Client(func(o *kms.Options) {
			o.Region, o.BaseEndpoint = e.Region, aws.String(e.URL)
			if e.Region != s.Region {
				o.HTTPClient = &http.Client{} // what other regions answer is not in the first one's audit log
			}
		})
	}
	if len(clients) != 3 || s.Region != "us-east-1" {
		t.Fatalf("endpoints %s, first region %s", b, s.Region)
	}
	return s, clients
}

// within retries until a call succeeds or a time is over that is far above what it takes.
func within[T any](t *testing.T, what string, call func(context.Context) (T, error)) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for {
		out, err := call(ctx)
		if err == nil {
			return out
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// TestRegions runs three federated regions in one process.
func TestRegions(t *testing.T) {
	t.Parallel()
	s, in := regions(t)
	t.Run("life of a key", func(t *testing.T) { multiRegionKey(t, in) })
	t.Run("sessions", func(t *testing.T) { sessionsEverywhere(t, s, in) })
	t.Run("errors", func(t *testing.T) { multiRegionErrors(t, in[s.Region]) })
	t.Run("restart", func(t *testing.T) { regionsComeBack(t, s, in) })
	t.Run("identities", func(t *testing.T) { identitiesOfRegions(t, s) })
}

// multiRegionKey takes a multi-Region key through its life: replicated, used in every region, its primary moved, rotated.
func multiRegionKey(t *testing.T, in map[string]*kms.Client) {
	ctx := t.Context()
	here, there := in["us-east-1"], in["eu-west-1"]
	key := do(here.CreateKey(ctx, &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})).ok(t).KeyMetadata
	made := do(here.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: key.KeyId, ReplicaRegion: aws.String("eu-west-1"), Description: aws.String("a replica")})).ok(t)
	if made.ReplicaKeyMetadata.KeyState != types.KeyStateCreating || !strings.Contains(*made.ReplicaKeyMetadata.Arn, ":eu-west-1:") {
		t.Errorf("replica: %+v", made.ReplicaKeyMetadata)
	}
	sealed := do(here.Encrypt(ctx, &kms.EncryptInput{KeyId: key.KeyId, Plaintext: []byte("hello")})).ok(t).CiphertextBlob
	opened := within(t, "decrypt in the other region", func(ctx context.Context) (*kms.DecryptOutput, error) {
		return there.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed})
	})
	if !bytes.Equal(opened.Plaintext, []byte("hello")) || *opened.KeyId != *made.ReplicaKeyMetadata.Arn {
		t.Errorf("decrypted %q under %s", opened.Plaintext, *opened.KeyId)
	}
	back := do(there.Encrypt(ctx, &kms.EncryptInput{KeyId: key.KeyId, Plaintext: []byte("and back")})).ok(t).CiphertextBlob
	if out := do(here.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: back})).ok(t); string(out.Plaintext) != "and back" {
		t.Errorf("decrypted %q", out.Plaintext)
	}
	refusedBy(t, "NotFoundException", func() error {
		_, err := in["ap-southeast-2"].Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed})
		return err
	}, "AccessDeniedException", "InvalidCiphertextException")

	within(t, "move the primary", func(ctx context.Context) (*kms.UpdatePrimaryRegionOutput, error) {
		return here.UpdatePrimaryRegion(ctx, &kms.UpdatePrimaryRegionInput{KeyId: key.KeyId, PrimaryRegion: aws.String("eu-west-1")})
	})
	within(t, "the new primary rotates", func(ctx context.Context) (*kms.RotateKeyOnDemandOutput, error) {
		return there.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: key.KeyId})
	})
	within(t, "every region has the new material", func(ctx context.Context) (struct{}, error) {
		for _, region := range []string{"us-east-1", "eu-west-1"} {
			out, err := in[region].ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: key.KeyId})
			if err != nil || len(out.Rotations) != 1 {
				return struct{}{}, errors.Join(errors.New("no rotation in "+region), err)
			}
		}
		return struct{}{}, nil
	})
	meta := do(here.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: key.KeyId})).ok(t).KeyMetadata
	if c := meta.MultiRegionConfiguration; c.MultiRegionKeyType != types.MultiRegionKeyTypeReplica || *c.PrimaryKey.Region != "eu-west-1" || len(c.ReplicaKeys) != 1 {
		t.Errorf("after the change of primary: %+v", c)
	}
	if out := do(here.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed})).ok(t); string(out.Plaintext) != "hello" {
		t.Errorf("after the rotation: %q", out.Plaintext)
	}
}

// sessionsEverywhere: temporary credentials are good in all regions that share identities, wherever they were made, until the home's operator
// lets a region follow it no longer.
func sessionsEverywhere(t *testing.T, s *trenttest.Server, in map[string]*kms.Client) {
	ctx := t.Context()
	root := func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.Secret}, nil
	}
	good := func(ctx context.Context, c *ststypes.Credentials, region string) error {
		_, err := in[region].ListKeys(ctx, &kms.ListKeysInput{}, func(o *kms.Options) {
			o.Retryer = aws.NopRetryer{}
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken}, nil
			})
		})
		if err != nil {
			return fmt.Errorf("%s: %w", region, err)
		}
		return nil
	}
	session := func(of string, goodIn ...string) *ststypes.Credentials {
		issuer := sts.New(sts.Options{Region: of, BaseEndpoint: in[of].Options().BaseEndpoint, Credentials: aws.CredentialsProviderFunc(root)})
		return within(t, "use a session of "+of, func(ctx context.Context) (*ststypes.Credentials, error) {
			// A session that was made before the regions had exchanged their keys stays one of its region.
			got, err := issuer.GetSessionToken(ctx, &sts.GetSessionTokenInput{})
			if err != nil {
				return nil, err
			}
			for _, region := range goodIn {
				if err := good(ctx, got.Credentials, region); err != nil {
					return nil, err
				}
			}
			return got.Credentials, nil
		})
	}
	session("us-east-1", "us-east-1", "eu-west-1", "ap-southeast-2")
	home := *in["us-east-1"].Options().BaseEndpoint
	follower := session("eu-west-1", "eu-west-1", "us-east-1", "ap-southeast-2")
	operate(t, s, "us-east-1", home, "region", "share", "eu-west-1", "--stop")
	refusedBy(t, "UnrecognizedClientException", func() error { return good(ctx, follower, "us-east-1") })
	within(t, "a session of a region that may not follow any more ends in another one", func(ctx context.Context) (struct{}, error) {
		var e smithy.APIError
		if err := good(ctx, follower, "ap-southeast-2"); !errors.As(err, &e) || e.ErrorCode() != "UnrecognizedClientException" {
			return struct{}{}, fmt.Errorf("answered %w", err)
		}
		return struct{}{}, nil
	})
	if err := good(ctx, follower, "eu-west-1"); err != nil {
		t.Errorf("a session of a region ends in itself: %v", err)
	}
	operate(t, s, "us-east-1", home, "region", "share", "eu-west-1")
	session("eu-west-1", "eu-west-1", "us-east-1", "ap-southeast-2")
	refusedBy(t, "UnrecognizedClientException", func() error {
		_, err := in["us-east-1"].ListKeys(ctx, &kms.ListKeysInput{}, func(o *kms.Options) {
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "ASIAIOSFODNN7EXAMPLE", SecretAccessKey: "x", SessionToken: "VFJUAnVz"}, nil
			})
		})
		return err
	})
}

// refusedBy checks the code of an error: the first, or one of the others.
func refusedBy(t *testing.T, code string, call func() error, others ...string) {
	t.Helper()
	err := call()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code && !strings.Contains(strings.Join(others, " "), e.ErrorCode()) {
		t.Errorf("%v, want %s", err, code)
	}
}

// multiRegionErrors: the errors that the operations on sets of keys declare.
func multiRegionErrors(t *testing.T, c *kms.Client) {
	ctx := t.Context()
	primary := do(c.CreateKey(ctx, &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})).ok(t).KeyMetadata.KeyId
	single := do(c.CreateKey(ctx, &kms.CreateKeyInput{})).ok(t).KeyMetadata.KeyId
	other := func(state func(id *string)) *string {
		id := do(c.CreateKey(ctx, &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})).ok(t).KeyMetadata.KeyId
		state(id)
		return id
	}
	disabled := other(func(id *string) { do(c.DisableKey(ctx, &kms.DisableKeyInput{KeyId: id})).ok(t) })
	pending := other(func(id *string) {
		do(c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: id})).ok(t)
	})
	do(c.ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: primary, ReplicaRegion: aws.String("eu-west-1")})).ok(t)
	unknown := aws.String("mrk-0123456789abcdef0123456789abcdef")
	elsewhere := aws.String("ap-southeast-2")
	for _, bad := range []struct {
		code string
		in   kms.ReplicateKeyInput
	}{
		{"AlreadyExistsException", kms.ReplicateKeyInput{KeyId: primary, ReplicaRegion: aws.String("eu-west-1")}},
		{"AlreadyExistsException", kms.ReplicateKeyInput{KeyId: primary, ReplicaRegion: aws.String("us-east-1")}},
		{"UnsupportedOperationException", kms.ReplicateKeyInput{KeyId: single, ReplicaRegion: elsewhere}},
		{"UnsupportedOperationException", kms.ReplicateKeyInput{KeyId: primary, ReplicaRegion: aws.String("sa-east-1")}},
		{"DisabledException", kms.ReplicateKeyInput{KeyId: disabled, ReplicaRegion: elsewhere}},
		{"KMSInvalidStateException", kms.ReplicateKeyInput{KeyId: pending, ReplicaRegion: elsewhere}},
		{"NotFoundException", kms.ReplicateKeyInput{KeyId: unknown, ReplicaRegion: elsewhere}},
		{"InvalidArnException", kms.ReplicateKeyInput{KeyId: aws.String("arn:aws:kms:us-east-1:111122223333:nothing/x"), ReplicaRegion: elsewhere}},
		{"MalformedPolicyDocumentException", kms.ReplicateKeyInput{KeyId: primary, ReplicaRegion: elsewhere, Policy: aws.String("{}")}},
		{"LimitExceededException", kms.ReplicateKeyInput{KeyId: primary, ReplicaRegion: elsewhere, Policy: aws.String(`{"Id":"` + strings.Repeat("x", 40<<10) + `"}`)}},
		{"TagException", kms.ReplicateKeyInput{KeyId: primary, ReplicaRegion: elsewhere, Tags: []types.Tag{{TagKey: aws.String("aws:x"), TagValue: aws.String("y")}}}},
	} {
		refusedBy(t, bad.code, func() error { _, err := c.ReplicateKey(ctx, &bad.in); return err })
	}
	for _, bad := range []struct {
		code   string
		key    *string
		region string
	}{
		{"UnsupportedOperationException", single, "eu-west-1"},
		{"NotFoundException", primary, "ap-southeast-2"},
		{"NotFoundException", unknown, "eu-west-1"},
		{"DisabledException", disabled, "eu-west-1"},
		{"KMSInvalidStateException", pending, "eu-west-1"},
		{"InvalidArnException", aws.String("arn:aws:kms:us-east-1:111122223333:nothing/x"), "eu-west-1"},
	} {
		refusedBy(t, bad.code, func() error {
			_, err := c.UpdatePrimaryRegion(ctx, &kms.UpdatePrimaryRegionInput{KeyId: bad.key, PrimaryRegion: aws.String(bad.region)})
			return err
		})
	}
}

// regionsComeBack kills the process and starts it again on its data, at other addresses: the regions are federated as before, and
// nothing that was acknowledged is lost.
func regionsComeBack(t *testing.T, s *trenttest.Server, in map[string]*kms.Client) {
	ctx := t.Context()
	key := do(in[s.Region].CreateKey(ctx, &kms.CreateKeyInput{MultiRegion: aws.Bool(true)})).ok(t).KeyMetadata.KeyId
	do(in[s.Region].ReplicateKey(ctx, &kms.ReplicateKeyInput{KeyId: key, ReplicaRegion: aws.String("eu-west-1")})).ok(t)
	sealed := do(in[s.Region].Encrypt(ctx, &kms.EncryptInput{KeyId: key, Plaintext: []byte("kept")})).ok(t).CiphertextBlob
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(s.Dir, "endpoints.json"))
	if err != nil {
		t.Fatal(err)
	}
	var endpoints []struct{ Region, URL string }
	if err := json.Unmarshal(b, &endpoints); err != nil {
		t.Fatal(err)
	}
	for _, e := range endpoints {
		if e.Region != "eu-west-1" {
			continue
		}
		c := s.Client(func(o *kms.Options) {
			o.Region, o.BaseEndpoint, o.HTTPClient = e.Region, aws.String(e.URL), &http.Client{}
		})
		out := within(t, "decrypt in the other region", func(ctx context.Context) (*kms.DecryptOutput, error) {
			return c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed})
		})
		if string(out.Plaintext) != "kept" {
			t.Errorf("decrypted %q", out.Plaintext)
		}
	}
}

package api_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// TestQueryErrors: what a client is told before any operation is performed.
func TestQueryErrors(t *testing.T) {
	l := newGrantLab(t)
	root, at := l.root(owner), time.Now()
	wrong := l.login(root.id, "another secret key", "")
	stranger := l.login("AKIANOBODYNOBODY", root.secret, "")
	const list = "Action=ListUsers&Version=2010-05-08"
	for _, c := range []struct {
		what         string
		who          *login
		service      string
		at           time.Time
		body         string
		status, code string
	}{
		{"right", root, "iam", at, list, "200 OK", ""},
		{"wrong secret", wrong, "iam", at, list, "403 Forbidden", "SignatureDoesNotMatch"},
		{"unknown access key", stranger, "iam", at, list, "403 Forbidden", "InvalidClientTokenId"},
		{"too old", root, "iam", at.Add(-time.Hour), list, "403 Forbidden", "SignatureDoesNotMatch"},
		{"signed for another service", root, "kms", at, list, "403 Forbidden", "SignatureDoesNotMatch"},
		{"no action", root, "iam", at, "Version=2010-05-08", "400 Bad Request", "InvalidAction"},
		{"no version", root, "iam", at, "Action=ListUsers", "400 Bad Request", "InvalidAction"},
		{"another API's action", root, "sts", at, "Action=ListUsers&Version=2011-06-15", "400 Bad Request", "InvalidAction"},
		{"parameter twice", root, "iam", at, list + "&MaxItems=1&MaxItems=2", "400 Bad Request", "ValidationError"},
		{"no number", root, "iam", at, list + "&MaxItems=many", "400 Bad Request", "ValidationError"},
		{"refused parameter", root, "sts", at, "Action=GetSessionToken&Version=2011-06-15&SerialNumber=arn", "400 Bad Request", "ValidationError"},
	} {
		got := l.raw(c.who, c.service, c.at, "", c.body)
		if !strings.HasPrefix(got, c.status+"\n") || c.code != "" && !contains(got, "<Code>"+c.code+"</Code>") {
			t.Errorf("%s: %s", c.what, got)
		}
	}
	resp, err := http.Post(l.url+"/", "application/x-www-form-urlencoded", strings.NewReader(list))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("unsigned: %s", resp.Status)
	}
	if n := len(l.recorded("ListUsers")); n != 2 {
		t.Errorf("%d records, want those of the calls whose caller was known and whose operation exists", n)
	}
}

// TestIdentityRetries: a second attempt of one SDK call gets the first answer.
func TestIdentityRetries(t *testing.T) {
	l := newGrantLab(t)
	c := l.root(owner).iam
	same := func(attempt string) func(*iam.Options) {
		return iam.WithAPIOptions(sameInvocation(attempt))
	}
	in := &iam.CreateUserInput{UserName: aws.String("u")}
	first := must(c.CreateUser(t.Context(), in, same("attempt=1; max=3")))(t).User
	again := must(c.CreateUser(t.Context(), in, same("attempt=2; max=3")))(t).User
	if *first.UserId != *again.UserId {
		t.Errorf("a retry made %s, the first attempt %s", *again.UserId, *first.UserId)
	}
	wantFailure(t, "another call", second(c.CreateUser(t.Context(), in)), "EntityAlreadyExists: User with name u already exists.")
}

// TestRevocationUnderLoad: no call that begins after the acknowledgement gets through, however many are under way.
func TestRevocationUnderLoad(t *testing.T) {
	l := newGrantLab(t)
	ctx, admin, key := t.Context(), l.root(owner).iam, l.key()
	policy := aws.String("arn:aws:iam::aws:policy/AdministratorAccess")
	u := l.newUser(owner, "u", "")
	attach := &iam.AttachUserPolicyInput{UserName: aws.String("u"), PolicyArn: policy}
	for round := range 5 {
		must(admin.AttachUserPolicy(ctx, attach))(t)
		var revoked atomic.Bool
		var passed, late atomic.Int64
		var wait sync.WaitGroup
		enough := make(chan struct{})
		for range 4 {
			wait.Go(func() {
				for {
					after := revoked.Load()
					_, err := u.kms.Encrypt(ctx, &kms.EncryptInput{KeyId: key, Plaintext: []byte("x")})
					switch {
					case err == nil && after:
						late.Add(1)
						return
					case err == nil:
						if passed.Add(1) == 20 {
							close(enough)
						}
					case after:
						return
					}
				}
			})
		}
		<-enough
		must(admin.DetachUserPolicy(ctx, &iam.DetachUserPolicyInput{UserName: attach.UserName, PolicyArn: policy}))(t)
		revoked.Store(true)
		wait.Wait()
		if late.Load() > 0 {
			t.Errorf("round %d: %d calls got through after the acknowledgement", round, late.Load())
		}
	}
}

// TestLargeForms: bodies above the limit for forms are refused, and leave no memory reserved.
func TestLargeForms(t *testing.T) {
	l := newGrantLab(t)
	root := l.root(owner)
	const list = "Action=ListUsers&Version=2010-05-08&Padding="
	large := list + strings.Repeat("x", 1_000_000)
	for range 280 { // more than the memory for large bodies at one time
		if got := l.raw(root, "iam", time.Now(), "", large); !contains(got, "RequestEntityTooLarge") {
			t.Fatal(got)
		}
	}
	if got := l.raw(root, "iam", time.Now(), "", list+strings.Repeat("x", 500_000)); !strings.HasPrefix(got, "200 OK") {
		t.Error(got)
	}
}

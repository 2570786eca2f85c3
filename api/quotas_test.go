package api_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/api"
	"github.com/trentkms/trent/api/throttle"
	"github.com/trentkms/trent/region"
)

// ledgerHere is the leader of a region of one node. Its interval lasts as long as a test needs.
type ledgerHere struct {
	ledger *throttle.Ledger
	quotas *api.Quotas
}

func (l ledgerHere) Nodes() int { return 1 }
func (l ledgerHere) Lease(_ context.Context, a throttle.Ask) (throttle.Grant, error) {
	return l.ledger.Take(time.Now(), l.quotas.Limit(a.Key), 1, a), nil
}

// withQuotas serves a lab with limits that fit in an hour.
func (l *grantLab) withQuotas(limits api.QuotaProfile) {
	q := &api.Quotas{Default: limits}
	l.url = serve(l.t.(*testing.T), l, api.Config{Service: l.service, Audit: l, Quotas: q, Lessor: ledgerHere{throttle.NewLedger(), q}})
	l.clients = make(map[string]*kms.Client)
	l.server = api.NewServer(api.Config{Service: l.service, Audit: l, Metrics: api.NewMetrics(), Quotas: q, Lessor: ledgerHere{throttle.NewLedger(), q}}) // for asked
}

func hourly(n int) throttle.Limit { return throttle.Limit{Count: n, Interval: time.Hour} }

const throttled = "ThrottlingException: You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."

// TestQuotaCoverage: every operation of the model counts against some quota, by the documented numbers.
func TestQuotaCoverage(t *testing.T) {
	p := api.AWSQuotas("eu-north-1")
	for name, want := range map[string]float64{
		"Cryptographic operations (symmetric) request rate": 5500, "CreateKey request rate": 5, "DescribeKey request rate": 2000,
		"GetParametersForImport request rate": 0.25, "GenerateDataKeyPair (RSA_4096) request rate": 0.1, "CreateGrant request rate": 50,
		"ReplicateKey request rate": 5, "Cryptographic operations (ML-DSA) request rate": 1000,
	} {
		if got := p[name].Rate(); got != want {
			t.Errorf("%s is %v, documented are %v", name, got, want)
		}
	}
	if got := api.AWSQuotas("us-west-2")["Cryptographic operations (symmetric) request rate"].Count; got != 50_000 {
		t.Errorf("us-west-2 has %d", got)
	}
	unsupported := api.Unsupported()
	for _, op := range api.Operations() {
		unsupported = append(unsupported, op.Name)
	}
	for _, name := range unsupported {
		if !api.Charged(name) {
			t.Errorf("%s counts against no quota", name)
		}
	}
}

// TestQuotaRules are the counting rules of spec 03 B3, each with requests up to the limit and one beyond it.
func TestQuotaRules(t *testing.T) {
	l := newGrantLab(t)
	key := func(spec types.KeySpec, usage types.KeyUsageType) *string {
		return l.key(func(in *kms.CreateKeyInput) { in.KeySpec, in.KeyUsage = spec, usage })
	}
	symmetric, rsa := key("", ""), key(types.KeySpecRsa2048, types.KeyUsageTypeEncryptDecrypt)
	symmetricARN := *must(l.as(owner).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: symmetric}))(t).KeyMetadata.Arn
	shared := keyPolicy(rootStatement, `{"Effect":"Allow","Principal":{"AWS":"`+rootOf(partner)+`"},"Action":"kms:*","Resource":"*"}`)
	l.putPolicy(symmetric, shared)
	encrypt := func(account string, id *string) error {
		in := &kms.EncryptInput{KeyId: id, Plaintext: []byte("x")}
		if id == rsa {
			in.EncryptionAlgorithm = types.EncryptionAlgorithmSpecRsaesOaepSha256
		}
		_, err := l.as(account).Encrypt(t.Context(), in)
		return err
	}
	random := func(account string) error {
		_, err := l.as(account).GenerateRandom(t.Context(), &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(1)})
		return err
	}
	dryRun := func() error {
		_, err := l.as(owner).Encrypt(t.Context(), &kms.EncryptInput{KeyId: symmetric, Plaintext: []byte("x"), DryRun: aws.Bool(true)})
		return err
	}
	describe := func(id string) error {
		_, err := l.as(owner).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &id})
		return err
	}
	foreign := func(operation string) func() error {
		return func() error {
			if v := l.asked(region.Question{
				Operation: operation, RequestID: aRequest, Account: owner, KeyID: replicaID, Spec: "SYMMETRIC_DEFAULT", Usage: "ENCRYPT_DECRYPT", Origin: "AWS_KMS",
				PrimaryRegion: "us-east-1", Caller: region.Claim{Account: owner, Principal: region.RootPrincipal, SourceIP: "192.0.2.1"},
			}); v.Fault != "" {
				return errors.New(v.Fault + ": " + v.Message)
			}
			return nil
		}
	}
	const ok = ""
	const sym, rsaQuota = "Cryptographic operations (symmetric) request rate", "Cryptographic operations (RSA) request rate"
	type step struct {
		call func() error
		want string
	}
	do := func(f func(string, *string) error, account string, id *string, want string) step {
		return step{func() error { return f(account, id) }, want}
	}
	for _, c := range []struct {
		name   string
		limits api.QuotaProfile
		steps  []step
	}{
		{"shared by operations, GenerateRandom among them", api.QuotaProfile{sym: hourly(2)}, []step{
			do(encrypt, owner, symmetric, ok), {func() error { return random(owner) }, ok}, do(encrypt, owner, symmetric, throttled),
			{func() error { return random(owner) }, throttled}, {func() error { return describe(*symmetric) }, ok}}},
		{"key types add up", api.QuotaProfile{sym: hourly(1), rsaQuota: hourly(1)}, []step{
			do(encrypt, owner, symmetric, ok), do(encrypt, owner, symmetric, throttled), do(encrypt, owner, rsa, ok), do(encrypt, owner, rsa, throttled)}},
		{"the caller is charged, not the owner", api.QuotaProfile{sym: hourly(1)}, []step{
			do(encrypt, partner, &symmetricARN, ok), do(encrypt, partner, &symmetricARN, throttled), do(encrypt, owner, symmetric, ok)}},
		{"dry runs count", api.QuotaProfile{sym: hourly(1)}, []step{
			{dryRun, "DryRunOperationException"}, {dryRun, throttled}}},
		{"failures count", api.QuotaProfile{"DescribeKey request rate": hourly(2)}, []step{
			{func() error { return describe("11111111-2222-3333-4444-555555555555") }, "NotFoundException"},
			{func() error { return describe("alias/none") }, "NotFoundException"}, {func() error { return describe(*symmetric) }, throttled}}},
		{"a replica is two CreateKey where it is made", api.QuotaProfile{"CreateKey request rate": hourly(3)}, []step{
			{foreign("CreateKey"), ok}, {foreign("CreateKey"), throttled}}},
		{"a change of the primary counts in both regions", api.QuotaProfile{"UpdatePrimaryRegion request rate": hourly(1)}, []step{
			{foreign("UpdatePrimaryRegion"), "NotFoundException"}, {foreign("UpdatePrimaryRegion"), throttled}}},
		{"who may not use the key does not learn its type", api.QuotaProfile{sym: hourly(1)}, []step{
			do(encrypt, stranger, &symmetricARN, "AccessDeniedException"), do(encrypt, stranger, &symmetricARN, "AccessDeniedException")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l.withQuotas(c.limits)
			for i, s := range c.steps {
				err := s.call()
				if s.want == ok && err != nil || s.want != ok && (err == nil || !strings.Contains(err.Error(), s.want)) {
					t.Errorf("step %d: %v, want %q", i+1, err, s.want)
				}
			}
		})
	}
}

// TestHotKey: changes of one key in turn are throttled below the operations' own quotas, and those of another key are not.
func TestHotKey(t *testing.T) {
	l := newGrantLab(t)
	a, b := l.key(), l.key()
	l.withQuotas(api.QuotaProfile{"State changes of one KMS key request rate": hourly(3)})
	for i := range 4 {
		_, err := l.as(owner).UpdateKeyDescription(t.Context(), &kms.UpdateKeyDescriptionInput{KeyId: a, Description: aws.String("d")})
		if (err != nil) != (i == 3) {
			t.Errorf("change %d: %v", i+1, err)
		}
	}
	must(l.as(owner).UpdateKeyDescription(t.Context(), &kms.UpdateKeyDescriptionInput{KeyId: b, Description: aws.String("d")}))(t)
}

// TestThrottledSDK: the SDK's own retries back off on a throttled call until it gets through, and a flood of refusals leaves one
// record a second.
func TestThrottledSDK(t *testing.T) {
	l := newGrantLab(t)
	l.withQuotas(api.QuotaProfile{"ListKeys request rate": {Count: 2, Interval: 200 * time.Millisecond}})
	var attempts atomic.Int64
	who := l.root(owner)
	client := kms.New(who.kms.Options().Copy(), func(o *kms.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = 20
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) {
				attempts.Add(1)
				return 20 * time.Millisecond, nil
			})
			o.RateLimiter = unlimited{}
		})
	})
	for i := range 6 {
		if _, err := client.ListKeys(t.Context(), &kms.ListKeysInput{}); err != nil {
			t.Errorf("call %d: %v", i+1, err)
		}
	}
	if attempts.Load() == 0 {
		t.Error("no call was throttled")
	}
}

// unlimited lets the SDK retry without its own budget.
type unlimited struct{}

func (unlimited) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (unlimited) AddTokens(uint) error { return nil }

// TestFairShare: a tenant with more requests in flight than the node takes leaves room for another one.
func TestFairShare(t *testing.T) {
	l := newGrantLab(t)
	const places, flood = 10, 40
	gate := &gateAudit{wait: make(chan struct{}), inside: make(chan struct{}, flood)}
	l.url = serve(t, l, api.Config{Service: l.service, Audit: gate, MaxInFlight: places})
	l.clients = make(map[string]*kms.Client)
	hot, quiet := l.as(owner), l.as(partner)
	var wait sync.WaitGroup
	refused := make(chan error, flood)
	for range flood {
		wait.Go(func() {
			if _, err := hot.ListKeys(t.Context(), &kms.ListKeysInput{}); err != nil {
				refused <- err
			}
		})
	}
	const most = places * 4 / 5
	for range flood - most {
		if err := <-refused; !strings.Contains(err.Error(), "ServiceUnavailable") {
			t.Errorf("a call too many: %v", err)
		}
	}
	for range most {
		<-gate.inside
	}
	// The flood has all that one account can have; another account's call goes through to its record.
	wait.Go(func() {
		if _, err := quiet.ListKeys(t.Context(), &kms.ListKeysInput{}); err != nil {
			t.Errorf("the other tenant: %v", err)
		}
	})
	<-gate.inside
	close(gate.wait)
	wait.Wait()
	if len(refused) != 0 {
		t.Errorf("%d more calls failed", len(refused))
	}
}

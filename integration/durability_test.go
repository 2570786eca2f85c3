package integration_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/trenttest"
)

// kill ends the node as a power cut would.
func kill(t *testing.T, s *trenttest.Server) {
	t.Helper()
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
}

// restart starts it again and holds that this is quick.
func restart(t *testing.T, s *trenttest.Server) {
	t.Helper()
	took, err := s.Restart()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("serving again after %v", took.Round(time.Millisecond))
	if took > 20*time.Second {
		t.Errorf("a restart took %v", took)
	}
}

// TestKillLosesNothing: what was acknowledged is there after kill -9, and nothing is there that nobody asked for.
func TestKillLosesNothing(t *testing.T) {
	t.Parallel()
	s := trenttest.Start(t, trenttest.Options{})
	c := s.Client()
	const callers, rounds = 64, 3
	var (
		mu    sync.Mutex
		acked []string
	)
	for round := range rounds {
		var asked, answered atomic.Int64
		enough := make(chan struct{})
		var once sync.Once
		var wait sync.WaitGroup
		for range callers {
			wait.Go(func() {
				for {
					asked.Add(1)
					out, err := c.CreateKey(t.Context(), &kms.CreateKeyInput{})
					if err != nil {
						return
					}
					mu.Lock()
					acked = append(acked, *out.KeyMetadata.KeyId)
					mu.Unlock()
					if answered.Add(1) >= 2*callers {
						once.Do(func() { close(enough) })
					}
				}
			})
		}
		<-enough
		kill(t, s)
		wait.Wait()
		restart(t, s)
		items, _ := walk(t, 1000, listKeys(t, c))
		for _, id := range acked {
			if !slices.Contains(items, id) {
				t.Fatalf("round %d: key %s was acknowledged and is lost", round, id)
			}
		}
		if extra := len(items) - len(acked); extra > (round+1)*callers {
			t.Errorf("round %d: %d keys more than were acknowledged, at most one for each caller is possible", round, extra)
		}
		blob := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &acked[len(acked)-1], Plaintext: []byte("usable")})).ok(t).CiphertextBlob
		do(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob})).ok(t)
	}
}

// TestEverythingSurvives: keys of every kind, what they made, and what hangs on them, after a clean stop and after kill -9.
func TestEverythingSurvives(t *testing.T) {
	t.Parallel()
	s := trenttest.Start(t, trenttest.Options{})
	c := s.Client()
	ctx := t.Context()
	md := newKey(t, c, func(in *kms.CreateKeyInput) {
		in.Tags, in.Description, in.Policy = tags("a", "b"), aws.String("survives"), aws.String(policyOf(delegation))
	})
	createAlias(t, c, "alias/survives", md)
	blob := do(c.Encrypt(ctx, &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("old"), EncryptionContext: map[string]string{"a": "b"}})).ok(t).CiphertextBlob
	do(c.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: md.KeyId, RotationPeriodInDays: aws.Int32(100)})).ok(t)
	do(c.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: md.KeyId})).ok(t)
	status := do(c.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: md.KeyId})).ok(t)
	md = do(c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: md.KeyId})).ok(t).KeyMetadata
	signer := newKey(t, c, withSpec("ECC_NIST_P256", types.KeyUsageTypeSignVerify))
	sig := do(c.Sign(ctx, &kms.SignInput{KeyId: signer.KeyId, Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256"})).ok(t).Signature
	mac := newKey(t, c, withSpec("HMAC_256", types.KeyUsageTypeGenerateVerifyMac))
	tag := do(c.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: mac.KeyId, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256"})).ok(t).Mac
	waiting := newKey(t, c, external)
	in := importInput(t, c, waiting, randomBytes(32)) // wrapping key and token from before
	doomed := newKey(t, c)
	scheduled := do(c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: doomed.KeyId})).ok(t)
	marker := do(c.ListKeys(ctx, &kms.ListKeysInput{Limit: aws.Int32(2)})).ok(t).NextMarker
	for i, end := range []func(){
		func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		},
		func() { kill(t, s) },
	} {
		end()
		restart(t, s)
		got := do(c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String("alias/survives")})).ok(t).KeyMetadata
		same(t, "metadata", *got, *md)
		same(t, "tags", tagsOf(t, c, md), kms.ListResourceTagsOutput{Tags: tags("a", "b")})
		if p := do(c.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: md.KeyId})).ok(t); *p.Policy != policyOf(delegation) {
			t.Errorf("policy %s", *p.Policy)
		}
		same(t, "rotation", *do(c.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: md.KeyId})).ok(t), *status)
		if out := do(c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"a": "b"}})).ok(t); string(out.Plaintext) != "old" {
			t.Errorf("an old ciphertext decrypts to %q", out.Plaintext)
		}
		do(c.Verify(ctx, &kms.VerifyInput{KeyId: signer.KeyId, Message: []byte("m"), Signature: sig, SigningAlgorithm: "ECDSA_SHA_256"})).ok(t)
		do(c.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: mac.KeyId, Message: []byte("m"), Mac: tag, MacAlgorithm: "HMAC_SHA_256"})).ok(t)
		do(c.ImportKeyMaterial(ctx, in)).ok(t) // the set is good for a day, on whatever node
		do(c.ListKeys(ctx, &kms.ListKeysInput{Marker: marker})).ok(t)
		if got := do(c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: doomed.KeyId})).ok(t).KeyMetadata; !got.DeletionDate.Equal(*scheduled.DeletionDate) {
			t.Errorf("end %d: deletion at %v, was %v", i, got.DeletionDate, scheduled.DeletionDate)
		}
	}
}

// retried sends a call as an SDK would send an attempt of one invocation.
func retried(t *testing.T, s *trenttest.Server, op, body, invocation string, attempt int) *trenttest.Answer {
	t.Helper()
	return do(s.Do(t.Context(), trenttest.Request{Operation: op, Body: []byte(body), Header: http.Header{
		"Amz-Sdk-Invocation-Id": {invocation}, "Amz-Sdk-Request": {fmt.Sprintf("attempt=%d; max=3", attempt)},
	}})).ok(t)
}

// keyIDOf reads the key id of a CreateKey answer.
func keyIDOf(t *testing.T, a *trenttest.Answer) string {
	t.Helper()
	var out struct{ KeyMetadata struct{ KeyId string } }
	if err := json.Unmarshal(a.Body, &out); err != nil || out.KeyMetadata.KeyId == "" {
		t.Fatalf("CreateKey: %s", a.Text())
	}
	return out.KeyMetadata.KeyId
}

// TestRetriesAreHarmless: another attempt of a call that took effect gets the first answer, also after a restart (design:
// retries are harmless).
func TestRetriesAreHarmless(t *testing.T) {
	t.Parallel()
	s := trenttest.Start(t, trenttest.Options{})
	c := s.Client()
	id := keyIDOf(t, retried(t, s, "CreateKey", `{}`, "create", 1))
	if again := keyIDOf(t, retried(t, s, "CreateKey", `{}`, "create", 2)); again != id {
		t.Errorf("the second attempt made another key")
	}
	if other := keyIDOf(t, retried(t, s, "CreateKey", `{"Description":"x"}`, "create", 2)); other == id {
		t.Error("another request under the same invocation id got the first one's answer")
	}
	if other := keyIDOf(t, retried(t, s, "CreateKey", `{}`, "another", 2)); other == id {
		t.Error("another invocation got the first one's answer")
	}
	anew := do(s.Do(t.Context(), trenttest.Request{
		Operation: "CreateKey", Body: []byte(`{}`), Header: http.Header{"Amz-Sdk-Invocation-Id": {"create"}}, Time: time.Now().Add(-time.Minute),
	})).ok(t)
	if keyIDOf(t, anew) == id {
		t.Error("a first attempt, signed anew, is a call of its own")
	}
	target := keyIDOf(t, retried(t, s, "CreateKey", `{}`, "target", 1))
	imported := newKey(t, c, external)
	in := importInput(t, c, imported, randomBytes(32))
	importBody := fmt.Sprintf(`{"KeyId":"%s","ImportToken":"%s","EncryptedKeyMaterial":"%s","ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE","ImportType":"NEW_KEY_MATERIAL"}`,
		*imported.KeyId, b64(in.ImportToken), b64(in.EncryptedKeyMaterial))
	calls := []struct{ op, body string }{
		{"CreateAlias", `{"AliasName":"alias/once","TargetKeyId":"` + id + `"}`},
		{"RotateKeyOnDemand", `{"KeyId":"` + id + `"}`},
		{"ImportKeyMaterial", importBody},
		{"DeleteImportedKeyMaterial", `{"KeyId":"` + *imported.KeyId + `"}`},
		{"UpdateAlias", `{"AliasName":"alias/once","TargetKeyId":"` + target + `"}`},
		{"DeleteAlias", `{"AliasName":"alias/once"}`},
		{"ScheduleKeyDeletion", `{"KeyId":"` + id + `","PendingWindowInDays":9}`},
	}
	answers := make(map[string][]byte)
	for _, call := range calls {
		first := retried(t, s, call.op, call.body, "i-"+call.op, 1)
		if first.Status != http.StatusOK {
			t.Fatalf("%s: %s", call.op, first.Text())
		}
		answers[call.op] = first.Body
		second := retried(t, s, call.op, call.body, "i-"+call.op, 2)
		if second.Status != http.StatusOK || !bytes.Equal(second.Body, first.Body) {
			t.Errorf("%s again: HTTP %d %s %s, first %s", call.op, second.Status, second.Text(), second.Body, first.Body)
		}
	}
	kill(t, s)
	restart(t, s)
	for _, call := range calls {
		third := retried(t, s, call.op, call.body, "i-"+call.op, 3)
		if third.Status != http.StatusOK || !bytes.Equal(third.Body, answers[call.op]) {
			t.Errorf("%s after a restart: HTTP %d %s %s, first %s", call.op, third.Status, third.Text(), third.Body, answers[call.op])
		}
	}
	if again := keyIDOf(t, retried(t, s, "CreateKey", `{}`, "create", 2)); again == "" {
		t.Error("no key")
	}
	cancel := `{"KeyId":"` + id + `"}`
	for attempt := 1; attempt <= 2; attempt++ {
		if a := retried(t, s, "CancelKeyDeletion", cancel, "cancel", attempt); a.Status != http.StatusOK {
			t.Errorf("CancelKeyDeletion, attempt %d: %s", attempt, a.Text())
		}
	}
	rotations := do(c.ListKeyRotations(t.Context(), &kms.ListKeyRotationsInput{KeyId: &id})).ok(t)
	if len(rotations.Rotations) != 1 {
		t.Errorf("%d rotations by one call", len(rotations.Rotations))
	}
	// A refusal is not remembered: the second attempt is decided anew.
	retry2 := `{"AliasName":"alias/later","TargetKeyId":"` + noKey + `"}`
	if a := retried(t, s, "CreateAlias", retry2, "refused", 1); name(a) != "NotFoundException" {
		t.Errorf("an alias of no key: %s", a.Text())
	}
	if a := retried(t, s, "CreateAlias", retry2, "refused", 2); name(a) != "NotFoundException" {
		t.Errorf("an alias of no key, again: %s", a.Text())
	}
	// The very same request, byte for byte, is a repeat at any attempt.
	r := do(s.Build(t.Context(), trenttest.Request{Operation: "CreateKey", Body: []byte(`{}`), Header: http.Header{"Amz-Sdk-Invocation-Id": {"replayed"}}})).ok(t)
	copied := r.Clone(t.Context())
	copied.Body = do(r.GetBody()).ok(t)
	if first, second := keyIDOf(t, do(s.Send(r)).ok(t)), keyIDOf(t, do(s.Send(copied)).ok(t)); first != second {
		t.Error("a replayed request made a second key")
	}
}

// forgetful is an HTTP client that loses the first answer to each invocation, after the node has given it.
type forgetful struct {
	next *http.Client
	mu   sync.Mutex
	lost map[string]bool
}

func (f *forgetful) Do(r *http.Request) (*http.Response, error) {
	resp, err := f.next.Do(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	if id := r.Header.Get("Amz-Sdk-Invocation-Id"); err == nil && !f.lost[id] {
		f.lost[id] = true
		_ = resp.Body.Close()
		return nil, errors.New("the connection broke")
	}
	return resp, err
}

// TestSDKRetriesAreHarmless: what the SDK does by itself when an answer is lost.
func TestSDKRetriesAreHarmless(t *testing.T) {
	t.Parallel()
	s := trenttest.Start(t, trenttest.Options{})
	c := s.Client(func(o *kms.Options) {
		o.HTTPClient = &forgetful{next: s.HTTP(), lost: make(map[string]bool)}
		o.Retryer = retry.NewStandard(func(so *retry.StandardOptions) {
			so.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			so.Retryables = append(so.Retryables, retry.IsErrorRetryableFunc(func(error) aws.Ternary { return aws.TrueTernary }))
		})
	})
	md := newKey(t, c)
	createAlias(t, c, "alias/lost", md)
	do(c.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: md.KeyId})).ok(t)
	do(c.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: md.KeyId})).ok(t)
	do(c.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: aws.String("alias/lost")})).ok(t)
	if items, _ := walk(t, 100, listKeys(t, s.Client())); len(items) != 1 {
		t.Errorf("%d keys by one CreateKey", len(items))
	}
}

// TestConcurrentChanges: of many who want the same name one gets it, and many who change one key all get through.
func TestConcurrentChanges(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	const callers = 48
	keys := []*types.KeyMetadata{newKey(t, c), newKey(t, c), newKey(t, c)}
	name := "alias/contended/" + *keys[0].KeyId
	var made atomic.Int64
	var wait sync.WaitGroup
	for i := range callers {
		wait.Go(func() {
			_, err := c.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: &name, TargetKeyId: keys[i%len(keys)].KeyId})
			switch got := text(err); {
			case err == nil:
				made.Add(1)
			case got != "AlreadyExistsException: An alias with the name "+arnHead+name+" already exists":
				t.Errorf("CreateAlias: %s", got)
			}
		})
		wait.Go(func() {
			if _, err := c.TagResource(t.Context(), &kms.TagResourceInput{KeyId: keys[0].KeyId, Tags: tags(fmt.Sprintf("tag%02d", i), "x")}); err != nil {
				t.Errorf("TagResource: %v", err)
			}
		})
		wait.Go(func() {
			in := &kms.PutKeyPolicyInput{KeyId: keys[0].KeyId, Policy: aws.String(policyOf(delegation) + fmt.Sprintf("%*s", i, ""))}
			if _, err := c.PutKeyPolicy(t.Context(), in); err != nil {
				t.Errorf("PutKeyPolicy: %v", err)
			}
		})
	}
	wait.Wait()
	if made.Load() != 1 {
		t.Errorf("the alias was made %d times", made.Load())
	}
	if n := len(tagsOf(t, c, keys[0]).Tags); n != callers {
		t.Errorf("%d tags of %d", n, callers)
	}
}

// TestRevocationIsImmediate: once DisableKey has been answered, no call that begins later succeeds, on any connection.
func TestRevocationIsImmediate(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	md := newKey(t, c)
	var disabled atomic.Bool
	stop := make(chan struct{})
	var wait sync.WaitGroup
	var before, after atomic.Int64
	for range 8 {
		wait.Go(func() {
			for {
				was := disabled.Load()
				_, err := c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("x")})
				switch {
				case err == nil && was:
					t.Error("Encrypt succeeded after DisableKey was acknowledged")
				case err == nil:
					before.Add(1)
				case was:
					after.Add(1)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	eventually(t, "encryptions", func() bool { return before.Load() > 50 })
	do(c.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: md.KeyId})).ok(t)
	disabled.Store(true)
	eventually(t, "refusals", func() bool { return after.Load() > 50 })
	close(stop)
	wait.Wait()
}

// TestStopUnderLoad: a clean stop ends in time, and what was answered is true.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	s := trenttest.Start(t, trenttest.Options{})
	c := s.Client()
	md := newKey(t, c)
	var wait sync.WaitGroup
	var mu sync.Mutex
	var blobs [][]byte
	var made []string
	for range 16 {
		wait.Go(func() {
			for {
				out, err := c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("kept")})
				if err != nil {
					return
				}
				key, err := c.CreateKey(t.Context(), &kms.CreateKeyInput{})
				if err != nil {
					return
				}
				mu.Lock()
				blobs, made = append(blobs, out.CiphertextBlob), append(made, *key.KeyMetadata.KeyId)
				mu.Unlock()
			}
		})
	}
	eventually(t, "some load", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(made) > 100
	})
	begin := time.Now()
	if err := s.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("the stop took %v", took)
	}
	wait.Wait()
	restart(t, s)
	items, _ := walk(t, 1000, listKeys(t, c))
	for _, id := range made {
		if !slices.Contains(items, id) {
			t.Errorf("key %s is lost", id)
		}
	}
	do(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blobs[len(blobs)-1]})).ok(t)
}

// TestMaterialGoesUnderLoad: while material is deleted and imported again, whoever decrypts gets the plaintext or is told that the
// key waits for material, and nothing else.
func TestMaterialGoesUnderLoad(t *testing.T) {
	t.Parallel()
	c := trenttest.Shared(t).Client()
	md := newKey(t, c, external)
	in := importInput(t, c, md, randomBytes(32))
	do(c.ImportKeyMaterial(t.Context(), in)).ok(t)
	blob := do(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: md.KeyId, Plaintext: []byte("kept")})).ok(t).CiphertextBlob
	stop := make(chan struct{})
	var wait sync.WaitGroup
	var opened, refusedCalls atomic.Int64
	for range 8 {
		wait.Go(func() {
			for {
				out, err := c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob})
				switch got := text(err); {
				case err == nil && string(out.Plaintext) == "kept":
					opened.Add(1)
				case got == "KMSInvalidStateException: "+*md.Arn+" is pending import.":
					refusedCalls.Add(1)
				default:
					t.Errorf("Decrypt: %s", got)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for range 10 {
		was := opened.Load()
		eventually(t, "decryptions", func() bool { return opened.Load() > was+20 })
		do(c.DeleteImportedKeyMaterial(t.Context(), &kms.DeleteImportedKeyMaterialInput{KeyId: md.KeyId})).ok(t)
		was = refusedCalls.Load()
		eventually(t, "refusals", func() bool { return refusedCalls.Load() > was+20 })
		do(c.ImportKeyMaterial(t.Context(), in)).ok(t)
	}
	close(stop)
	wait.Wait()
}

package workload

import (
	"context"
	"fmt"
	"math/rand"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
)

// lifecycle changes keys' states, descriptions, tags and policies while they are used, on all nodes.
type lifecycle struct {
	keys  slots[*lifeKey]
	begun notebook
}

// lifeKey is a key and something that it made, to be opened.
type lifeKey struct {
	id   string
	spec types.KeySpec
	made []byte // a ciphertext or MAC
}

// Lifecycle is W1: no use of a key succeeds after an acknowledged change that forbids it, and every change stays.
func Lifecycle() Workload {
	return &lifecycle{keys: slots[*lifeKey]{maxUses: 400, maxUnknown: 5}}
}

func (w *lifecycle) Name() string { return check.LifecycleName }

var lifeSpecs = []types.KeySpec{types.KeySpecSymmetricDefault, types.KeySpecHmac256, types.KeySpecSymmetricDefault, types.KeySpecEccNistP256}

func (w *lifecycle) Setup(_ context.Context, t *Target) error {
	s := t.setup(w.Name(), &w.begun)
	for _, spec := range lifeSpecs {
		k, ok := w.newKey(s, spec)
		if !ok {
			return fmt.Errorf("%s: no key of spec %s could be made", w.Name(), spec)
		}
		w.keys.add(k)
	}
	return nil
}

var message = []byte("the message of the lifecycle workload")

func (w *lifecycle) newKey(s *session, spec types.KeySpec) (*lifeKey, bool) {
	d, k := s.here(), &lifeKey{spec: spec}
	usage := map[types.KeySpec]types.KeyUsageType{
		types.KeySpecSymmetricDefault: types.KeyUsageTypeEncryptDecrypt, types.KeySpecHmac256: types.KeyUsageTypeGenerateVerifyMac,
		types.KeySpecEccNistP256: types.KeyUsageTypeSignVerify,
	}[spec]
	op := s.createKey(d, &kms.CreateKeyInput{KeySpec: spec, KeyUsage: usage})
	if op.Outcome != history.OK {
		return nil, false
	}
	k.id = op.Key
	switch spec {
	case types.KeySpecSymmetricDefault:
		op = s.read(d, "Encrypt", k.id, nil, func(ctx context.Context, _ map[string]string) error {
			out, err := s.kms(d).Encrypt(ctx, &kms.EncryptInput{KeyId: &k.id, Plaintext: message})
			if err == nil {
				k.made = out.CiphertextBlob
			}
			return err
		})
	case types.KeySpecHmac256:
		op = s.read(d, "GenerateMac", k.id, nil, func(ctx context.Context, _ map[string]string) error {
			out, err := s.kms(d).GenerateMac(ctx, &kms.GenerateMacInput{KeyId: &k.id, Message: message, MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
			if err == nil {
				k.made = out.Mac
			}
			return err
		})
	}
	return k, op.Outcome == history.OK
}

// createKey makes a key and records it under its id.
func (s *session) createKey(d door, in *kms.CreateKeyInput) history.Op {
	return s.write(d, "CreateKey", "", map[string]string{"aux": "1"}, func(ctx context.Context, out map[string]string) error {
		made, err := s.kms(d).CreateKey(ctx, in)
		if err == nil {
			out["key"] = *made.KeyMetadata.KeyId
		}
		return err
	})
}

func (w *lifecycle) Run(ctx context.Context, client int, rng *rand.Rand, t *Target, rec func(history.Op)) {
	w.begun.hand(rec)
	s := &session{t: t, workload: w.Name(), client: client, rng: rng, rec: rec}
	for n := 0; ctx.Err() == nil; n++ {
		x := w.keys.pick(rng)
		op := w.step(s, s.here(), x.v, fmt.Sprintf("%d-%d", client, n))
		if op.Kind == "DisableKey" && op.Outcome == history.OK && rng.Intn(2) == 0 {
			for _, d := range t.everywhere(0) { // the moment at which a stale node would betray itself
				w.use(s, d, x.v)
			}
		}
		w.keys.turn(s, x, func(s *session) (*lifeKey, bool) { return w.newKey(s, x.v.spec) }, op)
		s.pause(ctx, op)
	}
}

// step draws one operation.
func (w *lifecycle) step(s *session, d door, k *lifeKey, value string) history.Op {
	id := &k.id
	switch weighted(s.rng, 60, 12, 7, 3, 5, 12, 4, 4, 3, 4, 3) {
	case 1:
		return s.write(d, "EnableKey", k.id, nil, func(ctx context.Context, _ map[string]string) error {
			_, err := s.kms(d).EnableKey(ctx, &kms.EnableKeyInput{KeyId: id})
			return err
		})
	case 2:
		return s.write(d, "DisableKey", k.id, nil, func(ctx context.Context, _ map[string]string) error {
			_, err := s.kms(d).DisableKey(ctx, &kms.DisableKeyInput{KeyId: id})
			return err
		})
	case 3:
		earliest := time.Now().Add(s.t.slowest(d.region) - clockSlack).UnixMilli()
		return s.write(d, "ScheduleKeyDeletion", k.id, map[string]string{"earliest": strconv.FormatInt(earliest, 10)}, func(ctx context.Context, out map[string]string) error {
			o, err := s.kms(d).ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(7)})
			// There is a date in any case, also for a repetition after a cancellation; the checker misses one that is not there.
			if err == nil && o.DeletionDate != nil {
				out["deletion"] = strconv.FormatInt(o.DeletionDate.UnixMilli(), 10)
			}
			return err
		})
	case 4:
		return s.write(d, "CancelKeyDeletion", k.id, nil, func(ctx context.Context, _ map[string]string) error {
			_, err := s.kms(d).CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: id})
			return err
		})
	case 5:
		return w.describe(s, d, k)
	case 6:
		return s.write(d, "UpdateKeyDescription", k.id, map[string]string{"value": value}, func(ctx context.Context, _ map[string]string) error {
			_, err := s.kms(d).UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: id, Description: &value})
			return err
		})
	case 7:
		return s.write(d, "TagResource", k.id, map[string]string{"value": value}, func(ctx context.Context, _ map[string]string) error {
			_, err := s.kms(d).TagResource(ctx, &kms.TagResourceInput{KeyId: id, Tags: []types.Tag{{TagKey: aws.String("value"), TagValue: &value}}})
			return err
		})
	case 8:
		return w.tag(s, d, k)
	case 9:
		policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":%q,"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":"kms:*","Resource":"*"}]}`, value, s.t.Account)
		return s.write(d, "PutKeyPolicy", k.id, map[string]string{"value": value}, func(ctx context.Context, _ map[string]string) error {
			_, err := s.kms(d).PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: id, Policy: &policy})
			return err
		})
	case 10:
		return w.policy(s, d, k)
	}
	return w.use(s, d, k)
}

// use is one cryptographic operation.
func (w *lifecycle) use(s *session, d door, k *lifeKey) history.Op {
	id, c := &k.id, s.kms(d)
	kind, f := "Sign", func(ctx context.Context) (err error) {
		_, err = c.Sign(ctx, &kms.SignInput{KeyId: id, Message: message, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
		return err
	}
	choice := s.rng.Intn(3)
	switch {
	case k.spec == types.KeySpecSymmetricDefault && choice == 0:
		kind, f = "Encrypt", func(ctx context.Context) (err error) {
			_, err = c.Encrypt(ctx, &kms.EncryptInput{KeyId: id, Plaintext: message})
			return err
		}
	case k.spec == types.KeySpecSymmetricDefault && choice == 1:
		kind, f = "GenerateDataKey", func(ctx context.Context) (err error) {
			_, err = c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: id, KeySpec: types.DataKeySpecAes256})
			return err
		}
	case k.spec == types.KeySpecSymmetricDefault:
		kind, f = "Decrypt", func(ctx context.Context) (err error) {
			_, err = c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: k.made})
			return err
		}
	case k.spec == types.KeySpecHmac256 && choice == 0:
		kind, f = "GenerateMac", func(ctx context.Context) (err error) {
			_, err = c.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: id, Message: message, MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
			return err
		}
	case k.spec == types.KeySpecHmac256:
		kind, f = "VerifyMac", func(ctx context.Context) (err error) {
			_, err = c.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: id, Message: message, Mac: k.made, MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
			return err
		}
	}
	return s.read(d, kind, k.id, nil, func(ctx context.Context, _ map[string]string) error { return f(ctx) })
}

func (w *lifecycle) describe(s *session, d door, k *lifeKey) history.Op {
	return s.read(d, "DescribeKey", k.id, nil, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &k.id})
		if err == nil {
			out["state"], out["description"] = string(o.KeyMetadata.KeyState), aws.ToString(o.KeyMetadata.Description)
		}
		return err
	})
}

func (w *lifecycle) tag(s *session, d door, k *lifeKey) history.Op {
	return s.read(d, "ListResourceTags", k.id, nil, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: &k.id})
		if err == nil && len(o.Tags) > 0 {
			out["value"] = aws.ToString(o.Tags[0].TagValue)
		}
		return err
	})
}

var policyMark = regexp.MustCompile(`"Sid"\s*:\s*"([^"]*)"`)

func (w *lifecycle) policy(s *session, d door, k *lifeKey) history.Op {
	return s.read(d, "GetKeyPolicy", k.id, nil, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &k.id})
		if err == nil {
			if m := policyMark.FindStringSubmatch(aws.ToString(o.Policy)); m != nil && m[1] != defaultSid {
				out["value"] = m[1]
			}
		}
		return err
	})
}

// defaultSid marks the policy that a key gets without being asked.
const defaultSid = "Enable IAM User Permissions"

// Check reads every key's registers on every node, and judges.
func (w *lifecycle) Check(_ context.Context, t *Target, ops []history.Op) []check.Anomaly {
	var last notebook
	s := t.final(w.Name(), &last)
	var silent sync.Map
	for _, k := range w.keys.ever() {
		for _, d := range t.everywhere(0) {
			for _, f := range []func(*session, door, *lifeKey) history.Op{w.describe, w.tag, w.policy, w.use} {
				if op := s.insist(func() history.Op { return f(s, d, k) }); op.Outcome == history.Failed {
					silent.Store(d.Name, op)
				}
			}
		}
	}
	return append(check.Lifecycle(append(ops, last.ops...)), unserved(w.Name(), &silent)...)
}

// unserved makes an anomaly of each node that did not answer although the cluster is healed.
func unserved(workload string, silent *sync.Map) (all []check.Anomaly) {
	for node, op := range silent.Range {
		o := op.(history.Op)
		all = append(all, check.Anomaly{Workload: workload, Text: fmt.Sprintf("%v does not serve %s after the end: %s", node, o.Kind, o.Error), Ops: []history.Op{o}})
	}
	return all
}

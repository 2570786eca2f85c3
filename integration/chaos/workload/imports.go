package workload

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	mathrand "math/rand"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
)

// imports imports material that expires soon, deletes it, imports it again, and uses the key all the while.
type imports struct {
	keys  slots[*externalKey]
	begun notebook
}

// externalKey is a key whose material comes from here.
type externalKey struct {
	id        string
	materials map[string][]byte // by label
	mu        sync.Mutex
	blob      []byte // nil before the first material
}

// Imports is W5: nothing works with material that expired or was deleted, whatever the clocks do, and a key takes no other material
// than its first.
func Imports() Workload { return &imports{keys: slots[*externalKey]{maxUses: 300, maxUnknown: 4}} }

func (w *imports) Name() string { return check.ImportsName }

func (w *imports) Setup(_ context.Context, t *Target) error {
	return w.keys.fill(t.setup(w.Name(), &w.begun), 2, "key", w.newKey)
}

func (w *imports) newKey(s *session) (*externalKey, bool) {
	op := s.createKey(s.here(), &kms.CreateKeyInput{Origin: types.OriginTypeExternal})
	k := &externalKey{id: op.Key, materials: make(map[string][]byte)}
	for _, label := range []string{"first", "other"} {
		b := make([]byte, 32)
		_, _ = rand.Read(b)
		k.materials[label] = b
	}
	return k, op.Outcome == history.OK
}

func (w *imports) Run(ctx context.Context, client int, rng *mathrand.Rand, t *Target, rec func(history.Op)) {
	w.begun.hand(rec)
	s := &session{t: t, workload: w.Name(), client: client, rng: rng, rec: rec}
	for ctx.Err() == nil {
		x := w.keys.pick(rng)
		op := w.step(s, s.here(), x.v)
		w.keys.turn(s, x, w.newKey, op)
		s.pause(ctx, op)
	}
}

// timed adds the bounds of region time to an operation.
func (s *session) timed(d door, in map[string]string, f func(ctx context.Context, out map[string]string) error) (map[string]string, func(ctx context.Context, out map[string]string) error) {
	if in == nil {
		in = make(map[string]string)
	}
	in["earliest"] = millis(time.Now().Add(s.t.slowest(d.region) - clockSlack))
	in["latest"] = strconv.FormatInt(1<<62, 10)
	if s.t.Skew != nil {
		in["jumped"] = "1"
	}
	return in, func(ctx context.Context, out map[string]string) error {
		err := f(ctx, out)
		in["latest"] = millis(time.Now().Add(s.t.fastest(d.region) + time.Second))
		return err
	}
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

func (w *imports) step(s *session, d door, k *externalKey) history.Op {
	k.mu.Lock()
	blob := k.blob
	k.mu.Unlock()
	choice := weighted(s.rng, 40, 30, 20, 6, 3)
	if blob == nil && choice == 0 {
		choice = 1
	}
	switch choice {
	case 0:
		in, f := s.timed(d, nil, func(ctx context.Context, _ map[string]string) error {
			_, err := s.kms(d).Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob})
			return err
		})
		return s.read(d, "Decrypt", k.id, in, f)
	case 1:
		in, f := s.timed(d, nil, func(ctx context.Context, _ map[string]string) error {
			o, err := s.kms(d).Encrypt(ctx, &kms.EncryptInput{KeyId: &k.id, Plaintext: message})
			if err == nil {
				k.mu.Lock()
				defer k.mu.Unlock()
				k.blob = o.CiphertextBlob
			}
			return err
		})
		return s.read(d, "Encrypt", k.id, in, f)
	case 2:
		return w.describe(s, d, k)
	case 3:
		return w.bring(s, d, k)
	}
	in, f := s.timed(d, nil, func(ctx context.Context, _ map[string]string) error {
		_, err := s.kms(d).DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: &k.id})
		return err
	})
	return s.write(d, "DeleteImportedKeyMaterial", k.id, in, f)
}

func (w *imports) describe(s *session, d door, k *externalKey) history.Op {
	in, f := s.timed(d, nil, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &k.id})
		if err == nil {
			out["state"] = string(o.KeyMetadata.KeyState)
		}
		return err
	})
	return s.read(d, "DescribeKey", k.id, in, f)
}

// bring imports material: mostly the key's own, mostly for some seconds only.
func (w *imports) bring(s *session, d door, k *externalKey) history.Op {
	label := "first"
	if s.rng.Intn(5) == 0 {
		label = "other"
	}
	var token, wrapped []byte
	op := s.read(d, "GetParametersForImport", k.id, map[string]string{"aux": "1"}, func(ctx context.Context, _ map[string]string) error {
		o, err := s.kms(d).GetParametersForImport(ctx, &kms.GetParametersForImportInput{
			KeyId: &k.id, WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: types.WrappingKeySpecRsa2048,
		})
		if err != nil {
			return err
		}
		token = o.ImportToken
		wrapped, err = wrap(o.PublicKey, k.materials[label])
		return err
	})
	if op.Outcome != history.OK {
		return op
	}
	material := &kms.ImportKeyMaterialInput{KeyId: &k.id, ImportToken: token, EncryptedKeyMaterial: wrapped, ExpirationModel: types.ExpirationModelTypeKeyMaterialDoesNotExpire}
	in := map[string]string{"label": label, "validTo": "0"}
	if s.rng.Intn(4) > 0 {
		until := time.Now().Add(s.t.fastest(d.region) + time.Duration(1500+s.rng.Intn(6000))*time.Millisecond).Truncate(time.Second)
		material.ExpirationModel, material.ValidTo = types.ExpirationModelTypeKeyMaterialExpires, &until
		in["validTo"] = millis(until)
	}
	in, f := s.timed(d, in, func(ctx context.Context, _ map[string]string) error {
		_, err := s.kms(d).ImportKeyMaterial(ctx, material)
		return err
	})
	return s.write(d, "ImportKeyMaterial", k.id, in, f)
}

// wrap encrypts material for the service.
func wrap(public, material []byte) ([]byte, error) {
	parsed, err := x509.ParsePKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("the wrapping key is no RSA key")
	}
	return rsa.EncryptOAEP(sha256.New(), rand.Reader, key, material, nil)
}

// Check describes every key on every node, and judges.
func (w *imports) Check(_ context.Context, t *Target, ops []history.Op) []check.Anomaly {
	var last notebook
	s := t.final(w.Name(), &last)
	var silent sync.Map
	for _, k := range w.keys.ever() {
		for _, d := range t.everywhere(0) {
			if op := s.insist(func() history.Op { return w.describe(s, d, k) }); op.Outcome == history.Failed {
				silent.Store(d.Name, op)
			}
		}
	}
	return append(check.Imports(append(ops, last.ops...)), unserved(w.Name(), &silent)...)
}

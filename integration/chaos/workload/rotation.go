package workload

import (
	"context"
	"math/rand"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
)

// rotation rotates keys on demand while they encrypt.
type rotation struct {
	keys  slots[*turnKey]
	begun notebook
}

// turnKey is a key and ciphertexts of its materials.
type turnKey struct {
	id   string
	mu   sync.Mutex
	made []turnBlob
}

type turnBlob struct {
	blob     []byte
	material string
}

// Rotation is W4: materials append, as often as was acknowledged, and what encrypts uses the newest on every node at once.
func Rotation() Workload { return &rotation{keys: slots[*turnKey]{maxUses: 350, maxUnknown: 5}} }

func (w *rotation) Name() string { return check.RotationName }

func (w *rotation) Setup(_ context.Context, t *Target) error {
	return w.keys.fill(t.setup(w.Name(), &w.begun), 2, "key", w.newKey)
}

func (w *rotation) newKey(s *session) (*turnKey, bool) {
	op := s.createKey(s.here(), &kms.CreateKeyInput{})
	return &turnKey{id: op.Key}, op.Outcome == history.OK
}

func (w *rotation) Run(ctx context.Context, client int, rng *rand.Rand, t *Target, rec func(history.Op)) {
	w.begun.hand(rec)
	s := &session{t: t, workload: w.Name(), client: client, rng: rng, rec: rec}
	for ctx.Err() == nil {
		x := w.keys.pick(rng)
		op := w.step(s, s.here(), x.v)
		w.keys.turn(s, x, w.newKey, op)
		s.pause(ctx, op)
	}
}

func (w *rotation) step(s *session, d door, k *turnKey) history.Op {
	switch weighted(s.rng, 8, 40, 20, 5, 27) {
	case 0:
		return s.write(d, "RotateKeyOnDemand", k.id, nil, func(ctx context.Context, _ map[string]string) error {
			_, err := s.kms(d).RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &k.id})
			return err
		})
	case 1:
		return s.read(d, "GenerateDataKey", k.id, nil, func(ctx context.Context, out map[string]string) error {
			o, err := s.kms(d).GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &k.id, KeySpec: types.DataKeySpecAes256})
			if err == nil {
				out["material"] = aws.ToString(o.KeyMaterialId)
				k.keep(turnBlob{o.CiphertextBlob, out["material"]})
			}
			return err
		})
	case 2:
		return w.describe(s, d, k)
	case 3:
		return w.list(s, d, k)
	}
	blob, ok := k.any(s.rng)
	if !ok {
		return w.describe(s, d, k)
	}
	return w.open(s, d, k, blob)
}

func (k *turnKey) keep(b turnBlob) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.made) < 1000 {
		k.made = append(k.made, b)
	}
}

func (k *turnKey) any(rng *rand.Rand) (turnBlob, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.made) == 0 {
		return turnBlob{}, false
	}
	return k.made[rng.Intn(len(k.made))], true
}

// ofEach is one ciphertext of each material.
func (k *turnKey) ofEach() (some []turnBlob) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, b := range k.made {
		if !slices.ContainsFunc(some, func(o turnBlob) bool { return o.material == b.material }) {
			some = append(some, b)
		}
	}
	return some
}

func (w *rotation) open(s *session, d door, k *turnKey, b turnBlob) history.Op {
	return s.read(d, "Decrypt", k.id, map[string]string{"material": b.material}, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: b.blob})
		if err == nil {
			out["material"] = aws.ToString(o.KeyMaterialId)
		}
		return err
	})
}

func (w *rotation) describe(s *session, d door, k *turnKey) history.Op {
	return s.read(d, "DescribeKey", k.id, nil, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &k.id})
		if err == nil {
			out["material"] = aws.ToString(o.KeyMetadata.CurrentKeyMaterialId)
		}
		return err
	})
}

func (w *rotation) list(s *session, d door, k *turnKey) history.Op {
	return s.read(d, "ListKeyRotations", k.id, nil, func(ctx context.Context, out map[string]string) error {
		o, err := s.kms(d).ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: &k.id, IncludeKeyMaterial: types.IncludeKeyMaterialAllKeyMaterial, Limit: aws.Int32(100)})
		if err != nil {
			return err
		}
		var ids []string
		for _, r := range o.Rotations {
			ids = append(ids, aws.ToString(r.KeyMaterialId))
		}
		out["materials"] = strings.Join(ids, ",")
		return nil
	})
}

// Check lists the materials and opens a ciphertext of each on every node, and judges.
func (w *rotation) Check(_ context.Context, t *Target, ops []history.Op) []check.Anomaly {
	var last notebook
	s := t.final(w.Name(), &last)
	var silent sync.Map
	for _, k := range w.keys.ever() {
		for _, d := range t.everywhere(0) {
			reads := []func() history.Op{func() history.Op { return w.list(s, d, k) }, func() history.Op { return w.describe(s, d, k) }}
			for _, b := range k.ofEach() {
				reads = append(reads, func() history.Op { return w.open(s, d, k, b) })
			}
			for _, f := range reads {
				if op := s.insist(f); op.Outcome == history.Failed {
					silent.Store(d.Name, op)
				}
			}
		}
	}
	return append(check.Rotation(append(ops, last.ops...)), unserved(w.Name(), &silent)...)
}

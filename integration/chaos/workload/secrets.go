package workload

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
)

// secrets sends secrets through the cluster and looks for them afterwards.
type secrets struct {
	keys   map[types.KeySpec]string
	marker []byte // in every planted plaintext, message and material
	begun  notebook
	blob   atomic.Pointer[[]byte] // a ciphertext to decrypt

	mu      sync.Mutex
	learned map[string][]byte // secrets that the service made, by what they are
}

// Secrets is W11: plaintexts, data keys, messages, imported material, secret access keys and PINs are in no log, audit record, snapshot
// or Raft log.
func Secrets() Workload {
	return &secrets{keys: make(map[types.KeySpec]string), learned: make(map[string][]byte)}
}

func (w *secrets) Name() string { return check.SecretsName }

func (w *secrets) Setup(_ context.Context, t *Target) error {
	w.marker = make([]byte, 18)
	if _, err := cryptorand.Read(w.marker); err != nil {
		return err
	}
	s := t.setup(w.Name(), &w.begun)
	for _, in := range []kms.CreateKeyInput{
		{KeySpec: types.KeySpecSymmetricDefault}, {KeySpec: types.KeySpecHmac256, KeyUsage: types.KeyUsageTypeGenerateVerifyMac},
		{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify},
	} {
		op := s.createKey(s.here(), &in)
		if op.Outcome != history.OK {
			return fmt.Errorf("%s: no key could be made: %s", w.Name(), op.Error)
		}
		w.keys[in.KeySpec] = op.Key
	}
	return nil
}

// maxLearned bounds how many secrets of the service are looked for.
const maxLearned = 200

func (w *secrets) learn(what string, secret []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.learned) < maxLearned {
		w.learned[fmt.Sprint(what, " ", len(w.learned))] = bytes.Clone(secret)
	}
}

func (w *secrets) Run(ctx context.Context, client int, rng *rand.Rand, t *Target, rec func(history.Op)) {
	w.begun.hand(rec)
	s := &session{t: t, workload: w.Name(), client: client, rng: rng, rec: rec}
	for n := 0; ctx.Err() == nil; n++ {
		d := s.here()
		op := w.step(s, d, fmt.Appendf(bytes.Clone(w.marker), " %d-%d", client, n))
		s.pause(ctx, op)
	}
}

func (w *secrets) step(s *session, d door, secret []byte) history.Op {
	c, key := s.kms(d), w.keys[types.KeySpecSymmetricDefault]
	kind, id := "Encrypt", key
	f := func(ctx context.Context) error {
		o, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: secret})
		if err == nil {
			w.blob.Store(&o.CiphertextBlob)
		}
		return err
	}
	blob := w.blob.Load()
	switch s.rng.Intn(7) {
	case 0:
		kind, f = "GenerateDataKey", func(ctx context.Context) error {
			o, err := c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256})
			if err == nil {
				w.learn("a data key", o.Plaintext)
			}
			return err
		}
	case 1:
		kind, f = "GenerateRandom", func(ctx context.Context) error {
			n := int32(32)
			o, err := c.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: &n})
			if err == nil {
				w.learn("a random number", o.Plaintext)
			}
			return err
		}
	case 2:
		id = w.keys[types.KeySpecHmac256]
		kind, f = "GenerateMac", func(ctx context.Context) error {
			_, err := c.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: &id, Message: secret, MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
			return err
		}
	case 3:
		id = w.keys[types.KeySpecEccNistP256]
		kind, f = "Sign", func(ctx context.Context) error {
			_, err := c.Sign(ctx, &kms.SignInput{KeyId: &id, Message: secret, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
			return err
		}
	case 4: // what is refused is logged with more words
		kind, f = "Decrypt", func(ctx context.Context) error {
			_, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: secret})
			return err
		}
	case 5:
		if blob != nil {
			kind, f = "Decrypt", func(ctx context.Context) error {
				_, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: *blob})
				return err
			}
		}
	}
	return s.read(d, kind, id, nil, func(ctx context.Context, _ map[string]string) error { return f(ctx) })
}

// Check searches the data directories, audit logs and process logs of all nodes.
func (w *secrets) Check(_ context.Context, t *Target, _ []history.Op) []check.Anomaly {
	if len(t.Regions) == 0 {
		return nil // a stored history
	}
	var scan check.Scanner
	errs := []error{scan.Add("a planted plaintext", w.marker), scan.Add("the root secret access key", []byte(t.Root.Secret))}
	for _, r := range t.Regions {
		if r.Root.Secret != "" && r.Root != t.Root {
			errs = append(errs, scan.Add("the root secret access key of "+r.Name, []byte(r.Root.Secret)))
		}
	}
	for what, secret := range w.learned {
		errs = append(errs, scan.Add(what, secret))
	}
	for what, secret := range t.Secrets {
		errs = append(errs, scan.Add(what, []byte(secret)))
	}
	found, read := make(map[string][]string), int64(0)
	for _, r := range t.Regions {
		for _, n := range r.Nodes {
			for _, dir := range append([]string{n.DataDir, n.AuditDir}, n.Logs...) {
				m, err := scanTree(&scan, dir, found)
				read += m
				errs = append(errs, err)
			}
		}
	}
	anomalies := check.Leaks(found)
	if err := errors.Join(errs...); err != nil {
		anomalies = append(anomalies, check.Anomaly{Workload: w.Name(), Text: err.Error()})
	}
	if read == 0 {
		anomalies = append(anomalies, check.Anomaly{Workload: w.Name(), Text: "nothing was searched"})
	}
	return anomalies
}

// scanTree searches a file, or the files of a directory. A file that went away meanwhile is none.
func scanTree(scan *check.Scanner, root string, found map[string][]string) (read int64, err error) {
	if root == "" {
		return 0, nil
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() || d.Name() == "ballast" {
			return err
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		what, n, err := scan.Scan(f)
		read += n
		if len(what) > 0 {
			found[path] = what
		}
		return err
	})
	return read, err
}

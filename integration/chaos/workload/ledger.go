package workload

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/trentkms/trent/integration/chaos/check"
	"github.com/trentkms/trent/integration/chaos/history"
)

// ledger remembers every ciphertext, data key, signature and MAC that it was given.
type ledger struct {
	keys  map[types.KeySpec][]string
	begun notebook

	mu      sync.Mutex
	entries []entry
}

// entry is something that was handed out.
type entry struct {
	kind, key, context, plaintext string // plaintext in base64, "" if it was not shown
	blob                          []byte
}

// Ledger is W6: what was acknowledged is good ever after, on every node, after restarts, and under its own key and context only.
func Ledger() Workload { return &ledger{keys: make(map[types.KeySpec][]string)} }

func (w *ledger) Name() string { return check.LedgerName }

func (w *ledger) Setup(_ context.Context, t *Target) error {
	s := t.setup(w.Name(), &w.begun)
	for _, make := range []kms.CreateKeyInput{
		{}, {}, {KeySpec: types.KeySpecHmac256, KeyUsage: types.KeyUsageTypeGenerateVerifyMac}, {KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify},
	} {
		op := s.createKey(s.here(), &make)
		if op.Outcome != history.OK {
			return fmt.Errorf("%s: no key could be made: %s", w.Name(), op.Error)
		}
		w.keys[make.KeySpec] = append(w.keys[make.KeySpec], op.Key)
	}
	return nil
}

func (w *ledger) Run(ctx context.Context, client int, rng *rand.Rand, t *Target, rec func(history.Op)) {
	w.begun.hand(rec)
	s := &session{t: t, workload: w.Name(), client: client, rng: rng, rec: rec}
	for n := 0; ctx.Err() == nil; n++ {
		var op history.Op
		old, ok := w.draw(rng)
		switch weighted(rng, 60, 38, 1) {
		case 0:
			op = w.obtain(s, s.here(), fmt.Sprintf("ledger %d-%d", client, n))
		case 1:
			if !ok {
				continue
			}
			op = w.open(s, s.here(), old, nil)
		case 2: // what was made before must open after
			symmetric := w.keys[""]
			key := symmetric[rng.Intn(len(symmetric))]
			d := s.here()
			op = s.write(d, "RotateKeyOnDemand", key, map[string]string{"aux": "1"}, func(ctx context.Context, _ map[string]string) error {
				_, err := s.kms(d).RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key})
				return err
			})
		}
		s.pause(ctx, op)
	}
}

func (w *ledger) draw(rng *rand.Rand) (entry, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.entries) == 0 {
		return entry{}, false
	}
	return w.entries[rng.Intn(len(w.entries))], true
}

// contextOf is the encryption context of a text, nil if there is none.
func contextOf(text string) map[string]string {
	if text == "" {
		return nil
	}
	return map[string]string{"tenant": text}
}

// obtain asks for something and keeps it.
func (w *ledger) obtain(s *session, d door, text string) history.Op {
	c, symmetric := s.kms(d), w.keys[""]
	key := symmetric[s.rng.Intn(len(symmetric))]
	ec := []string{"", "red", "blue"}[s.rng.Intn(3)]
	plain := []byte(text)
	var f func(ctx context.Context) (blob, shown []byte, err error)
	kind := "Encrypt"
	switch weighted(s.rng, 8, 4, 2, 1, 2, 3) {
	case 0:
		f = func(ctx context.Context) ([]byte, []byte, error) {
			o, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: plain, EncryptionContext: contextOf(ec)})
			if err != nil {
				return nil, nil, err
			}
			return o.CiphertextBlob, plain, nil
		}
	case 1:
		kind, f = "GenerateDataKey", func(ctx context.Context) ([]byte, []byte, error) {
			o, err := c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256, EncryptionContext: contextOf(ec)})
			if err != nil {
				return nil, nil, err
			}
			return o.CiphertextBlob, o.Plaintext, nil
		}
	case 2:
		kind, f = "GenerateDataKeyWithoutPlaintext", func(ctx context.Context) ([]byte, []byte, error) {
			o, err := c.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: &key, KeySpec: types.DataKeySpecAes256, EncryptionContext: contextOf(ec)})
			if err != nil {
				return nil, nil, err
			}
			return o.CiphertextBlob, nil, nil
		}
	case 3:
		kind, f = "GenerateDataKeyPair", func(ctx context.Context) ([]byte, []byte, error) {
			o, err := c.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: &key, KeyPairSpec: types.DataKeyPairSpecEccNistP256, EncryptionContext: contextOf(ec)})
			if err != nil {
				return nil, nil, err
			}
			return o.PrivateKeyCiphertextBlob, o.PrivateKeyPlaintext, nil
		}
	case 4:
		key, ec = w.keys[types.KeySpecEccNistP256][0], ""
		kind, f = "Sign", func(ctx context.Context) ([]byte, []byte, error) {
			o, err := c.Sign(ctx, &kms.SignInput{KeyId: &key, Message: plain, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
			if err != nil {
				return nil, nil, err
			}
			return o.Signature, plain, nil
		}
	case 5:
		key, ec = w.keys[types.KeySpecHmac256][0], ""
		kind, f = "GenerateMac", func(ctx context.Context) ([]byte, []byte, error) {
			o, err := c.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: &key, Message: plain, MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
			if err != nil {
				return nil, nil, err
			}
			return o.Mac, plain, nil
		}
	}
	in := map[string]string{"context": ec}
	if strings.HasPrefix(kind, "Generate") && kind != "GenerateMac" {
		return w.keep(s, d, kind, key, ec, in, f)
	}
	in["plaintext"] = encode(plain)
	return w.keep(s, d, kind, key, ec, in, f)
}

// headSize is the part of a ciphertext that names key, material and nonce (docs/cryptography.md): no two messages share it.
const headSize = 58 + 16

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func (w *ledger) keep(s *session, d door, kind, key, ec string, in map[string]string, f func(ctx context.Context) (blob, shown []byte, err error)) history.Op {
	return s.read(d, kind, key, in, func(ctx context.Context, out map[string]string) error {
		blob, shown, err := f(ctx)
		if err != nil {
			return err
		}
		out["blob"] = encode(blob)
		if kind != "Sign" && kind != "GenerateMac" && len(blob) > headSize {
			out["head"] = encode(blob[:headSize])
		}
		if in["plaintext"] == "" && shown != nil {
			out["plaintext"] = encode(shown)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.entries = append(w.entries, entry{kind, key, ec, encode(shown), blob})
		return nil
	})
}

// open opens or verifies an entry. change, if not nil, bends the request.
func (w *ledger) open(s *session, d door, e entry, change func(in map[string]string, e *entry)) history.Op {
	in := map[string]string{"context": e.context, "blob": encode(e.blob)}
	if change != nil {
		change(in, &e)
	}
	plain, err := base64.StdEncoding.DecodeString(e.plaintext)
	if err != nil {
		panic(err)
	}
	c := s.kms(d)
	switch e.kind {
	case "Sign":
		in["plaintext"] = e.plaintext
		return s.read(d, "Verify", e.key, in, func(ctx context.Context, _ map[string]string) error {
			_, err := c.Verify(ctx, &kms.VerifyInput{KeyId: &e.key, Message: plain, Signature: e.blob, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
			return err
		})
	case "GenerateMac":
		in["plaintext"] = e.plaintext
		return s.read(d, "VerifyMac", e.key, in, func(ctx context.Context, _ map[string]string) error {
			_, err := c.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: &e.key, Message: plain, Mac: e.blob, MacAlgorithm: types.MacAlgorithmSpecHmacSha256})
			return err
		})
	}
	return s.read(d, "Decrypt", e.key, in, func(ctx context.Context, out map[string]string) error {
		o, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: e.blob, KeyId: &e.key, EncryptionContext: contextOf(e.context)})
		if err == nil {
			out["plaintext"], out["keyId"] = encode(o.Plaintext), keyOf(aws.ToString(o.KeyId))
		}
		return err
	})
}

// finalOpenings bounds how many openings a pass at the end makes: beyond it, every entry is opened on one node, in turn, and a sample
// on all.
const finalOpenings = 15000

// Check opens everything on every node, tries a sample under other keys and contexts, opens a sample again after a restart of every
// node if the target can do that, and judges.
func (w *ledger) Check(_ context.Context, t *Target, ops []history.Op) []check.Anomaly {
	var last notebook
	s := t.final(w.Name(), &last)
	nodes := t.everywhere(0)
	all := len(w.entries)*len(nodes) <= finalOpenings
	stride := 1 + len(w.entries)/300
	mark := func(in map[string]string, _ *entry) { in["final"] = "1" }
	var work []func()
	for i, e := range w.entries {
		for j, d := range nodes {
			if all || i%len(nodes) == j || i%stride == 0 {
				work = append(work, func() { s.insist(func() history.Op { return w.open(s, d, e, mark) }) })
			}
		}
		if i%stride == 0 {
			work = append(work, func() { w.openWrongly(s, nodes[i%len(nodes)], e) })
		}
	}
	parallel(4, work)
	var anomalies []check.Anomaly
	if t.Restart != nil {
		if err := t.Restart(); err != nil {
			anomalies = append(anomalies, check.Anomaly{Workload: w.Name(), Text: fmt.Sprintf("the restart of all nodes: %v", err)})
		}
		work = nil
		for i := 0; i < len(w.entries); i += stride {
			for _, d := range nodes {
				work = append(work, func() { s.insist(func() history.Op { return w.open(s, d, w.entries[i], mark) }) })
			}
		}
		parallel(4, work)
	}
	return append(anomalies, check.Ledger(append(ops, last.ops...))...)
}

// openWrongly tries an entry under another context, and under another key.
func (w *ledger) openWrongly(s *session, d door, e entry) {
	if e.kind == "Sign" || e.kind == "GenerateMac" {
		s.insist(func() history.Op {
			return w.open(s, d, e, func(_ map[string]string, e *entry) { e.plaintext = encode([]byte("another message")) })
		})
		return
	}
	s.insist(func() history.Op {
		return w.open(s, d, e, func(in map[string]string, e *entry) { e.context, in["context"] = "green", "green" })
	})
	s.insist(func() history.Op {
		return w.open(s, d, e, func(_ map[string]string, e *entry) {
			for _, key := range w.keys[""] {
				if key != e.key {
					e.key = key
					return
				}
			}
		})
	})
}

// parallel does work with a number of workers.
func parallel(workers int, work []func()) {
	next := make(chan func())
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for f := range next {
				f()
			}
		})
	}
	for _, f := range work {
		next <- f
	}
	close(next)
	wait.Wait()
}

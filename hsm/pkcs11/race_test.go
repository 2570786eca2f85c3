package pkcs11

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/trentkms/trent/hsm"
)

// TestParallel does everything at once, so that the race detector, and whatever is not thread-safe in the token's
// library, has something to find.
func TestParallel(t *testing.T) {
	r := newRig(t)
	cfg := r.newToken()
	cfg.AllowHostUnwrap = true
	m := r.open(cfg)
	p := &parallel{
		m:   m,
		mat: newMaterial(t, m, hsm.Symmetric, hsm.UseDerive), derive: newKey(t, m, hsm.Symmetric, hsm.UseDerive),
		sign: newKey(t, m, hsm.P256, hsm.UseSign), rsa: newKey(t, m, hsm.RSA2048, hsm.UseDecrypt),
		agree: newKey(t, m, hsm.P256, hsm.UseAgree), unwrap: newKey(t, m, hsm.RSA2048, hsm.UseUnwrap),
	}
	jobs := []func(context.Context) error{
		p.deriveKey, p.signVerify, p.encryptDecrypt, p.agreeTwice, p.loadDestroy, p.generate, p.domains, p.importJunk, m.Health,
	}
	var wg sync.WaitGroup
	for w := range 12 {
		wg.Go(func() {
			for i := range 15 {
				if err := jobs[(w+i)%len(jobs)](context.Background()); err != nil {
					t.Errorf("job %d: %v", (w+i)%len(jobs), err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := len(m.places); n != 0 || m.stuck.Load() != 0 {
		t.Errorf("%d places taken, %d calls hanging", n, m.stuck.Load())
	}
}

type parallel struct {
	m                                *Module
	mat                              hsm.Material
	derive, sign, rsa, agree, unwrap hsm.Key
}

func (p *parallel) deriveKey(ctx context.Context) error {
	var a, b [32]byte
	return errors.Join(p.derive.DeriveKey(ctx, []byte("f"), &a), p.derive.DeriveKey(ctx, []byte("f"), &b), same(a[:], b[:]))
}

func (p *parallel) signVerify(ctx context.Context) error {
	digest := randomBytes(32)
	sig, err := p.sign.Sign(ctx, hsm.ECDSASHA256, digest)
	if err != nil {
		return err
	}
	ok, err := p.sign.Verify(ctx, hsm.ECDSASHA256, digest, sig)
	if err == nil && !ok {
		err = errors.New("a signature does not verify")
	}
	return err
}

func (p *parallel) encryptDecrypt(ctx context.Context) error {
	for _, alg := range []hsm.Algorithm{hsm.RSAOAEPSHA1, hsm.RSAOAEPSHA256} {
		want := randomBytes(32)
		c, err := p.rsa.Encrypt(ctx, alg, want)
		if err != nil {
			return err
		}
		got, err := p.rsa.Decrypt(ctx, alg, c)
		if err := errors.Join(err, same(got, want)); err != nil {
			return err
		}
		c[9] ^= 1
		if _, err := p.rsa.Decrypt(ctx, alg, c); !errors.Is(err, hsm.ErrInvalidInput) {
			return fmt.Errorf("bad ciphertext: %w", err)
		}
	}
	return nil
}

func (p *parallel) agreeTwice(ctx context.Context) error {
	peer := p.agree.(*key).mat.Public
	a, err := p.agree.Agree(ctx, peer)
	if err != nil {
		return err
	}
	b, err := p.agree.Agree(ctx, peer)
	return errors.Join(err, same(a, b))
}

func (p *parallel) loadDestroy(ctx context.Context) error {
	k, err := p.m.Load(ctx, p.mat)
	if err != nil {
		return err
	}
	var out [32]byte
	err = k.DeriveKey(ctx, nil, &out)
	k.Destroy()
	if k.DeriveKey(ctx, nil, &out) == nil {
		err = errors.Join(err, errors.New("a destroyed key works"))
	}
	return err
}

func (p *parallel) generate(ctx context.Context) error {
	for kt, u := range map[hsm.KeyType]hsm.Usage{hsm.HMAC384: hsm.UseMAC, hsm.P384: hsm.UseSign} {
		if _, err := p.m.Generate(ctx, testDomain, kt, u, nil); err != nil {
			return err
		}
	}
	return nil
}

func (p *parallel) domains(ctx context.Context) error {
	id := hsm.DomainID(fmt.Sprintf("d-%x", randomBytes(8)))
	if err := p.m.CreateDomain(ctx, id); err != nil {
		return err
	}
	_, err := p.m.Rewrap(ctx, p.mat, id)
	return errors.Join(err, p.m.DestroyDomain(ctx, id))
}

func (p *parallel) importJunk(ctx context.Context) error {
	_, err := p.m.Import(ctx, p.unwrap, hsm.WrapRSAAESKWSHA256, make([]byte, 256+40), testDomain, hsm.Symmetric, hsm.UseDerive, nil)
	if !errors.Is(err, hsm.ErrInvalidInput) {
		return fmt.Errorf("import of junk: %w", err)
	}
	return nil
}

func same(a, b []byte) error {
	if !bytes.Equal(a, b) {
		return errors.New("two results differ")
	}
	return nil
}

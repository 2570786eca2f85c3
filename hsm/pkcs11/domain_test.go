package pkcs11

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/trentkms/trent/hsm"
)

// TestSharedPartition: nodes that share a token find each other's domain keys by label, and notice their end.
func TestSharedPartition(t *testing.T) {
	r := newRig(t)
	cfg := r.newToken()
	one, two := r.open(cfg), r.open(cfg)
	ctx := t.Context()
	mat := newMaterial(t, one, hsm.Symmetric, hsm.UseDerive)
	var a, b [32]byte
	for m, out := range map[*Module]*[32]byte{one: &a, two: &b} {
		k, err := m.Load(ctx, mat)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.DeriveKey(ctx, []byte("x"), out); err != nil {
			t.Error(err)
		}
	}
	if a != b {
		t.Error("two nodes derive different keys")
	}
	first, err := one.Transport(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := two.Transport(ctx); err != nil || string(second.SPKI) != string(first.SPKI) {
		t.Errorf("the transport key of a shared partition differs by node: %v", err)
	}

	// The other node destroys it and makes a new one of the same name: cached handles must not survive that.
	if err := one.DestroyDomain(ctx, testDomain); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Load(ctx, mat); !errors.Is(err, hsm.ErrNoDomain) {
		t.Errorf("Load under a domain key that another node destroyed: %v", err)
	}
	if err := one.CreateDomain(ctx, testDomain); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Load(ctx, mat); !errors.Is(err, hsm.ErrIntegrity) {
		t.Errorf("Load under the new domain key: %v", err)
	}
}

// TestCreateDomainRace: of many who create one domain key, on two nodes of a shared partition, those who succeed and
// those who are told that it exists mean the same one.
func TestCreateDomainRace(t *testing.T) {
	r := newRig(t)
	cfg := r.newToken()
	nodes := []*Module{r.open(cfg), r.open(cfg)}
	for range 5 {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for {
					err := nodes[i%2].CreateDomain(context.Background(), testDomain)
					if err == nil || errors.Is(err, hsm.ErrDomainExists) {
						return
					}
					if !errors.Is(err, hsm.ErrUnavailable) {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if n := r.objects(nodes[0], labelPrefix); n != 2 {
			t.Errorf("%d objects, want one pair", n)
		}
		a, err := nodes[0].DomainPRF(t.Context(), testDomain, "l", nil)
		if err != nil {
			t.Error(err)
		}
		if b, err := nodes[1].DomainPRF(t.Context(), testDomain, "l", nil); a != b || err != nil {
			t.Errorf("the nodes use different domain keys: %v", err)
		}
		if err := nodes[0].DestroyDomain(t.Context(), testDomain); err != nil {
			t.Error(err)
		}
	}
}

// TestInterruptedCreateDomain: a domain key is there wholly or not at all, whichever step fails.
func TestInterruptedCreateDomain(t *testing.T) {
	r := newRig(t)
	m := r.open(r.newToken())
	for _, after := range []int{0, 1} {
		n := 0
		r.hook.set(func(call string, _ pkcs11.SessionHandle) error {
			if call == "C_GenerateKey" {
				if n++; n > after {
					return pkcs11.Error(pkcs11.CKR_DEVICE_MEMORY)
				}
			}
			return nil
		})
		if err := m.CreateDomain(t.Context(), testDomain); !errors.Is(err, hsm.ErrUnavailable) {
			t.Errorf("CreateDomain: %v", err)
		}
		r.hook.set(nil)
		if has, err := m.HasDomain(t.Context(), testDomain); has || err != nil {
			t.Errorf("HasDomain after failure %d: %v, %v", after, has, err)
		}
		if n := r.objects(m, labelPrefix); n != 0 {
			t.Errorf("%d objects are left of it", n)
		}
	}

	// A crash leaves half of one.
	for _, label := range []string{authLabel(testDomain), wrapLabel(testDomain)} {
		plant(t, m, label, "half", true)
	}
	plant(t, m, authLabel(testDomain), "other half", true)
	if has, err := m.HasDomain(t.Context(), testDomain); !has || err != nil {
		t.Errorf("a pair beside a half: %v, %v", has, err)
	}
	if err := m.DestroyDomain(t.Context(), testDomain); err != nil {
		t.Error(err)
	}
	plant(t, m, authLabel(testDomain), "half", true)
	if has, err := m.HasDomain(t.Context(), testDomain); has || err != nil {
		t.Errorf("half a domain key counts: %v, %v", has, err)
	}
	if err := m.CreateDomain(t.Context(), testDomain); err != nil {
		t.Error(err)
	}
	if n := r.objects(m, labelPrefix); n != 3 {
		t.Errorf("%d objects, want a pair and the half, which somebody may be about to complete", n)
	}
	if err := m.DestroyDomain(t.Context(), testDomain); err != nil {
		t.Error(err)
	}
	if n := r.objects(m, labelPrefix); n != 0 {
		t.Errorf("%d objects are left after DestroyDomain", n)
	}
}

// plant makes a token object as CreateDomain would, or as somebody else.
func plant(t *testing.T, m *Module, label, id string, sensitive bool) {
	t.Helper()
	f, template := authForm, m.authTemplate(true)
	if strings.HasSuffix(label, labelWrap) {
		f, template = aesForm, m.wrapTemplate(true)
	}
	for _, a := range template {
		if a.Type == pkcs11.CKA_SENSITIVE && !sensitive {
			a.Value = []byte{0}
		}
	}
	_, err := do(t.Context(), m, func(l *lease) (pkcs11.ObjectHandle, error) {
		return l.generateHalf(f, template.with(pkcs11.CKA_LABEL, label).with(pkcs11.CKA_ID, id))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestForeignDomainKeys: keys that nobody made with this program are not used.
func TestForeignDomainKeys(t *testing.T) {
	r := newRig(t)
	m := r.open(r.newToken())
	plant(t, m, authLabel(testDomain), "x", true)
	plant(t, m, wrapLabel(testDomain), "x", false)
	_, err := m.DomainPRF(t.Context(), testDomain, "l", nil)
	if err == nil || !strings.Contains(err.Error(), "not sensitive") {
		t.Errorf("a readable domain key: %v", err)
	}
	if err := m.DestroyDomain(t.Context(), testDomain); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"x", "y"} {
		plant(t, m, authLabel(testDomain), id, true)
		plant(t, m, wrapLabel(testDomain), id, true)
	}
	_, err = m.DomainPRF(t.Context(), testDomain, "l", nil)
	if err == nil || !strings.Contains(err.Error(), "2 domain keys") {
		t.Errorf("two domain keys of one id: %v", err)
	}
}

// TestDomainAttributes: domain keys and loaded keys are what the package promises: sensitive, not extractable but for
// the transport, and good for one thing.
func TestDomainAttributes(t *testing.T) {
	r := newRig(t)
	for _, fixed := range []bool{false, true} {
		cfg := r.newToken()
		cfg.NonExtractableDomains = fixed
		m := r.open(cfg)
		k := newKey(t, m, hsm.RSA2048, hsm.UseSign).(*key)
		_, err := do(t.Context(), m, func(l *lease) (int, error) {
			d, err := l.domain(testDomain)
			if err != nil {
				return 0, err
			}
			has := func(what string, o pkcs11.ObjectHandle, attribute uint, want byte) {
				t.Helper()
				if v, err := l.attribute(o, attribute); err != nil || len(v) != 1 || v[0] != want {
					t.Errorf("%s: attribute 0x%x is %x, %v; want %d", what, attribute, v, err, want)
				}
			}
			extractable := byte(1)
			if fixed {
				extractable = 0
			}
			for what, o := range map[string]pkcs11.ObjectHandle{"wrapping key": d.wrap, "authentication key": d.auth, "private key": k.handle} {
				has(what, o, pkcs11.CKA_SENSITIVE, 1)
				has(what, o, pkcs11.CKA_PRIVATE, 1)
				has(what, o, pkcs11.CKA_DECRYPT, 0)
			}
			has("wrapping key", d.wrap, pkcs11.CKA_EXTRACTABLE, extractable)
			has("authentication key", d.auth, pkcs11.CKA_EXTRACTABLE, extractable)
			has("private key", k.handle, pkcs11.CKA_EXTRACTABLE, 0)
			has("private key", k.handle, pkcs11.CKA_UNWRAP, 0)
			has("private key", k.handle, pkcs11.CKA_SIGN, 1)
			has("wrapping key", d.wrap, pkcs11.CKA_ENCRYPT, 0)
			has("authentication key", d.auth, pkcs11.CKA_WRAP, 0)
			return 0, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		n := new(big.Int).SetBytes(randomBytes(384)) // nobody decrypts it
		spki, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.SetBit(n.SetBit(n, 3071, 1), 0, 1), E: publicExponent})
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.ExportDomain(t.Context(), testDomain, hsm.TransportKey{SPKI: spki, Mechanism: hsm.WrapOAEPSHA1})
		if fixed != errors.Is(err, hsm.ErrUnsupported) {
			t.Errorf("ExportDomain with NonExtractableDomains %v: %v", fixed, err)
		}
	}
}

// TestSHA1TransportNeedsPermission: SoftHSM2 knows OAEP with SHA-1 only.
func TestSHA1TransportNeedsPermission(t *testing.T) {
	r := newRig(t)
	cfg := r.newToken()
	allowed := r.open(cfg)
	key, err := allowed.Transport(t.Context())
	if err != nil || key.Mechanism != hsm.WrapOAEPSHA1 {
		t.Fatalf("%v, %v", key.Mechanism, err)
	}
	cfg.AllowOAEPSHA1Transport = false
	m := r.open(cfg)
	if err := m.CreateDomain(t.Context(), testDomain); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Transport(t.Context()); !errors.Is(err, hsm.ErrUnsupported) {
		t.Errorf("Transport: %v", err)
	}
	if _, err := m.ReplaceTransport(t.Context()); !errors.Is(err, hsm.ErrUnsupported) {
		t.Errorf("ReplaceTransport: %v", err)
	}
	for _, mechanism := range []hsm.WrapMechanism{hsm.WrapOAEPSHA1, hsm.WrapOAEPSHA256} {
		key.Mechanism = mechanism
		if _, err := m.ExportDomain(t.Context(), testDomain, key); !errors.Is(err, hsm.ErrUnsupported) {
			t.Errorf("ExportDomain with %v: %v", mechanism, err)
		}
	}
}

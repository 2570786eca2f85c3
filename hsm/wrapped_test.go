package hsm_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/trentkms/trent/hsm"
)

func testMAC(input []byte) (out [32]byte, err error) {
	h := hmac.New(sha256.New, []byte("an authentication key of 32 byte"))
	h.Write(input)
	h.Sum(out[:0])
	return out, nil
}

func sealed(t testing.TB) hsm.Material {
	t.Helper()
	m := hsm.Material{Type: hsm.P256, Usage: hsm.UseSign, Binding: []byte("bind")}
	m.Public = []byte("public")
	var err error
	if m.Blob, err = hsm.SealWrapped(m.Type, m.Usage, m.Binding, m.Public, bytes.Repeat([]byte{7}, 24), testMAC); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestWrappedGolden holds the format: a blob of another version must open in this one.
func TestWrappedGolden(t *testing.T) {
	var input []byte
	_, err := hsm.SealWrapped(hsm.P256, hsm.UseSign, []byte("bind"), []byte("public"), bytes.Repeat([]byte{7}, 24), func(in []byte) ([32]byte, error) {
		input = bytes.Clone(in)
		return [32]byte{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "0f" + hex.EncodeToString([]byte("hsm/wrapped-key")) + // label
		"01" + "14" + "03" + // version, type, usage
		"00000004" + hex.EncodeToString([]byte("bind")) +
		"00000006" + hex.EncodeToString([]byte("public")) +
		"00000018" + "070707070707070707070707070707070707070707070707"
	if got := hex.EncodeToString(input); got != want {
		t.Errorf("authenticated input\n%s, want\n%s", got, want)
	}
	m := sealed(t)
	if got := hex.EncodeToString(m.Blob[:25]); got != "01"+want[len(want)-48:] || len(m.Blob) != 57 {
		t.Errorf("blob %x", m.Blob)
	}
}

func TestOpenWrapped(t *testing.T) {
	m := sealed(t)
	kwp, err := hsm.OpenWrapped(m, testMAC)
	if err != nil || !bytes.Equal(kwp, bytes.Repeat([]byte{7}, 24)) {
		t.Fatalf("OpenWrapped: %x, %v", kwp, err)
	}
	for i := range m.Blob {
		bad := m
		bad.Blob = bytes.Clone(m.Blob)
		bad.Blob[i] ^= 0x80
		if _, err := hsm.OpenWrapped(bad, testMAC); !errors.Is(err, hsm.ErrIntegrity) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for name, change := range map[string]func(*hsm.Material){
		"type":    func(m *hsm.Material) { m.Type = hsm.P384 },
		"usage":   func(m *hsm.Material) { m.Usage = hsm.UseAgree },
		"binding": func(m *hsm.Material) { m.Binding = []byte("bine") },
		"public":  func(m *hsm.Material) { m.Public = nil },
		// The same bytes, cut elsewhere: lengths are authenticated.
		"boundary":     func(m *hsm.Material) { m.Binding, m.Public = []byte("bindp"), []byte("ublic") },
		"huge binding": func(m *hsm.Material) { m.Binding = make([]byte, hsm.MaxBinding+1) },
	} {
		bad := m
		change(&bad)
		if _, err := hsm.OpenWrapped(bad, testMAC); !errors.Is(err, hsm.ErrIntegrity) {
			t.Errorf("%s changed: %v", name, err)
		}
	}
	broken := errors.New("token gone")
	if _, err := hsm.OpenWrapped(m, func([]byte) ([32]byte, error) { return [32]byte{}, broken }); err != broken {
		t.Errorf("error of the MAC: %v", err)
	}
}

func TestSealWrappedSizes(t *testing.T) {
	for name, c := range map[string]struct{ binding, public, kwp []byte }{
		"short material":  {nil, nil, make([]byte, 8)},
		"no semiblocks":   {nil, nil, make([]byte, 25)},
		"long material":   {nil, nil, make([]byte, hsm.MaxKWP+8)},
		"long binding":    {make([]byte, hsm.MaxBinding+1), nil, make([]byte, 24)},
		"long public key": {nil, make([]byte, hsm.MaxPublic+1), make([]byte, 24)},
	} {
		if blob, err := hsm.SealWrapped(hsm.P256, hsm.UseSign, c.binding, c.public, c.kwp, testMAC); !errors.Is(err, hsm.ErrInvalidInput) || blob != nil {
			t.Errorf("%s: %x, %v", name, blob, err)
		}
	}
}

// FuzzOpenWrapped: nothing opens but what SealWrapped makes.
func FuzzOpenWrapped(f *testing.F) {
	m := sealed(f)
	f.Add(m.Blob, m.Binding, m.Public)
	f.Add([]byte{1}, []byte{}, []byte{})
	f.Add(make([]byte, 49), []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, blob, binding, public []byte) {
		m := hsm.Material{Type: hsm.P256, Usage: hsm.UseSign, Binding: binding, Wrapped: hsm.Wrapped{Blob: blob, Public: public}}
		kwp, err := hsm.OpenWrapped(m, testMAC)
		if err != nil {
			if !errors.Is(err, hsm.ErrIntegrity) || kwp != nil {
				t.Fatalf("%x, %v", kwp, err)
			}
			return
		}
		again, err := hsm.SealWrapped(m.Type, m.Usage, binding, public, kwp, testMAC)
		if err != nil || !bytes.Equal(again, blob) {
			t.Fatalf("%x opens, and is sealed as %x, %v", blob, again, err)
		}
	})
}

func TestDomainExport(t *testing.T) {
	wrapBlock, authBlock := bytes.Repeat([]byte{1}, 384), bytes.Repeat([]byte{2}, 384)
	export, err := hsm.SealDomainExport("d1", wrapBlock, authBlock, testMAC)
	if err != nil {
		t.Fatal(err)
	}
	e, err := hsm.ParseDomainExport(export)
	if err != nil || !bytes.Equal(e.WrapBlock, wrapBlock) || !bytes.Equal(e.AuthBlock, authBlock) {
		t.Fatalf("ParseDomainExport: %v", err)
	}
	if err := e.Verify("d1", testMAC); err != nil {
		t.Error(err)
	}
	if err := e.Verify("d2", testMAC); !errors.Is(err, hsm.ErrIntegrity) {
		t.Errorf("under another id: %v", err)
	}
	e.WrapBlock = authBlock
	if err := e.Verify("d1", testMAC); !errors.Is(err, hsm.ErrIntegrity) {
		t.Errorf("with another half: %v", err)
	}
	for n := range len(export) {
		if _, err := hsm.ParseDomainExport(export[:n]); !errors.Is(err, hsm.ErrIntegrity) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := hsm.SealDomainExport("d", wrapBlock[:256], authBlock[:256], testMAC); !errors.Is(err, hsm.ErrInvalidInput) {
		t.Errorf("RSA-2048 blocks: %v", err)
	}
}

func FuzzParseDomainExport(f *testing.F) {
	export, _ := hsm.SealDomainExport("d1", make([]byte, 384), make([]byte, 384), testMAC)
	f.Add(export)
	f.Add([]byte{1, 1, 128})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := hsm.ParseDomainExport(b)
		if err != nil {
			if !errors.Is(err, hsm.ErrIntegrity) {
				t.Fatal(err)
			}
			return
		}
		again, err := hsm.SealDomainExport("d", e.WrapBlock, e.AuthBlock, func([]byte) ([32]byte, error) { return e.Tag, nil })
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x parses, and is sealed as %x, %v", b, again, err)
		}
	})
}

// TestNamesComplete: every number of the interface has a name and keeps its number.
func TestNamesComplete(t *testing.T) {
	for want, got := range map[string]string{
		"symmetric-256": hsm.KeyType(1).String(), "HMAC-512": hsm.KeyType(5).String(), "RSA-4096": hsm.KeyType(12).String(),
		"secp256k1": hsm.KeyType(23).String(), "ML-DSA-87": hsm.KeyType(32).String(), "key type 99": hsm.KeyType(99).String(),
		"unwrap": hsm.Usage(6).String(), "RSAES-OAEP-SHA-1": hsm.Algorithm(20).String(), "ML-DSA-external-mu": hsm.Algorithm(13).String(),
		"RSA-AES-key-wrap-SHA-256": hsm.WrapMechanism(4).String(),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if !errors.Is(hsm.ErrWrongMaterial, hsm.ErrInvalidInput) {
		t.Error("ErrWrongMaterial is no ErrInvalidInput")
	}
}

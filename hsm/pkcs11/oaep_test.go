package pkcs11

import (
	"bytes"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"math/big"
	"slices"
	"sync"
	"testing"

	"github.com/c2sp/wycheproof"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
)

var testRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return publishedrsa.Generate(2048) })

// testHashes leaves out what the mode of the tests forbids.
func testHashes() []oaepHash {
	if fips140.Enforced() {
		return []oaepHash{oaepSHA256}
	}
	return []oaepHash{oaepSHA1, oaepSHA256}
}

// raw is the RSA operation without padding, which the token does.
func raw(priv *rsa.PrivateKey, c []byte) []byte {
	m := new(big.Int).Exp(new(big.Int).SetBytes(c), priv.D, priv.N)
	return m.FillBytes(make([]byte, priv.Size()))
}

// TestUnpadOAEP takes off what crypto/rsa padded, for every length.
func TestUnpadOAEP(t *testing.T) {
	priv, err := testRSA()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range testHashes() {
		limit := h.maxPlain(priv.Size())
		for _, n := range []int{0, 1, 32, limit - 1, limit} {
			want := randomBytes(n)
			c, err := rsa.EncryptOAEP(h.crypto().New(), rand.Reader, &priv.PublicKey, want, nil)
			if err != nil {
				t.Fatal(err)
			}
			em := raw(priv, c)
			got, ok := unpadOAEP(h, em)
			if ok != 1 || !bytes.Equal(got, want) {
				t.Errorf("%v, %d bytes: %x, %d", h, n, got, ok)
			}
			if !bytes.Equal(em, make([]byte, len(em))) {
				t.Errorf("%v, %d bytes: the padded message is not wiped", h, n)
			}
		}
		if _, err := rsa.EncryptOAEP(h.crypto().New(), rand.Reader, &priv.PublicKey, make([]byte, limit+1), nil); err == nil {
			t.Errorf("%v: maxPlain is too low", h)
		}
	}
}

// pad builds a padded message with whatever is wrong in it.
func pad(h oaepHash, size int, first byte, db []byte) []byte {
	hLen := h.crypto().Size()
	em := make([]byte, size)
	em[0] = first
	rand.Read(em[1 : 1+hLen])
	copy(em[1+hLen:], db)
	mgf1XOR(em[1+hLen:], h, em[1:1+hLen])
	mgf1XOR(em[1:1+hLen], h, em[1+hLen:])
	return em
}

// TestUnpadOAEPRefusals: each part of the padding is checked.
func TestUnpadOAEPRefusals(t *testing.T) {
	const size = 256
	for _, h := range testHashes() {
		label := h.crypto().New().Sum(nil)
		db := make([]byte, size-len(label)-1)
		copy(db, label)
		copy(db[len(db)-3:], []byte{1, 'h', 'i'})
		change := func(f func(db []byte)) []byte {
			c := bytes.Clone(db)
			f(c)
			return c
		}
		if got, ok := unpadOAEP(h, pad(h, size, 0, db)); ok != 1 || string(got) != "hi" {
			t.Fatalf("%v: %q, %d", h, got, ok)
		}
		for name, em := range map[string][]byte{
			"first byte":        pad(h, size, 1, db),
			"label hash":        pad(h, size, 0, change(func(db []byte) { db[0] ^= 1 })),
			"end of label hash": pad(h, size, 0, change(func(db []byte) { db[len(label)-1] ^= 0x80 })),
			"no separator":      pad(h, size, 0, change(func(db []byte) { clear(db[len(label):]) })),
			"another separator": pad(h, size, 0, change(func(db []byte) { db[len(db)-3] = 2 })),
			"noise before it":   pad(h, size, 0, change(func(db []byte) { db[len(label)+5] = 7 })),
			"zeros":             make([]byte, size),
			"too short":         make([]byte, 2*len(label)+1),
			"nothing":           nil,
		} {
			if got, ok := unpadOAEP(h, em); ok != 0 || got != nil {
				t.Errorf("%v, %s: %q, %d", h, name, got, ok)
			}
		}
	}
}

// TestUnpadOAEPWycheproof runs published vectors with an empty label.
func TestUnpadOAEPWycheproof(t *testing.T) {
	for file, h := range map[string]oaepHash{
		"rsa_oaep_2048_sha1_mgf1sha1_test.json":     oaepSHA1,
		"rsa_oaep_2048_sha256_mgf1sha256_test.json": oaepSHA256,
		"rsa_oaep_3072_sha256_mgf1sha256_test.json": oaepSHA256,
	} {
		if !slices.Contains(testHashes(), h) {
			continue
		}
		text, err := fs.ReadFile(wycheproof.TestVectors, file)
		if err != nil {
			t.Fatal(err)
		}
		var v struct {
			TestGroups []struct {
				PrivateKeyPkcs8 string
				Tests           []struct {
					TcID                   int
					Msg, Ct, Label, Result string
				}
			}
		}
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		ran := 0
		for _, g := range v.TestGroups {
			der, _ := hex.DecodeString(g.PrivateKeyPkcs8)
			key, err := x509.ParsePKCS8PrivateKey(der)
			if err != nil {
				t.Fatal(err)
			}
			priv := key.(*rsa.PrivateKey)
			for _, c := range g.Tests {
				ct, _ := hex.DecodeString(c.Ct)
				if c.Label != "" || len(ct) != priv.Size() || new(big.Int).SetBytes(ct).Cmp(priv.N) >= 0 {
					continue // not for this function: key.inRange refuses those before
				}
				ran++
				got, ok := unpadOAEP(h, raw(priv, ct))
				if want := c.Result != "invalid"; (ok == 1) != want || want && hex.EncodeToString(got) != c.Msg {
					t.Errorf("%s %d (%s): %x, %d", file, c.TcID, c.Result, got, ok)
				}
			}
		}
		if ran < 10 {
			t.Errorf("%s: %d vectors", file, ran)
		}
	}
}

// FuzzUnpadOAEP: whatever the bytes, what is unpadded is what was padded.
func FuzzUnpadOAEP(f *testing.F) {
	f.Add([]byte("message"), []byte("seed"), byte(0))
	f.Add([]byte{}, []byte{}, byte(1))
	f.Add(bytes.Repeat([]byte{1}, 190), []byte{255}, byte(0))
	f.Fuzz(func(t *testing.T, message, noise []byte, first byte) {
		const size = 256
		for _, h := range testHashes() {
			unpadOAEP(h, bytes.Clone(noise))
			if len(message) > h.maxPlain(size) {
				continue
			}
			label := h.crypto().New().Sum(nil)
			db := make([]byte, size-len(label)-1)
			copy(db, label)
			db[len(db)-len(message)-1] = 1
			copy(db[len(db)-len(message):], message)
			got, ok := unpadOAEP(h, pad(h, size, first, db))
			if (ok == 1) != (first == 0) || ok == 1 && !bytes.Equal(got, message) {
				t.Errorf("%x, %d; want %x", got, ok, message)
			}
		}
	})
}

// TestDecryptBlame: a padding error is the client's fault, a failing token is not, although both say the same.
func TestDecryptBlame(t *testing.T) {
	r := newRig(t)
	cfg := r.newToken()
	m := r.open(cfg)
	k := newKey(t, m, hsm.RSA2048, hsm.UseDecrypt)
	c, err := k.Encrypt(t.Context(), hsm.RSAOAEPSHA1, []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(c)
	bad[100] ^= 1
	if _, err := k.Decrypt(t.Context(), hsm.RSAOAEPSHA1, bad); !errors.Is(err, hsm.ErrInvalidInput) || errors.Is(err, hsm.ErrUnavailable) {
		t.Errorf("bad ciphertext: %v", err)
	}
	r.hook.set(failOn("C_Decrypt"))
	for _, ct := range [][]byte{bad, c} {
		if _, err := k.Decrypt(t.Context(), hsm.RSAOAEPSHA1, ct); errors.Is(err, hsm.ErrInvalidInput) || !errors.Is(err, hsm.ErrUnavailable) {
			t.Errorf("a token that cannot decrypt: %v", err)
		}
	}
	r.hook.set(nil)
	if got, err := k.Decrypt(t.Context(), hsm.RSAOAEPSHA1, c); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
}

package hsmtest

import (
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/trentkms/trent/hsm"
)

// openssl runs the openssl command in a directory of files; the test is skipped without it.
type openssl struct {
	*suite
	dir string
}

func (s *suite) openssl() openssl {
	s.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		s.Skip("openssl is not installed")
	}
	return openssl{s, s.TempDir()}
}

func (o openssl) write(name string, content []byte) {
	o.Helper()
	o.must(os.WriteFile(filepath.Join(o.dir, name), content, 0o600))
}

func (o openssl) read(name string) []byte {
	o.Helper()
	b, err := os.ReadFile(filepath.Join(o.dir, name))
	o.must(err)
	return b
}

func (o openssl) run(args ...string) {
	o.Helper()
	cmd := exec.CommandContext(o.Context(), "openssl", args...)
	cmd.Dir = o.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		o.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// testSignOpenSSL verifies signatures with openssl against the public key as the module gives it (spec 06 PUB-08).
func testSignOpenSSL(s *suite) {
	o, id := s.openssl(), s.newDomain()
	for _, t := range []hsm.KeyType{hsm.RSA2048, hsm.P256, hsm.P384, hsm.P521, hsm.Secp256k1, hsm.Ed25519} {
		if !s.caps.Can(t, hsm.UseSign) {
			continue
		}
		mat := s.generate(id, t, hsm.UseSign)
		k := s.load(mat)
		for _, alg := range s.caps.Keys[hsm.KeyUse{Type: t, Usage: hsm.UseSign}] {
			if alg == hsm.Ed25519ph {
				continue // openssl 3.0 has pure Ed25519 only
			}
			s.sub(t.String()+"/"+alg.String(), func(s *suite) {
				o.suite = s
				in := random(max(32, alg.DigestSize()))
				sig, err := k.Sign(s.Context(), alg, in)
				s.must(err)
				o.write("public.der", mat.Public)
				o.write("in", in)
				o.write("sig", sig)
				args := []string{"pkeyutl", "-verify", "-pubin", "-inkey", "public.der", "-keyform", "DER", "-in", "in", "-sigfile", "sig"}
				o.run(append(args, opensslOptions(alg)...)...)
			})
		}
	}
}

func opensslOptions(alg hsm.Algorithm) []string {
	if alg == hsm.Ed25519Pure {
		return []string{"-rawin"}
	}
	opts := []string{"-pkeyopt", "digest:" + strings.ReplaceAll(strings.ToLower(digestHash(alg).String()), "-", "")}
	switch {
	case alg >= hsm.RSAPSSSHA256 && alg <= hsm.RSAPSSSHA512:
		opts = append(opts, "-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest")
	case alg <= hsm.RSAPKCS1SHA512:
		opts = append(opts, "-pkeyopt", "rsa_padding_mode:pkcs1")
	}
	return opts
}

// testImportOpenSSL wraps with the commands of the published guide (spec 07 WRP-08) and imports.
func testImportOpenSSL(s *suite) {
	if !s.caps.Can(hsm.RSA3072, hsm.UseUnwrap) {
		s.Skip("the module claims no import")
	}
	o, id := s.openssl(), s.newDomain()
	w := s.wrappingKey(id, hsm.RSA3072)
	o.write("WrappingPublicKey.bin", w.spki)
	gen := map[hsm.KeyType][]string{
		hsm.RSA2048:   {"genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "pem"},
		hsm.P384:      {"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", "pem"},
		hsm.P521:      {"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521", "-out", "pem"},
		hsm.Secp256k1: {"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1", "-out", "pem"},
		hsm.Ed25519:   {"genpkey", "-algorithm", "ED25519", "-out", "pem"},
		hsm.Symmetric: {"rand", "-out", "key", "32"},
	}
	for _, mech := range allMechanisms {
		for t, command := range gen {
			if !slices.Contains(s.caps.Import[mech], t) {
				continue
			}
			s.sub(mech.String()+"/"+t.String(), func(s *suite) {
				o.suite = s
				o.run(command...)
				if t.Asymmetric() { // genpkey writes the older formats in DER, so the guide converts
					o.run("pkcs8", "-topk8", "-nocrypt", "-in", "pem", "-outform", "DER", "-out", "key")
				}
				want := sample{material: o.read("key")}
				if t.Asymmetric() {
					o.run("pkey", "-inform", "DER", "-in", "key", "-pubout", "-outform", "DER", "-out", "public")
					want.public = o.read("public")
				}
				s.checkImport(id, w, mech, o.wrap(mech), t, want)
			})
		}
	}
}

// wrap wraps the file key for WrappingPublicKey.bin.
func (o openssl) wrap(mech hsm.WrapMechanism) []byte {
	o.Helper()
	md := "sha256"
	if mech == hsm.WrapOAEPSHA1 || mech == hsm.WrapRSAAESKWSHA1 {
		md = "sha1"
	}
	oaep := func(in, out string) {
		o.Helper()
		o.run("pkeyutl", "-encrypt", "-in", in, "-out", out, "-inkey", "WrappingPublicKey.bin", "-keyform", "DER", "-pubin",
			"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:"+md, "-pkeyopt", "rsa_mgf1_md:"+md)
	}
	if mech == hsm.WrapOAEPSHA1 || mech == hsm.WrapOAEPSHA256 {
		oaep("key", "wrapped")
		return o.read("wrapped")
	}
	o.run("rand", "-out", "aes", "32")
	o.run("enc", "-id-aes256-wrap-pad", "-K", hex.EncodeToString(o.read("aes")), "-iv", "A65959A6", "-in", "key", "-out", "tail")
	oaep("aes", "head")
	return append(o.read("head"), o.read("tail")...)
}

package hsmtest

import (
	"bytes"
	"crypto/aes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/kwp"
)

// needUnder skips the test unless material can travel under an AES key.
func (s *suite) needUnder() {
	s.Helper()
	s.need(hsm.AES256, hsm.UseWrap)
	s.need(hsm.AES256, hsm.UseUnwrap)
	if len(s.caps.Import[hsm.WrapAESKWP]) == 0 {
		s.Skip("the module imports nothing under an AES key")
	}
}

// testExportUnder moves a key of each type as between two regions: an AES key of the one goes to the other by RSA, and the material
// under that.
func testExportUnder(s *suite) {
	s.needUnder()
	mech := exportMechanism(s)
	from, to := s.newDomain(), s.newDomain()
	pair := s.generate(to, hsm.RSA3072, hsm.UseUnwrap)
	message := s.generate(from, hsm.AES256, hsm.UseWrap)
	crossing, err := s.m.Export(s.Context(), message, hsm.TransportKey{SPKI: pair.Public, Mechanism: mech})
	s.must(err)
	theirs := hsm.Material{Domain: to, Type: hsm.AES256, Usage: hsm.UseUnwrap, Binding: []byte("message")}
	theirs.Wrapped, err = s.m.Import(s.Context(), s.load(pair), mech, crossing, to, theirs.Type, theirs.Usage, theirs.Binding)
	s.must(err)
	wraps, unwraps := s.load(message), s.load(theirs)
	for _, t := range s.caps.Import[hsm.WrapAESKWP] {
		if t.ModulusBits() > 2048 || t == hsm.HMAC224 && padsWrapped(s) {
			continue
		}
		s.sub(t.String(), func(s *suite) {
			u := s.anyUsage(t)
			mat := s.generate(from, t, u)
			out, err := s.m.ExportUnder(s.Context(), wraps, mat)
			s.must(err)
			moved := hsm.Material{Domain: to, Type: t, Usage: u, Binding: []byte("another region")}
			moved.Wrapped, err = s.m.Import(s.Context(), unwraps, hsm.WrapAESKWP, out, to, t, u, moved.Binding)
			s.must(err)
			s.wantBytes("Public after ExportUnder and Import", moved.Public, mat.Public)
			switch u {
			case hsm.UseMAC:
				a, err := s.load(mat).MAC(s.Context(), []byte("m"))
				s.must(err)
				b, err := s.load(moved).MAC(s.Context(), []byte("m"))
				s.must(err)
				s.wantBytes("MAC after ExportUnder and Import", b, a)
			case hsm.UseDerive, hsm.UseSign:
				sameKey(s, u, s.load(mat), s.load(moved))
			}
		})
	}
	mat := s.generate(from, hsm.Symmetric, hsm.UseDerive)
	_, err = s.m.ExportUnder(s.Context(), unwraps, mat)
	s.wantErr("ExportUnder with a key that unwraps", err, hsm.ErrUnsupported)
	_, err = s.m.ExportUnder(s.Context(), s.load(mat), mat)
	s.wantErr("ExportUnder with a key that derives", err, hsm.ErrUnsupported)
	mat.Binding = append(mat.Binding, 0)
	_, err = s.m.ExportUnder(s.Context(), wraps, mat)
	s.wantErr("ExportUnder of a blob with another binding", err, hsm.ErrIntegrity)
}

// padsWrapped tells of a token that wraps keys with zeros behind them, and says so: it does not take them in again as what they were.
func padsWrapped(s *suite) bool {
	return slices.ContainsFunc(s.caps.Missing, func(m string) bool { return strings.HasPrefix(m, "exact key wrap") })
}

// aesPair puts an AES key that the test knows into the module, for wrapping and for unwrapping.
func (s *suite) aesPair(id hsm.DomainID, secret []byte) (wraps, unwraps hsm.Key) {
	s.Helper()
	d := s.domainKeys(id)
	return s.load(s.forge(id, d, hsm.AES256, hsm.UseWrap, secret, nil)), s.load(s.forge(id, d, hsm.AES256, hsm.UseUnwrap, secret, nil))
}

// testExportUnderOpenSSL opens what the module wraps under an AES key with the openssl command, and has it wrap what the module takes in.
func testExportUnderOpenSSL(s *suite) {
	s.needUnder()
	o, id, kek, secret := s.openssl(), s.newDomain(), random(32), random(32)
	wraps, unwraps := s.aesPair(id, kek)
	enc := []string{"enc", "-id-aes256-wrap-pad", "-iv", "a65959a6", "-K", hex.EncodeToString(kek), "-in", "in", "-out", "out"}
	out, err := s.m.ExportUnder(s.Context(), wraps, s.forge(id, s.domainKeys(id), hsm.Symmetric, hsm.UseDerive, secret, nil))
	s.must(err)
	o.write("in", out)
	o.run(append(enc, "-d")...)
	s.wantBytes("what openssl unwraps", o.read("out"), secret)
	for _, t := range []hsm.KeyType{hsm.Symmetric, hsm.P256, hsm.RSA2048, hsm.Ed25519} {
		if !slices.Contains(s.caps.Import[hsm.WrapAESKWP], t) {
			continue
		}
		s.sub(t.String(), func(s *suite) {
			o.suite = s
			want := s.sample(t)
			o.write("in", want.material)
			o.run(append(enc, "-e")...)
			s.checkImport(id, wrappingKey{Key: unwraps}, hsm.WrapAESKWP, o.read("out"), t, want)
		})
	}
}

// testImportUnderRefusals offers what must not come in under an AES key.
func testImportUnderRefusals(s *suite) {
	s.needUnder()
	id, kek := s.newDomain(), random(32)
	wraps, unwraps := s.aesPair(id, kek)
	wrap := func(kek, material []byte) []byte {
		block, err := aes.NewCipher(kek)
		s.must(err)
		out, err := kwp.Wrap(block, material)
		s.must(err)
		return out
	}
	good := wrap(kek, random(32))
	take := func(k hsm.Key, mech hsm.WrapMechanism, t hsm.KeyType, u hsm.Usage, encrypted []byte) error {
		got, err := s.m.Import(s.Context(), k, mech, encrypted, id, t, u, nil)
		if got.Blob != nil && err != nil {
			s.Error("material beside an error")
		}
		return err
	}
	for name, encrypted := range map[string][]byte{
		"nothing": nil, "one byte": {1}, "a cut blob": good[:len(good)-1], "a cut block": good[:len(good)-8], "a longer blob": append(bytes.Clone(good), 0),
		"a changed start": flipped(good, 0), "a changed end": flipped(good, len(good)-1), "another key's": wrap(random(32), random(32)),
		"zeros": make([]byte, len(good)), "too much": random(hsm.MaxKWP + 8),
	} {
		err := take(unwraps, hsm.WrapAESKWP, hsm.Symmetric, hsm.UseDerive, encrypted)
		s.wantErr("Import of "+name, err, hsm.ErrInvalidInput)
		if errors.Is(err, hsm.ErrWrongMaterial) {
			s.Errorf("Import of %s: %v", name, err)
		}
	}
	s.must(take(unwraps, hsm.WrapAESKWP, hsm.Symmetric, hsm.UseDerive, good))
	want := hsm.ErrWrongMaterial
	if s.opts.CoarseImport {
		want = hsm.ErrInvalidInput
	}
	s.wantErr("Import of 31 bytes", take(unwraps, hsm.WrapAESKWP, hsm.Symmetric, hsm.UseDerive, wrap(kek, random(31))), want)
	s.wantErr("Import of 40 bytes", take(unwraps, hsm.WrapAESKWP, hsm.Symmetric, hsm.UseDerive, wrap(kek, random(40))), want)
	s.wantErr("Import with a key that wraps", take(wraps, hsm.WrapAESKWP, hsm.Symmetric, hsm.UseDerive, good), hsm.ErrUnsupported)
	s.wantErr("Import of an AES key under another", take(unwraps, hsm.WrapAESKWP, hsm.AES256, hsm.UseUnwrap, good), hsm.ErrUnsupported)
	s.wantErr("Import with an RSA mechanism and an AES key", take(unwraps, exportMechanism(s), hsm.Symmetric, hsm.UseDerive, good), hsm.ErrUnsupported)
	if s.caps.Can(hsm.RSA2048, hsm.UseUnwrap) {
		s.wantErr("Import under an RSA key", take(s.generated(id, hsm.RSA2048, hsm.UseUnwrap), hsm.WrapAESKWP, hsm.Symmetric, hsm.UseDerive, good), hsm.ErrUnsupported)
	}
}

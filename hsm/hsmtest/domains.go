package hsmtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"strings"
	"sync"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/hsmtest/publishedrsa"
)

// testDomains checks creation, presence and removal, and the errors around them.
func testDomains(s *suite) {
	ctx, id := s.Context(), s.newDomain()
	s.wantErr("CreateDomain again", s.m.CreateDomain(ctx, id), hsm.ErrDomainExists)
	if has, err := s.m.HasDomain(ctx, id); !has || err != nil {
		s.Errorf("HasDomain: %v, %v", has, err)
	}
	none := s.freeID()
	if has, err := s.m.HasDomain(ctx, none); has || err != nil {
		s.Errorf("HasDomain of an absent one: %v, %v", has, err)
	}
	for _, bad := range []hsm.DomainID{"", "A", "a b", "ä", "a/b", "a_b", hsm.DomainID(strings.Repeat("a", 65))} {
		s.wantErr("CreateDomain "+string(bad), s.m.CreateDomain(ctx, bad), hsm.ErrInvalidInput)
	}
	long := hsm.DomainID(strings.Repeat("z", 55)) + s.freeID()[:9]
	s.must(s.m.CreateDomain(ctx, long))
	s.must(s.m.DestroyDomain(ctx, long))

	mat := s.generate(id, hsm.Symmetric, hsm.UseDerive)
	s.must(s.m.DestroyDomain(ctx, id))
	s.must(s.m.DestroyDomain(ctx, id))
	if has, err := s.m.HasDomain(ctx, id); has || err != nil {
		s.Errorf("HasDomain of a destroyed one: %v, %v", has, err)
	}
	testNoDomain(s, mat)
	s.must(s.m.CreateDomain(ctx, id))
	_, err := s.m.Load(ctx, mat)
	s.wantErr("Load under a new domain key of the old id", err, hsm.ErrIntegrity)
}

// testNoDomain checks every method that names the absent domain key of mat.
func testNoDomain(s *suite, mat hsm.Material) {
	ctx, other := s.Context(), s.newDomain()
	_, err := s.m.Generate(ctx, mat.Domain, hsm.Symmetric, hsm.UseDerive, nil)
	s.wantErr("Generate", err, hsm.ErrNoDomain)
	_, err = s.m.Load(ctx, mat)
	s.wantErr("Load", err, hsm.ErrNoDomain)
	_, err = s.m.Rewrap(ctx, mat, other)
	s.wantErr("Rewrap from", err, hsm.ErrNoDomain)
	_, err = s.m.Rewrap(ctx, s.generate(other, hsm.Symmetric, hsm.UseDerive), mat.Domain)
	s.wantErr("Rewrap to", err, hsm.ErrNoDomain)
	_, err = s.m.DomainPRF(ctx, mat.Domain, "label", nil)
	s.wantErr("DomainPRF", err, hsm.ErrNoDomain)
	_, err = s.m.ExportDomain(ctx, mat.Domain, s.anyReceiver().key)
	s.wantErr("ExportDomain", err, hsm.ErrNoDomain, hsm.ErrUnsupported)
}

// testDomainsDurable checks that what was promised is there after a restart, and that what was destroyed is not.
func testDomainsDurable(s *suite) {
	if s.opts.Reopen == nil {
		s.Skip("no Reopen for this module")
	}
	ctx := s.Context()
	m := s.open(s.T)
	kept, gone := s.freeID(), s.freeID()
	s.must(m.CreateDomain(ctx, kept))
	s.must(m.CreateDomain(ctx, gone))
	w, err := m.Generate(ctx, kept, hsm.Symmetric, hsm.UseDerive, []byte("b"))
	s.must(err)
	s.must(m.DestroyDomain(ctx, gone))
	transport, err := m.Transport(ctx)
	s.must(err)

	m = s.opts.Reopen(s.T, m)
	defer m.Close()
	defer m.DestroyDomain(ctx, kept)
	if has, err := m.HasDomain(ctx, gone); has || err != nil {
		s.Errorf("a destroyed domain key is there after a restart: %v, %v", has, err)
	}
	k, err := m.Load(ctx, hsm.Material{Domain: kept, Type: hsm.Symmetric, Usage: hsm.UseDerive, Binding: []byte("b"), Wrapped: w})
	s.must(err)
	k.Destroy()
	again, err := m.Transport(ctx)
	s.must(err)
	if !bytes.Equal(again.SPKI, transport.SPKI) || again.Mechanism != transport.Mechanism {
		s.Error("the transport key changed with a restart")
	}
}

// testDomainPRF checks the function against its definition and its separation of labels and domains.
func testDomainPRF(s *suite) {
	ctx, id, other := s.Context(), s.newDomain(), s.newDomain()
	keys := s.domainKeys(id)
	for _, c := range []struct{ label, input string }{{"a", ""}, {"a", "bc"}, {"ab", "c"}, {strings.Repeat("l", hsm.MaxLabel), strings.Repeat("i", 3000)}} {
		got, err := s.m.DomainPRF(ctx, id, c.label, []byte(c.input))
		s.must(err)
		h := hmac.New(sha256.New, keys.auth)
		h.Write([]byte{byte(len(c.label))})
		h.Write([]byte(c.label + c.input))
		s.wantBytes("DomainPRF "+c.label, got[:], h.Sum(nil))
		elsewhere, err := s.m.DomainPRF(ctx, other, c.label, []byte(c.input))
		s.must(err)
		if elsewhere == got {
			s.Errorf("DomainPRF %q is the same under another domain key", c.label)
		}
	}
	for _, bad := range []string{"", strings.Repeat("l", hsm.MaxLabel+1), hsm.LabelWrapped, hsm.LabelDomainExport, hsm.ReservedLabelPrefix} {
		out, err := s.m.DomainPRF(ctx, id, bad, nil)
		s.wantErr("DomainPRF with label "+bad, err, hsm.ErrInvalidInput)
		if out != [32]byte{} {
			s.Errorf("DomainPRF with label %q: output beside an error", bad)
		}
	}
}

// receiver is a transport key whose private half the test holds.
type receiver struct {
	priv *rsa.PrivateKey
	key  hsm.TransportKey
}

// receiverPair is made once: RSA-3072 takes a while.
var receiverPair = sync.OnceValues(func() (*rsa.PrivateKey, error) { return publishedrsa.Generate(3072) })

// anyReceiver returns a receiver with the better mechanism.
func (s *suite) anyReceiver() receiver {
	s.Helper()
	priv, err := receiverPair()
	s.must(err)
	return receiver{priv, hsm.TransportKey{SPKI: s.pkixFor(&priv.PublicKey), Mechanism: hsm.WrapOAEPSHA256}}
}

// receiver returns a receiver with the best mechanism that the module exports with.
func (s *suite) receiver() receiver {
	s.Helper()
	r := s.anyReceiver()
	_, err := s.m.ExportDomain(s.Context(), s.newDomain(), r.key)
	if errors.Is(err, hsm.ErrUnsupported) {
		r.key.Mechanism = hsm.WrapOAEPSHA1
		return r
	}
	s.must(err)
	return r
}

// testExportRefusals checks that domain keys leave for sound transport keys only.
func testExportRefusals(s *suite) {
	ctx, id, good := s.Context(), s.newDomain(), s.receiver().key
	short, err := publishedrsa.Generate(2048)
	s.must(err)
	shortSPKI, err := x509.MarshalPKIXPublicKey(&short.PublicKey)
	s.must(err)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.must(err)
	curveSPKI, err := x509.MarshalPKIXPublicKey(&curve.PublicKey)
	s.must(err)
	for name, spki := range map[string][]byte{
		"RSA-2048": shortSPKI, "P-256": curveSPKI, "nothing": nil, "half a key": good.SPKI[:100], "a longer key": append(bytes.Clone(good.SPKI), 0),
	} {
		_, err := s.m.ExportDomain(ctx, id, hsm.TransportKey{SPKI: spki, Mechanism: good.Mechanism})
		s.wantErr("ExportDomain for "+name, err, hsm.ErrInvalidInput)
	}
	for _, mech := range []hsm.WrapMechanism{0, hsm.WrapRSAAESKWSHA1, hsm.WrapRSAAESKWSHA256, 99} {
		_, err := s.m.ExportDomain(ctx, id, hsm.TransportKey{SPKI: good.SPKI, Mechanism: mech})
		s.wantErr("ExportDomain with "+mech.String(), err, hsm.ErrUnsupported)
	}
	if good.Mechanism == hsm.WrapOAEPSHA256 {
		_, err := s.m.ExportDomain(ctx, id, hsm.TransportKey{SPKI: good.SPKI, Mechanism: hsm.WrapOAEPSHA1})
		s.wantErr("ExportDomain with SHA-1 that was not allowed", err, hsm.ErrUnsupported)
	}
}

// testExportImport carries a domain key from one token to another.
func testExportImport(s *suite) {
	if s.opts.Shared {
		s.Skip("one token for all modules")
	}
	ctx, id := s.Context(), s.newDomain()
	mat := s.generate(id, hsm.Symmetric, hsm.UseDerive)
	second := s.newModule()
	to, err := second.Transport(ctx)
	s.must(err)
	export, err := s.m.ExportDomain(ctx, id, to)
	s.must(err)

	for _, at := range []int{0, 1, 3, 200, 3 + len(export)/2, len(export) - 1} {
		s.wantErr("ImportDomain, changed", second.ImportDomain(ctx, id, flipped(export, at)), hsm.ErrIntegrity)
	}
	for _, bad := range [][]byte{nil, {1}, export[:len(export)-1], append(bytes.Clone(export), 0)} {
		s.wantErr("ImportDomain, cut", second.ImportDomain(ctx, id, bad), hsm.ErrIntegrity)
	}
	s.wantErr("ImportDomain under another id", second.ImportDomain(ctx, s.freeID(), export), hsm.ErrIntegrity)
	s.wantErr("ImportDomain in another module", s.m.ImportDomain(ctx, id, export), hsm.ErrIntegrity)
	if has, err := second.HasDomain(ctx, id); has || err != nil {
		s.Errorf("a refused import left the domain key: %v, %v", has, err)
	}
	s.must(second.ImportDomain(ctx, id, export))
	s.must(second.ImportDomain(ctx, id, export))
	testSameKey(s, second, mat)

	taken := s.freeID()
	s.must(second.CreateDomain(ctx, taken))
	s.must(s.m.CreateDomain(ctx, taken))
	export, err = s.m.ExportDomain(ctx, taken, to)
	s.must(err)
	s.wantErr("ImportDomain over another key", second.ImportDomain(ctx, taken, export), hsm.ErrDomainExists)
}

// testSameKey checks that material made by the test's module works alike in another.
func testSameKey(s *suite, second hsm.Module, mat hsm.Material) {
	s.Helper()
	other, err := second.Load(s.Context(), mat)
	s.must(err)
	defer other.Destroy()
	var a, b [32]byte
	s.must(s.load(mat).DeriveKey(s.Context(), []byte("fixed"), &a))
	s.must(other.DeriveKey(s.Context(), []byte("fixed"), &b))
	if a != b {
		s.Error("the same material derives another key in the second module")
	}
	p, err := s.m.DomainPRF(s.Context(), mat.Domain, "label", nil)
	s.must(err)
	q, err := second.DomainPRF(s.Context(), mat.Domain, "label", nil)
	s.must(err)
	if p != q {
		s.Error("DomainPRF differs in the second module")
	}
}

// testTransport checks the transport pair and its replacement.
func testTransport(s *suite) {
	ctx := s.Context()
	first, err := s.m.Transport(ctx)
	s.must(err)
	parsed, err := x509.ParsePKIXPublicKey(first.SPKI)
	s.must(err)
	if pub, ok := parsed.(*rsa.PublicKey); !ok || pub.N.BitLen() < 3072 {
		s.Errorf("the transport key is %T, or too short", parsed)
	}
	if first.Mechanism != hsm.WrapOAEPSHA256 && first.Mechanism != hsm.WrapOAEPSHA1 {
		s.Errorf("transport mechanism %v", first.Mechanism)
	}
	again, err := s.m.Transport(ctx)
	s.must(err)
	s.wantBytes("the transport key, asked again", again.SPKI, first.SPKI)

	id := s.newDomain()
	old, err := s.m.ExportDomain(ctx, id, first)
	s.must(err)
	s.must(s.m.ImportDomain(ctx, id, old))
	if s.opts.Shared {
		return // others use the pair
	}
	replaced, err := s.m.ReplaceTransport(ctx)
	s.must(err)
	if bytes.Equal(replaced.SPKI, first.SPKI) {
		s.Error("ReplaceTransport kept the key")
	}
	again, err = s.m.Transport(ctx)
	s.must(err)
	s.wantBytes("the transport key after its replacement", again.SPKI, replaced.SPKI)
	s.must(s.m.DestroyDomain(ctx, id))
	s.wantErr("ImportDomain for the old transport key", s.m.ImportDomain(ctx, id, old), hsm.ErrIntegrity)
	if has, err := s.m.HasDomain(ctx, id); has || err != nil {
		s.Error(errors.Join(errors.New("an export for the old transport key came in"), err))
	}
}

// Package hsmtest holds the conformance suite that every hsm.Module must pass, and Faulty, a module that fails on
// demand for the tests of other packages.
//
// The suite tests each promise in the comments of package hsm for whatever the module claims in its Capabilities, and
// that what it does not claim is hsm.ErrUnsupported. Results are checked against independent implementations: the
// standard library, the openssl command where it is installed, and published vectors. Keys with known secrets get into
// a module by way of the published blob format, so that the suite needs no import mechanism for it.
package hsmtest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/trentkms/trent/hsm"
)

// Options tune the suite to a module.
type Options struct {
	// Reopen closes m and opens the same token again. The durability tests are skipped, with a message, if it is nil.
	Reopen func(t *testing.T, m hsm.Module) hsm.Module
	// Shared says that open opens one and the same token each time, so that the second module of a test already holds
	// the domain keys of the first. The tests that carry a domain key from one token to another are left out then.
	Shared bool
	// Slow leaves out RSA-4096 and lowers the number of concurrent calls, for tokens that are slow or emulated.
	Slow bool
	// CoarseImport says that the token cannot tell material that does not unwrap from material of the wrong form, so
	// that Import answers both with a plain hsm.ErrInvalidInput.
	CoarseImport bool
}

// Run runs the conformance suite. open returns a module on an empty token, or, with Options.Shared, on the shared one;
// it registers whatever cleaning up is needed with t.Cleanup. The suite closes the modules itself.
func Run(t *testing.T, open func(t *testing.T) hsm.Module, opts Options) {
	RunOnly(t, open, opts)
}

// RunOnly is Run with the named tests only; all of them if no name is given.
func RunOnly(t *testing.T, open func(t *testing.T) hsm.Module, opts Options, names ...string) {
	for _, test := range suiteTests {
		if len(names) != 0 && !slices.Contains(names, test.name) {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			s := &suite{T: t, open: open, opts: opts}
			s.m = s.newModule()
			s.caps = s.m.Capabilities()
			test.run(s)
		})
	}
}

// suite is one running test with its module.
type suite struct {
	*testing.T
	open func(t *testing.T) hsm.Module
	opts Options
	m    hsm.Module
	caps hsm.Capabilities
}

// sub runs a subtest on the same module.
func (s *suite) sub(name string, run func(*suite)) {
	s.T.Run(name, func(t *testing.T) {
		c := *s
		c.T = t
		run(&c)
	})
}

// suiteTests are the tests, in the order of hsm.go.
var suiteTests = []struct {
	name string
	run  func(*suite)
}{
	{"Describe", testDescribe},
	{"Capabilities", testCapabilities},
	{"Unclaimed", testUnclaimed},
	{"Domains", testDomains},
	{"DomainsDurable", testDomainsDurable},
	{"DomainPRF", testDomainPRF},
	{"ExportRefusals", testExportRefusals},
	{"ExportImport", testExportImport},
	{"Transport", testTransport},
	{"BlobFormat", testBlobFormat},
	{"Generate", testGenerate},
	{"Integrity", testIntegrity},
	{"Rewrap", testRewrap},
	{"Export", testExport},
	{"ExportUnder", testExportUnder},
	{"ExportUnderOpenSSL", testExportUnderOpenSSL},
	{"ImportUnderRefusals", testImportUnderRefusals},
	{"DeriveKey", testDeriveKey},
	{"MAC", testMAC},
	{"Sign", testSign},
	{"SignOpenSSL", testSignOpenSSL},
	{"VerifyForeign", testVerifyForeign},
	{"Encrypt", testEncrypt},
	{"Agree", testAgree},
	{"Import", testImport},
	{"ImportOpenSSL", testImportOpenSSL},
	{"ImportRefusals", testImportRefusals},
	{"Wycheproof", testWycheproof},
	{"WrongUsage", testWrongUsage},
	{"Destroy", testDestroy},
	{"Close", testClose},
	{"Context", testContext},
	{"Concurrency", testConcurrency},
}

// newModule opens a module that is closed at the end of the test.
func (s *suite) newModule() hsm.Module {
	s.Helper()
	m := s.open(s.T)
	s.Cleanup(func() {
		if err := m.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
	})
	return m
}

// newDomain creates a domain key that is destroyed at the end of the test.
func (s *suite) newDomain() hsm.DomainID {
	s.Helper()
	id := s.freeID()
	s.must(s.m.CreateDomain(s.Context(), id))
	s.Cleanup(func() {
		ctx := s.cleanupContext()
		if err := s.m.DestroyDomain(ctx, id); err != nil && !errors.Is(err, hsm.ErrClosed) {
			s.Errorf("DestroyDomain: %v", err)
		}
	})
	return id
}

// freeID returns the id of a domain key that does not exist.
func (s *suite) freeID() hsm.DomainID {
	var b [8]byte
	rand.Read(b[:])
	return hsm.DomainID("suite-" + hex.EncodeToString(b[:]))
}

// generate makes material and describes it for Load.
func (s *suite) generate(id hsm.DomainID, t hsm.KeyType, u hsm.Usage) hsm.Material {
	s.Helper()
	binding := []byte("binding of " + t.String())
	w, err := s.m.Generate(s.Context(), id, t, u, binding)
	s.must(err)
	return hsm.Material{Domain: id, Type: t, Usage: u, Binding: binding, Wrapped: w}
}

// load loads material that is destroyed at the end of the test.
func (s *suite) load(mat hsm.Material) hsm.Key {
	s.Helper()
	k, err := s.m.Load(s.Context(), mat)
	s.must(err)
	s.Cleanup(k.Destroy)
	return k
}

// generated is generate and load.
func (s *suite) generated(id hsm.DomainID, t hsm.KeyType, u hsm.Usage) hsm.Key {
	s.Helper()
	return s.load(s.generate(id, t, u))
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// wantErr checks that err is of one of the kinds.
func (s *suite) wantErr(what string, err error, kinds ...error) {
	s.Helper()
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return
		}
	}
	s.Errorf("%s: error %v, want %v", what, err, kinds)
}

func (s *suite) wantBytes(what string, got, want []byte) {
	s.Helper()
	if !bytes.Equal(got, want) {
		s.Errorf("%s: %x, want %x", what, got, want)
	}
}

// types returns the claimed types for a usage, in ascending order, RSA-4096 left out of slow runs.
func (s *suite) types(u hsm.Usage) []hsm.KeyType {
	var types []hsm.KeyType
	for _, t := range allTypes {
		if s.caps.Can(t, u) && (t != hsm.RSA4096 || !s.opts.Slow && !testing.Short()) {
			types = append(types, t)
		}
	}
	return types
}

// need skips the test unless the module claims a type and usage.
func (s *suite) need(t hsm.KeyType, u hsm.Usage) {
	s.Helper()
	if !s.caps.Can(t, u) {
		s.Skipf("the module does not claim %v keys for %v", t, u)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func flipped(b []byte, at int) []byte {
	c := bytes.Clone(b)
	c[at] ^= 1
	return c
}

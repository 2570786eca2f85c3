package hsmtest

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/trentkms/trent/hsm"
)

// call is one method with arguments that would succeed.
type call struct {
	name string
	do   func(ctx context.Context) error
}

// keyCalls returns the calls of a key for one usage. id is a domain key for what they need.
func (s *suite) keyCalls(id hsm.DomainID, k hsm.Key, u hsm.Usage) []call {
	if u == hsm.UseWrap {
		mat := s.generate(id, hsm.Symmetric, hsm.UseDerive)
		return []call{{"ExportUnder", func(ctx context.Context) error { _, err := s.m.ExportUnder(ctx, k, mat); return err }}}
	}
	algs := s.caps.Keys[hsm.KeyUse{Type: k.Type(), Usage: u}]
	if len(algs) == 0 {
		algs = possible(k.Type(), u)
	}
	alg := hsm.RSAOAEPSHA256
	if len(algs) != 0 {
		alg = algs[0]
	}
	in := make([]byte, max(32, alg.DigestSize()))
	peer := s.peer(k.Type())
	all := map[hsm.Usage][]call{
		hsm.UseDerive: {{"DeriveKey", func(ctx context.Context) error { return k.DeriveKey(ctx, in, new([32]byte)) }}},
		hsm.UseMAC:    {{"MAC", func(ctx context.Context) error { _, err := k.MAC(ctx, in); return err }}},
		hsm.UseSign: {
			{"Sign", func(ctx context.Context) error { _, err := k.Sign(ctx, alg, in); return err }},
			{"Verify", func(ctx context.Context) error { _, err := k.Verify(ctx, alg, in, in); return err }},
		},
		hsm.UseDecrypt: {
			{"Encrypt", func(ctx context.Context) error { _, err := k.Encrypt(ctx, alg, in); return err }},
			{"Decrypt", func(ctx context.Context) error {
				c, err := k.Encrypt(context.WithoutCancel(ctx), alg, in)
				if err == nil {
					_, err = k.Decrypt(ctx, alg, c)
				}
				return err
			}},
		},
		hsm.UseAgree: {{"Agree", func(ctx context.Context) error { _, err := k.Agree(ctx, peer); return err }}},
	}
	return all[u]
}

// peer returns a public key for Agree.
func (s *suite) peer(t hsm.KeyType) []byte {
	s.Helper()
	curve := ecdh.P256()
	switch t {
	case hsm.P384:
		curve = ecdh.P384()
	case hsm.P521:
		curve = ecdh.P521()
	}
	priv, err := curve.GenerateKey(rand.Reader)
	s.must(err)
	return s.pkixFor(priv.PublicKey())
}

// moduleCalls returns the calls of the module. They change nothing but domain keys of their own.
func (s *suite) moduleCalls(mat hsm.Material) []call {
	m, to, scratch := s.m, s.receiver().key, s.freeID()
	calls := []call{
		{"Health", m.Health},
		{"Random", func(ctx context.Context) error { return m.Random(ctx, make([]byte, 8)) }},
		{"CreateDomain", func(ctx context.Context) error { return m.CreateDomain(ctx, scratch) }},
		{"HasDomain", func(ctx context.Context) error { _, err := m.HasDomain(ctx, scratch); return err }},
		{"DestroyDomain", func(ctx context.Context) error { return m.DestroyDomain(ctx, scratch) }},
		{"ExportDomain", func(ctx context.Context) error { _, err := m.ExportDomain(ctx, mat.Domain, to); return err }},
		{"DomainPRF", func(ctx context.Context) error { _, err := m.DomainPRF(ctx, mat.Domain, "l", nil); return err }},
		{"Transport", func(ctx context.Context) error { _, err := m.Transport(ctx); return err }},
		{"Generate", func(ctx context.Context) error {
			_, err := m.Generate(ctx, mat.Domain, mat.Type, mat.Usage, nil)
			return err
		}},
		{"Load", func(ctx context.Context) error {
			k, err := m.Load(ctx, mat)
			if err == nil {
				k.Destroy()
			}
			return err
		}},
		{"Export", func(ctx context.Context) error {
			_, err := m.Export(ctx, mat, hsm.TransportKey{SPKI: to.SPKI, Mechanism: hybridOf(to.Mechanism)})
			return err
		}},
		{"Rewrap", func(ctx context.Context) error { _, err := m.Rewrap(ctx, mat, mat.Domain); return err }},
	}
	if !s.opts.Shared {
		own, err := m.Transport(s.Context())
		s.must(err)
		export, err := m.ExportDomain(s.Context(), mat.Domain, own)
		s.must(err)
		calls = append(calls, call{"ImportDomain", func(ctx context.Context) error { return m.ImportDomain(ctx, mat.Domain, export) }},
			call{"ReplaceTransport", func(ctx context.Context) error { _, err := m.ReplaceTransport(ctx); return err }})
	}
	return append(calls, s.importCalls(mat.Domain)...)
}

// importCalls returns the call of Import, if the module claims one.
func (s *suite) importCalls(id hsm.DomainID) []call {
	for mech, types := range s.caps.Import {
		for _, t := range types {
			if t != hsm.Symmetric || mech == hsm.WrapAESKWP {
				continue
			}
			w := s.wrappingKey(id, hsm.RSA2048)
			encrypted, err := w.wrap(mech, random(32))
			s.must(err)
			return []call{{"Import", func(ctx context.Context) error {
				_, err := s.m.Import(ctx, w.Key, mech, encrypted, id, hsm.Symmetric, hsm.UseDerive, nil)
				return err
			}}}
		}
	}
	return nil
}

// eachUsage runs a test on one key of each usage.
func (s *suite) eachUsage(id hsm.DomainID, run func(s *suite, k hsm.Key, u hsm.Usage)) {
	for _, u := range allUsages {
		if t, ok := s.cheapType(u); ok {
			s.sub(u.String(), func(s *suite) { run(s, s.generated(id, t, u), u) })
		}
	}
}

// cheapType returns a claimed type for a usage; not RSA if another will do, since RSA keys take long to generate.
func (s *suite) cheapType(u hsm.Usage) (hsm.KeyType, bool) {
	types := s.types(u)
	for _, t := range types {
		if t.ModulusBits() == 0 {
			return t, true
		}
	}
	if len(types) == 0 {
		return 0, false
	}
	return types[0], true
}

// testWrongUsage checks that a key does nothing outside its usage.
func testWrongUsage(s *suite) {
	id := s.newDomain()
	s.eachUsage(id, func(s *suite, k hsm.Key, own hsm.Usage) {
		for _, u := range allUsages {
			for _, c := range s.keyCalls(id, k, u) {
				if u != own {
					s.wantErr(c.name, c.do(s.Context()), hsm.ErrUnsupported)
				}
			}
		}
	})
}

// testDestroy checks that a destroyed key does nothing, and that Destroy and calls in flight go together.
func testDestroy(s *suite) {
	id := s.newDomain()
	s.eachUsage(id, func(s *suite, k hsm.Key, u hsm.Usage) {
		calls := s.keyCalls(id, k, u)
		for _, c := range calls {
			s.must(c.do(s.Context()))
		}
		var wg sync.WaitGroup
		started := make(chan struct{})
		for range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					for _, c := range calls {
						if err := c.do(s.Context()); errors.Is(err, hsm.ErrClosed) {
							return
						} else if err != nil {
							s.Errorf("%s beside Destroy: %v", c.name, err)
							return
						}
					}
					if i == 0 {
						started <- struct{}{}
					}
					if len(calls) == 0 {
						return
					}
				}
			})
		}
		for range 4 {
			<-started
		}
		k.Destroy()
		k.Destroy()
		wg.Wait()
		for _, c := range calls {
			s.wantErr(c.name+" after Destroy", c.do(s.Context()), hsm.ErrClosed)
		}
	})
}

// testClose checks that a closed module and its keys do nothing.
func testClose(s *suite) {
	id := s.newDomain()
	mat := s.generate(id, hsm.Symmetric, hsm.UseDerive)
	calls := s.moduleCalls(mat)
	for _, u := range allUsages {
		if t, ok := s.cheapType(u); ok {
			calls = append(calls, s.keyCalls(id, s.generated(id, t, u), u)...)
		}
	}
	if s.opts.Shared {
		s.must(s.m.DestroyDomain(s.Context(), id))
	}
	s.must(s.m.Close())
	for _, c := range calls {
		s.wantErr(c.name+" after Close", c.do(s.Context()), hsm.ErrClosed)
	}
	s.must(s.m.Close())
	if s.m.Info().Kind == "" {
		s.Error("Info is empty after Close")
	}
}

// testContext checks that a call whose context has ended is ErrUnavailable, and that the module goes on.
func testContext(s *suite) {
	id := s.newDomain()
	cancelled, cancel := context.WithCancel(s.Context())
	cancel()
	late, cancel := context.WithDeadline(s.Context(), time.Unix(1, 0))
	defer cancel()
	calls := s.moduleCalls(s.generate(id, hsm.Symmetric, hsm.UseDerive))
	for _, u := range allUsages {
		if t, ok := s.cheapType(u); ok {
			calls = append(calls, s.keyCalls(id, s.generated(id, t, u), u)...)
		}
	}
	for _, c := range calls {
		for ctx, cause := range map[context.Context]error{cancelled: context.Canceled, late: context.DeadlineExceeded} {
			err := c.do(ctx)
			s.wantErr(c.name+" with a context that ended", err, hsm.ErrUnavailable)
			s.wantErr(c.name+" with a context that ended", err, cause)
		}
	}
	for _, c := range calls {
		if c.name != "ReplaceTransport" {
			s.must(c.do(s.Context()))
		}
	}
}

// testConcurrency uses everything at once.
func testConcurrency(s *suite) {
	id := s.newDomain()
	mat := s.generate(id, hsm.Symmetric, hsm.UseDerive)
	shared := s.load(mat)
	var want [32]byte
	s.must(shared.DeriveKey(s.Context(), []byte("f"), &want))
	workers, rounds := 16, 20
	if s.opts.Slow {
		workers, rounds = 8, 5
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range rounds {
				if err := s.busyRound(mat, shared, want); err != nil {
					s.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	s.must(s.m.Health(s.Context()))
}

// busyRound is one round of a worker; it does not end the test, which only the test's goroutine may do.
func (s *suite) busyRound(mat hsm.Material, shared hsm.Key, want [32]byte) error {
	ctx, scratch := s.Context(), s.freeID()
	var got [32]byte
	if err := shared.DeriveKey(ctx, []byte("f"), &got); err != nil || got != want {
		return errors.Join(errors.New("the shared key derived something else"), err)
	}
	k, err := s.m.Load(ctx, mat)
	if err != nil {
		return err
	}
	defer k.Destroy()
	if err := k.DeriveKey(ctx, []byte("f"), &got); err != nil || got != want {
		return errors.Join(errors.New("a loaded key derived something else"), err)
	}
	if err := s.m.CreateDomain(ctx, scratch); err != nil {
		return err
	}
	w, err := s.m.Rewrap(ctx, mat, scratch)
	if err != nil {
		return err
	}
	moved := mat
	moved.Domain, moved.Wrapped = scratch, w
	k2, err := s.m.Load(ctx, moved)
	if err != nil {
		return err
	}
	defer k2.Destroy()
	if err := s.m.DestroyDomain(ctx, scratch); err != nil {
		return err
	}
	if _, err := s.m.Generate(ctx, mat.Domain, hsm.HMAC256, hsm.UseMAC, nil); err != nil && !errors.Is(err, hsm.ErrUnsupported) {
		return err
	}
	_, err = s.m.DomainPRF(ctx, mat.Domain, "busy", nil)
	return errors.Join(err, s.m.Random(ctx, make([]byte, 16)))
}

package soft

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"hash"

	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/pkcs8"
)

// CreateDomain generates a domain key and writes it to the token file.
func (m *Module) CreateDomain(ctx context.Context, id hsm.DomainID) error {
	if err := id.Check(); err != nil {
		return err
	}
	return m.change(ctx, func(st *state) error {
		var secret [2 * hsm.DomainKeySize]byte
		defer clear(secret[:])
		rand.Read(secret[:])
		d, err := newDomain(secret[:hsm.DomainKeySize], secret[hsm.DomainKeySize:])
		if err != nil {
			return err
		}
		return st.add(id, d)
	})
}

// add puts a new domain key in, or wipes it.
func (s *state) add(id hsm.DomainID, d *domain) error {
	var err error
	if s.domains[id] != nil {
		err = fmt.Errorf("%w: %q", hsm.ErrDomainExists, string(id))
	} else if len(s.domains) >= maxDomains {
		err = fmt.Errorf("%w: the token holds %d domain keys; destroy old versions", hsm.ErrUnavailable, maxDomains)
	}
	if err != nil {
		d.wipe()
		return err
	}
	s.domains[id] = d
	return nil
}

// HasDomain tells whether the token holds domain key id.
func (m *Module) HasDomain(ctx context.Context, id hsm.DomainID) (bool, error) {
	st, err := m.begin(ctx)
	if err != nil {
		return false, err
	}
	defer m.mu.RUnlock()
	if err := id.Check(); err != nil {
		return false, err
	}
	return st.domains[id] != nil, nil
}

// DestroyDomain removes domain key id from the token file.
func (m *Module) DestroyDomain(ctx context.Context, id hsm.DomainID) error {
	if err := id.Check(); err != nil {
		return err
	}
	return m.change(ctx, func(st *state) error {
		if st.domains[id] == nil {
			return errUnchanged
		}
		delete(st.domains, id)
		return nil
	})
}

// DomainPRF computes HMAC-SHA-256 under the authentication key of id.
func (m *Module) DomainPRF(ctx context.Context, id hsm.DomainID, label string, input []byte) ([32]byte, error) {
	in, err := hsm.PRFInput(label, input)
	if err != nil {
		return [32]byte{}, err
	}
	defer clear(in)
	d, err := m.domain(ctx, id)
	if err != nil {
		return [32]byte{}, err
	}
	defer m.mu.RUnlock()
	return d.prf(in)
}

// ExportDomain wraps domain key id for another module.
func (m *Module) ExportDomain(ctx context.Context, id hsm.DomainID, to hsm.TransportKey) ([]byte, error) {
	d, err := m.domain(ctx, id)
	if err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	newHash, err := m.transportHash(to.Mechanism)
	if err != nil {
		return nil, err
	}
	pub, err := to.Public()
	if err != nil {
		return nil, err
	}
	wrapBlock, err := rsa.EncryptOAEP(newHash(), rand.Reader, pub, d.wrapKey(), nil)
	if err != nil {
		return nil, invalid("the transport key cannot encrypt: %v", err)
	}
	authBlock, err := rsa.EncryptOAEP(newHash(), rand.Reader, pub, d.authKey(), nil)
	if err != nil {
		return nil, invalid("the transport key cannot encrypt: %v", err)
	}
	return hsm.SealDomainExport(id, wrapBlock, authBlock, d.prf)
}

// transportHash returns the hash of an allowed transport mechanism.
func (m *Module) transportHash(mech hsm.WrapMechanism) (func() hash.Hash, error) {
	switch {
	case mech == hsm.WrapOAEPSHA256:
		return sha256.New, nil
	case mech != hsm.WrapOAEPSHA1:
		return nil, unsupported("transport mechanism %v", mech)
	case !m.allowSHA1:
		return nil, unsupported("transport with RSAES-OAEP-SHA-1 is not allowed by the configuration of this module")
	case m.info.FIPS == "only":
		return nil, unsupported(whySHA1)
	}
	return sha1.New, nil
}

// ImportDomain stores a domain key that was wrapped for this token's transport key.
func (m *Module) ImportDomain(ctx context.Context, id hsm.DomainID, wrapped []byte) error {
	if err := id.Check(); err != nil {
		return err
	}
	export, err := hsm.ParseDomainExport(wrapped)
	if err != nil {
		return err
	}
	d, err := m.openExport(ctx, id, export)
	if err != nil {
		return err
	}
	return m.change(ctx, func(st *state) error {
		if st.domains[id] == nil {
			return st.add(id, d)
		}
		defer d.wipe()
		if subtle.ConstantTimeCompare(st.domains[id].secret[:], d.secret[:]) != 1 {
			return fmt.Errorf("%w: %q, and it is another key", hsm.ErrDomainExists, string(id))
		}
		return errUnchanged
	})
}

// openExport decrypts an export with the transport pair and checks that it belongs to id.
func (m *Module) openExport(ctx context.Context, id hsm.DomainID, export hsm.DomainExport) (*domain, error) {
	st, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	if st.transport == nil || len(export.WrapBlock) != st.transport.Size() {
		return nil, fmt.Errorf("%w: not wrapped for this module's transport key", hsm.ErrIntegrity)
	}
	wrapKey, wrapErr := rsa.DecryptOAEP(sha256.New(), nil, st.transport, export.WrapBlock, nil)
	defer clear(wrapKey)
	authKey, authErr := rsa.DecryptOAEP(sha256.New(), nil, st.transport, export.AuthBlock, nil)
	defer clear(authKey)
	if wrapErr != nil || authErr != nil {
		return nil, fmt.Errorf("%w: not wrapped for this module's transport key", hsm.ErrIntegrity)
	}
	d, err := newDomain(wrapKey, authKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", hsm.ErrIntegrity, err)
	}
	if err := export.Verify(id, d.prf); err != nil {
		d.wipe()
		return nil, err
	}
	return d, nil
}

// Transport returns the transport key; the first call takes the time to generate an RSA-3072 pair.
func (m *Module) Transport(ctx context.Context) (hsm.TransportKey, error) {
	st, err := m.begin(ctx)
	if err != nil {
		return hsm.TransportKey{}, err
	}
	pair := st.transport
	if pair != nil {
		defer m.mu.RUnlock()
		return transportKey(pair)
	}
	m.mu.RUnlock()
	return m.newTransport(ctx, false)
}

// ReplaceTransport generates a new transport pair in place of the old one.
func (m *Module) ReplaceTransport(ctx context.Context) (hsm.TransportKey, error) {
	return m.newTransport(ctx, true)
}

// newTransport generates the pair before it takes the lock for changes, since that takes long.
func (m *Module) newTransport(ctx context.Context, replace bool) (out hsm.TransportKey, err error) {
	if _, err := m.begin(ctx); err != nil {
		return out, err
	}
	m.mu.RUnlock()
	pair, err := m.generateRSA(ctx, transportType)
	if err != nil {
		return out, err
	}
	err = m.change(ctx, func(st *state) error {
		if st.transport != nil && !replace { // another call was faster
			pkcs8.WipeRSA(pair)
			out, err = transportKey(st.transport)
			return cmp.Or(err, errUnchanged)
		}
		st.transport = pair
		out, err = transportKey(pair)
		return err
	})
	if err != nil {
		return hsm.TransportKey{}, err
	}
	return out, nil
}

func transportKey(pair *rsa.PrivateKey) (hsm.TransportKey, error) {
	spki, err := (&pkcs8.Key{Type: transportType, RSA: pair}).PublicDER()
	return hsm.TransportKey{SPKI: spki, Mechanism: hsm.WrapOAEPSHA256}, err
}

// Package recovery holds the offline recovery key of a region: an RSA key pair in a file, for whose public half domain keys are
// wrapped as for a node's HSM. Whoever has the file, its passphrase and a backup can bring the region back when every HSM is
// lost. The file is PKCS #8 encrypted by a passphrase (RFC 8018: PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC) in PEM, which
// other programs read as well.
package recovery

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"hash"

	"github.com/trentkms/trent/hsm"
)

// Bits is the size of new recovery keys.
const Bits = 3072

// Errors of this package.
var (
	// ErrPassphrase reports a passphrase that does not open the file, or a damaged file: encryption of this kind does not
	// tell them apart.
	ErrPassphrase = errors.New("recovery: the passphrase is wrong, or the file is damaged")
	// ErrForeign reports an export that was made for another key.
	ErrForeign = errors.New("recovery: not wrapped for this recovery key")
)

// Key is a recovery key outside its file. It is not safe for concurrent use with Wipe.
type Key struct{ pair *rsa.PrivateKey }

// Generate makes a recovery key.
func Generate() (*Key, error) {
	pair, err := rsa.GenerateKey(rand.Reader, Bits)
	if err != nil {
		return nil, fmt.Errorf("recovery: %w", err)
	}
	return &Key{pair}, nil
}

// Public is the DER SubjectPublicKeyInfo of the public half.
func (k *Key) Public() ([]byte, error) { return x509.MarshalPKIXPublicKey(&k.pair.PublicKey) }

// Domain is a domain key version outside every HSM, for the time of a ceremony. The caller wipes it.
type Domain struct {
	id         hsm.DomainID
	wrap, auth []byte
}

// Open opens an exported domain key and checks that it is id.
func (k *Key) Open(id hsm.DomainID, export []byte) (*Domain, error) {
	e, err := hsm.ParseDomainExport(export)
	if err != nil {
		return nil, err
	}
	d := &Domain{id: id}
	if !d.decrypt(sha256.New(), sha256.New(), k.pair, &e) && !d.decrypt(sha1.New(), sha1.New(), k.pair, &e) {
		return nil, ErrForeign
	}
	if err := e.Verify(id, d.mac); err != nil {
		d.Wipe()
		return nil, err
	}
	return d, nil
}

// decrypt opens both blocks. Some HSMs know OAEP with SHA-1 only, and their operators have allowed it.
func (d *Domain) decrypt(h, again hash.Hash, pair *rsa.PrivateKey, e *hsm.DomainExport) bool {
	var wrapErr, authErr error
	d.wrap, wrapErr = rsa.DecryptOAEP(h, nil, pair, e.WrapBlock, nil)
	d.auth, authErr = rsa.DecryptOAEP(again, nil, pair, e.AuthBlock, nil)
	if wrapErr == nil && authErr == nil && len(d.wrap) == hsm.DomainKeySize && len(d.auth) == hsm.DomainKeySize {
		return true
	}
	d.Wipe()
	return false
}

func (d *Domain) mac(in []byte) (out [32]byte, err error) {
	h := hmac.New(sha256.New, d.auth)
	h.Write(in)
	h.Sum(out[:0])
	return out, nil
}

// PRF computes what hsm.Module.DomainPRF does.
func (d *Domain) PRF(_ context.Context, label string, input []byte) ([32]byte, error) {
	in, err := hsm.PRFInput(label, input)
	if err != nil {
		return [32]byte{}, err
	}
	defer clear(in)
	return d.mac(in)
}

// ExportTo wraps the domain key for an HSM's transport key, as hsm.Module.ExportDomain does.
func (d *Domain) ExportTo(to hsm.TransportKey) ([]byte, error) {
	pub, err := to.Public()
	if err != nil {
		return nil, fmt.Errorf("recovery: %w", err)
	}
	h, err := transportHash(to.Mechanism)
	if err != nil {
		return nil, err
	}
	wrap, err := rsa.EncryptOAEP(h(), rand.Reader, pub, d.wrap, nil)
	if err != nil {
		return nil, fmt.Errorf("recovery: %w", err)
	}
	auth, err := rsa.EncryptOAEP(h(), rand.Reader, pub, d.auth, nil)
	if err != nil {
		return nil, fmt.Errorf("recovery: %w", err)
	}
	return hsm.SealDomainExport(d.id, wrap, auth, d.mac)
}

// Wipe overwrites the domain key.
func (d *Domain) Wipe() {
	clear(d.wrap)
	clear(d.auth)
}

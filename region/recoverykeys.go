package region

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
)

// RecoveryKeyInfo is a registered recovery key.
type RecoveryKeyInfo struct {
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
	// Versions are the domain key versions that it can open.
	Versions []uint32 `json:"versions"`
}

// RecoveryKeyName names a recovery key by its public half, DER SubjectPublicKeyInfo of an RSA key of at least 3072 bits.
func RecoveryKeyName(spki []byte) (string, error) {
	k, err := newRecoveryKey(spki)
	if err != nil {
		return "", err
	}
	return k.Name, nil
}

func newRecoveryKey(spki []byte) (*fsm.RecoveryKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, errors.New("the recovery key is not a public key")
	}
	if pub, ok := parsed.(*rsa.PublicKey); !ok || pub.N.BitLen() < 3072 {
		return nil, errors.New("the recovery key is not an RSA key of at least 3072 bits")
	}
	digest := sha256.Sum256(spki)
	return &fsm.RecoveryKey{Name: "recovery-" + hex.EncodeToString(digest[:8]), Public: spki, From: 1, Mechanism: uint8(hsm.WrapOAEPSHA256)}, nil
}

func recoveryTransport(k *fsm.RecoveryKey) hsm.TransportKey {
	return hsm.TransportKey{SPKI: k.Public, Mechanism: hsm.WrapMechanism(k.Mechanism)}
}

// chooseMechanism takes OAEP with SHA-1 for a recovery key where the HSM knows nothing better and the operator allows that.
func (m *Members) chooseMechanism(ctx context.Context, st *fsm.State, k *fsm.RecoveryKey) {
	d := st.ActiveDomainKey()
	if d == nil {
		return
	}
	module := m.service.cfg.HSM
	if _, err := module.ExportDomain(ctx, hsm.DomainID(d.ID), recoveryTransport(k)); !errors.Is(err, hsm.ErrUnsupported) {
		return
	}
	weaker := *k
	weaker.Mechanism = uint8(hsm.WrapOAEPSHA1)
	if _, err := module.ExportDomain(ctx, hsm.DomainID(d.ID), recoveryTransport(&weaker)); err == nil {
		*k = weaker
	}
}

// AddRecoveryKey registers the public half of a recovery key: every domain key version is wrapped for it from now on.
func (m *Members) AddRecoveryKey(ctx context.Context, spki []byte) (info RecoveryKeyInfo, err error) {
	return info, m.atLeader(ctx, methodAddRecovery, spki, &info)
}

// RemoveRecoveryKey forgets a recovery key. What is wrapped for it in older snapshots it can still open.
func (m *Members) RemoveRecoveryKey(ctx context.Context, name string) error {
	return m.atLeader(ctx, methodRemoveRecovery, name, nil)
}

// RecoveryKeys lists the registered recovery keys.
func (m *Members) RecoveryKeys(ctx context.Context) ([]RecoveryKeyInfo, error) {
	st, err := m.service.View(ctx)
	if err != nil {
		return nil, err
	}
	all := []RecoveryKeyInfo{}
	for k := range st.RecoveryKeys() {
		all = append(all, recoveryInfo(st, k))
	}
	return all, nil
}

func recoveryInfo(st *fsm.State, k *fsm.RecoveryKey) RecoveryKeyInfo {
	info := RecoveryKeyInfo{Name: k.Name, CreatedAt: millis(k.CreatedAt)}
	for d := range st.DomainKeys() {
		if wrappedFor(d, k.Name) != nil {
			info.Versions = append(info.Versions, d.Version)
		}
	}
	return info
}

func (m *Members) addRecovery(ctx context.Context, spki []byte) (info RecoveryKeyInfo, err error) {
	m.one.Lock()
	defer m.one.Unlock()
	k, err := newRecoveryKey(spki)
	if err != nil {
		return info, err
	}
	st, err := m.service.View(ctx)
	if err != nil {
		return info, err
	}
	if known := st.RecoveryKey(k.Name); known != nil {
		return recoveryInfo(st, known), nil
	}
	if st.DomainRotation().Active() {
		return info, errors.New("a rotation of the domain key is under way; register the recovery key afterwards")
	}
	m.chooseMechanism(ctx, st, k)
	body := &fsm.PutRecoveryKey{RecoveryKey: *k}
	for d := range st.DomainKeys() {
		blob, err := m.service.cfg.HSM.ExportDomain(ctx, hsm.DomainID(d.ID), recoveryTransport(k))
		if errors.Is(err, hsm.ErrUnsupported) {
			err = fmt.Errorf("%w; if it knows OAEP with SHA-1, allow_oaep_sha1_transport lets the domain key travel so", err)
		}
		if err != nil {
			return info, fmt.Errorf("wrap domain key version %d for the recovery key: %w", d.Version, err)
		}
		body.Wrapped = append(body.Wrapped, fsm.WrappedVersion{Version: d.Version, Blob: blob})
	}
	if err := m.service.proposeOperator(ctx, st, body, OperatorEvent{Name: "RegisterRecoveryKey", At: m.service.Now(), Details: []Note{{"name", k.Name}}}); err != nil {
		return info, err
	}
	if st, err = m.service.View(ctx); err != nil {
		return info, err
	}
	if k = st.RecoveryKey(k.Name); k == nil {
		return info, errors.New("the recovery key was removed again meanwhile")
	}
	return recoveryInfo(st, k), nil
}

func (m *Members) removeRecovery(ctx context.Context, name string) (struct{}, error) {
	m.one.Lock()
	defer m.one.Unlock()
	st, err := m.service.View(ctx)
	if err != nil {
		return struct{}{}, err
	}
	if st.RecoveryKey(name) == nil {
		return struct{}{}, fmt.Errorf("there is no recovery key %q", name)
	}
	return struct{}{}, m.service.proposeOperator(ctx, st, &fsm.RemoveRecoveryKey{Name: name},
		OperatorEvent{Name: "RemoveRecoveryKey", At: m.service.Now(), Details: []Note{{"name", name}}})
}

package region

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/envelope"
	"github.com/trentkms/trent/region/multiregion"
	"github.com/trentkms/trent/region/shape"
)

// Secrets of access keys on their way between regions. The region that hands them out makes a key for this one message in its HSM, seals
// each secret under it, and wraps it for the other HSM. Outside of the HSMs a secret is where it is anyhow when a request is authenticated:
// in the memory of the node that opens it, for as long as that takes.

// identityPurpose separates the region's signatures over identities on their way from its other ones.
const identityPurpose = "trent/identity-transfer/1"

// secretTransfer is what the key of one message is bound to.
var secretTransfer = []byte("trent/secret-transfer/1")

// transferPRF is a message's key as package envelope sees it.
func transferPRF(key hsm.Key) envelope.PRF {
	return func(ctx context.Context, label string, input []byte) (out [32]byte, err error) {
		err = key.DeriveKey(ctx, append([]byte(label), input...), &out)
		return out, err
	}
}

func transferBinding(account, id string) []byte {
	return append([]byte("transfer\x00"), accessKeyBinding(account, id)...)
}

// handOutKey makes a message's key: loaded, for sealing, and wrapped for another region. The caller destroys the loaded one.
func (s *Service) handOutKey(ctx context.Context, st *fsm.State, to *fsm.OtherRegion) (key hsm.Key, wrapped []byte, err error) {
	d := st.ActiveDomainKey()
	if d == nil {
		return nil, nil, errNoDomainKey
	}
	w, err := s.cfg.HSM.Generate(ctx, hsm.DomainID(d.ID), hsm.Symmetric, hsm.UseDerive, secretTransfer)
	if err != nil {
		return nil, nil, err
	}
	m := hsm.Material{Domain: hsm.DomainID(d.ID), Type: hsm.Symmetric, Usage: hsm.UseDerive, Binding: secretTransfer, Wrapped: w}
	if wrapped, err = s.cfg.HSM.Export(ctx, m, hsm.TransportKey{SPKI: to.Transport, Mechanism: hsm.WrapMechanism(to.Mechanism)}); err != nil {
		return nil, nil, err
	}
	key, err = s.cfg.HSM.Load(ctx, m)
	return key, wrapped, err
}

// takeInKey loads a message's key that another region has wrapped for this one. The caller destroys it.
func (s *Service) takeInKey(ctx context.Context, st *fsm.State, wrapped []byte) (key hsm.Key, err error) {
	keys, d := st.RegionKeys(), st.ActiveDomainKey()
	if keys == nil || d == nil {
		return nil, errNoDomainKey
	}
	err = s.withTransportKey(ctx, st, keys, func(transport hsm.Key) error {
		w, err := s.cfg.HSM.Import(ctx, transport, hsm.WrapMechanism(keys.Mechanism), wrapped, hsm.DomainID(d.ID), hsm.Symmetric, hsm.UseDerive, secretTransfer)
		if err != nil {
			return err
		}
		key, err = s.cfg.HSM.Load(ctx, hsm.Material{
			Domain: hsm.DomainID(d.ID), Type: hsm.Symmetric, Usage: hsm.UseDerive, Binding: secretTransfer, Wrapped: w,
		})
		return err
	})
	return key, err
}

// HandOutSecrets implements multiregion.Identities.
func (s *Service) HandOutSecrets(ctx context.Context, st *fsm.State, to *fsm.OtherRegion, keys []fsm.AccessKey) (wrapped []byte, sealed [][]byte, err error) {
	key, wrapped, err := s.handOutKey(ctx, st, to)
	if err != nil {
		return nil, nil, err
	}
	defer key.Destroy()
	for i := range keys {
		row := st.AccessKey(keys[i].ID)
		if row == nil {
			return nil, nil, fmt.Errorf("access key %s is not there", keys[i].ID)
		}
		b, err := s.passOn(ctx, st, key, row)
		if err != nil {
			return nil, nil, fmt.Errorf("access key %s: %w", row.ID, err)
		}
		sealed = append(sealed, b)
	}
	return wrapped, sealed, nil
}

func (s *Service) passOn(ctx context.Context, st *fsm.State, key hsm.Key, row *fsm.AccessKey) ([]byte, error) {
	secret, err := s.AccessSecret(ctx, st, row)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe()
	return envelope.SealSecret(ctx, transferPRF(key), transferBinding(row.Account, row.ID), secret.Bytes())
}

// TakeInSecrets implements multiregion.Identities.
func (s *Service) TakeInSecrets(ctx context.Context, st *fsm.State, wrapped []byte, sealed [][]byte, keys []fsm.AccessKey) error {
	if len(sealed) != len(keys) {
		return errors.New("not one secret for each access key")
	}
	key, err := s.takeInKey(ctx, st, wrapped)
	if err != nil {
		return err
	}
	defer key.Destroy()
	d := st.ActiveDomainKey()
	for i := range keys {
		row := &keys[i]
		b, err := envelope.OpenSecret(ctx, transferPRF(key), transferBinding(row.Account, row.ID), sealed[i])
		if err != nil {
			return fmt.Errorf("access key %s: %w", row.ID, err)
		}
		secret := shape.NewSecret(b)
		own, err := s.sealAccessKey(ctx, d, row.Account, row.ID, secret, row.CreatedAt)
		secret.Wipe()
		if err != nil {
			return err
		}
		row.Domain, row.Secret = own.Domain, own.Secret
	}
	return nil
}

// identityStatement is what is signed: who tells whom, in answer to which request, and what. Texts and bytes stand behind their length in 4
// bytes, numbers are 8 bytes, big-endian.
func identityStatement(p *multiregion.Parties, told []byte) []byte {
	var b []byte
	for _, part := range [][]byte{
		[]byte(p.Source), binary.BigEndian.AppendUint64(nil, p.SourceIncarnation), []byte(p.Target),
		binary.BigEndian.AppendUint64(nil, p.TargetIncarnation), p.Nonce, told,
	} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
	}
	return b
}

// SignIdentities implements multiregion.Identities.
func (s *Service) SignIdentities(ctx context.Context, st *fsm.State, to *fsm.OtherRegion, nonce, told []byte) ([]byte, error) {
	return s.signRegion(ctx, st, identityPurpose, identityStatement(s.handingOut(st, to, nonce), told))
}

// VerifyIdentities implements multiregion.Identities.
func (s *Service) VerifyIdentities(st *fsm.State, from *fsm.OtherRegion, nonce, told, signature []byte) error {
	return verifyRegion(from.Signing, identityPurpose, identityStatement(s.takingIn(st, from, nonce), told), signature)
}

// SealAnswer seals a small answer that holds a secret for another region: the wrapped key and the sealed answer. nonce is the request that
// it answers.
func (s *Service) SealAnswer(ctx context.Context, st *fsm.State, to string, nonce, answer []byte) (wrapped, sealed []byte, err error) {
	o := st.OtherRegion(to)
	if o == nil || o.State != fsm.RegionFederated {
		return nil, nil, errors.New("the region is not federated")
	}
	key, wrapped, err := s.handOutKey(ctx, st, o)
	if err != nil {
		return nil, nil, err
	}
	defer key.Destroy()
	sealed, err = envelope.SealSecret(ctx, transferPRF(key), append([]byte("answer\x00"), nonce...), answer)
	return wrapped, sealed, err
}

// OpenAnswer opens what SealAnswer has made. The caller wipes it.
func (s *Service) OpenAnswer(ctx context.Context, st *fsm.State, nonce, wrapped, sealed []byte) ([]byte, error) {
	key, err := s.takeInKey(ctx, st, wrapped)
	if err != nil {
		return nil, err
	}
	defer key.Destroy()
	return envelope.OpenSecret(ctx, transferPRF(key), append([]byte("answer\x00"), nonce...), sealed)
}

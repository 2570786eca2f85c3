package region

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"github.com/trentkms/trent/cluster/backup"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/hsm/recovery"
	"github.com/trentkms/trent/region/envelope"
	"github.com/trentkms/trent/region/shape"
)

// backupBinding is what a snapshot's file key is bound to, with the digest of the file's header.
func backupBinding(digest []byte) []byte { return append([]byte("backup\x00"), digest...) }

// Backup writes the region's state, as one read round shows it, into an encrypted file. program is the version of this program.
func (s *Service) Backup(ctx context.Context, w io.Writer, program string) (*backup.Header, error) {
	st, err := s.View(ctx)
	if err != nil {
		return nil, err
	}
	d := st.ActiveDomainKey()
	if d == nil {
		return nil, errors.New("the region is not initialized")
	}
	h := backupHeader(st)
	h.CreatedAt, h.Program = s.Now().UnixMilli(), program
	key := make([]byte, backup.KeySize)
	defer clear(key)
	if err := s.cfg.HSM.Random(ctx, key); err != nil {
		return nil, err
	}
	seal := func(binding, key []byte) ([]byte, error) {
		return envelope.SealSecret(ctx, s.domainPRF(d), backupBinding(binding), key)
	}
	return h, backup.Write(w, h, key, seal, func(w io.Writer) error { return fsm.WriteSnapshot(w, st) })
}

func backupHeader(st *fsm.State) *backup.Header {
	r := st.Region()
	h := &backup.Header{
		Region: r.Name, Partition: r.Partition, ClusterID: r.ClusterID, Index: st.Index(), RegionTime: st.Now(), SealedUnder: st.ActiveDomainKey().Version,
	}
	for d := range st.DomainKeys() {
		row := backup.DomainKey{Version: d.Version, ID: d.ID, Probe: d.Probe}
		for _, w := range d.Wrapped {
			var public []byte
			if n := st.Node(w.NodeID); n != nil {
				public = n.Transport
			} else if k := st.RecoveryKey(w.NodeID); k != nil {
				public = k.Public
			}
			digest := sha256.Sum256(public)
			row.Wrapped = append(row.Wrapped, backup.Wrapped{Name: w.NodeID, Public: digest[:], Blob: w.Blob})
		}
		h.DomainKeys = append(h.DomainKeys, row)
	}
	return h
}

// OpenBackupKey opens the file key of a snapshot in an HSM that holds the domain key version id. The caller wipes it.
func OpenBackupKey(ctx context.Context, module hsm.Module, id string, binding, sealed []byte) ([]byte, error) {
	if err := hsm.DomainID(id).Check(); err != nil {
		return nil, err
	}
	key, err := envelope.OpenSecret(ctx, modulePRF(module, id), backupBinding(binding), sealed)
	if errors.Is(err, envelope.ErrInvalid) {
		err = errors.New("the file key does not open: the header was changed, or this is another region's snapshot")
	}
	if errors.Is(err, hsm.ErrNoDomain) {
		err = fmt.Errorf("%w; the snapshot is sealed under it: use an HSM that holds it or a recovery key, unless rotate-domain-key --destroy-old has destroyed it", err)
	}
	return key, err
}

// OpenBackupOffline opens the file key of a snapshot with a recovery key. The caller wipes it.
func OpenBackupOffline(ctx context.Context, f *backup.File, key *recovery.Key) ([]byte, error) {
	for i := range f.Header.DomainKeys {
		if d := &f.Header.DomainKeys[i]; d.Version == f.Header.SealedUnder {
			domain, err := openDomain(key, d)
			if err != nil {
				return nil, err
			}
			defer domain.Wipe()
			binding, sealed := f.SealedKey()
			return envelope.OpenSecret(ctx, domain.PRF, backupBinding(binding), sealed)
		}
	}
	return nil, fmt.Errorf("%w: it does not name the domain key version that it is sealed under", backup.ErrFile)
}

// openDomain opens a domain key version with a recovery key.
func openDomain(key *recovery.Key, d *backup.DomainKey) (*recovery.Domain, error) {
	spki, err := key.Public()
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(spki)
	for _, w := range d.Wrapped {
		if subtle.ConstantTimeCompare(w.Public, digest[:]) == 1 {
			return key.Open(hsm.DomainID(d.ID), w.Blob)
		}
	}
	return nil, fmt.Errorf("domain key version %d is not wrapped for this recovery key; it was registered later, or with another region", d.Version)
}

// TakeDomains brings the domain key versions that a snapshot needs into an HSM: those that it lacks come from what the snapshot
// holds wrapped for the HSM's transport key, or by way of the recovery key, if there is one. It makes sure that they are the right
// ones.
func TakeDomains(ctx context.Context, module hsm.Module, h *backup.Header, key *recovery.Key) error {
	for i := range h.DomainKeys {
		d := &h.DomainKeys[i]
		has, err := module.HasDomain(ctx, hsm.DomainID(d.ID))
		if err != nil {
			return fmt.Errorf("look for domain key %s in the HSM: %w", d.ID, err)
		}
		if !has {
			if err := takeDomain(ctx, module, d, key); err != nil {
				return err
			}
		}
		tag, err := module.DomainPRF(ctx, hsm.DomainID(d.ID), probeLabel, []byte(d.ID))
		if err != nil {
			return fmt.Errorf("probe domain key %s: %w", d.ID, err)
		}
		if subtle.ConstantTimeCompare(tag[:], d.Probe) != 1 {
			return fmt.Errorf("the HSM's domain key %s is not the snapshot's", d.ID)
		}
	}
	return nil
}

func takeDomain(ctx context.Context, module hsm.Module, d *backup.DomainKey, key *recovery.Key) error {
	to, err := transportKey(ctx, module)
	if err != nil {
		return fmt.Errorf("transport key of the HSM: %w", err)
	}
	if len(to.SPKI) == 0 {
		return fmt.Errorf("the HSM does not hold domain key %s and has no transport key to take it in by: use a token that holds the key, or allow a transport key (allow_oaep_sha1_transport)", d.ID)
	}
	digest := sha256.Sum256(to.SPKI)
	for _, w := range d.Wrapped {
		if subtle.ConstantTimeCompare(w.Public, digest[:]) == 1 {
			if err := module.ImportDomain(ctx, hsm.DomainID(d.ID), w.Blob); err == nil || key == nil {
				return err
			}
		}
	}
	if key == nil {
		return fmt.Errorf("the HSM does not hold domain key %s, and the snapshot holds none wrapped for it: give the recovery key, or use an HSM of the region", d.ID)
	}
	domain, err := openDomain(key, d)
	if err != nil {
		return err
	}
	defer domain.Wipe()
	export, err := domain.ExportTo(to)
	if err != nil {
		return err
	}
	if err := module.ImportDomain(ctx, hsm.DomainID(d.ID), export); err != nil {
		return fmt.Errorf("import domain key %s: %w", d.ID, err)
	}
	return nil
}

// RecoverRoot makes an access key of an account's root user, and deletes the others if revokeOld is set. It returns the ids of those.
func (s *Service) RecoverRoot(ctx context.Context, account, id string, secret shape.Secret, revokeOld bool) (deleted []string, err error) {
	st, err := s.View(ctx)
	if err != nil {
		return nil, err
	}
	d := st.ActiveDomainKey()
	if d == nil || st.Account(account) == nil {
		return nil, fmt.Errorf("the region has no account %q", account)
	}
	ak, err := s.sealAccessKey(ctx, d, account, id, secret, s.Now().UnixMilli())
	if err != nil {
		return nil, err
	}
	event := func(access string) OperatorEvent {
		return OperatorEvent{Name: "RecoverRootCredentials", At: s.Now(), Details: []Note{{"account", account}, {"accessKeyId", access}}}
	}
	if err := s.proposeOperator(ctx, st, &fsm.PutAccessKey{AccessKey: *ak}, event(id)); err != nil || !revokeOld {
		return nil, err
	}
	for old := range st.AccessKeys(account, "") {
		if old.Principal != RootPrincipal || old.ID == id {
			continue
		}
		ev := event(old.ID)
		ev.Name = "DeleteRootAccessKey"
		if err := s.proposeOperator(ctx, st, &fsm.DeleteAccessKey{ID: old.ID}, ev); err != nil {
			return deleted, err
		}
		deleted = append(deleted, old.ID)
	}
	return deleted, nil
}

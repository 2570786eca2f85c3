package region

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/envelope"
	"github.com/trentkms/trent/region/fault"
	"github.com/trentkms/trent/region/shape"
)

// RootPrincipal is the principal of an access key of an account's root user.
const RootPrincipal = "root"

// InitConfig is what a new region starts with.
type InitConfig struct {
	ClusterID string // random, 32 hex digits
	Account   string // 12 digits
	// AccessKeyID and Secret are the first account's root credentials.
	AccessKeyID string
	Secret      shape.Secret
}

// probeLabel separates the probe of a domain key from its other uses.
const probeLabel = "trent/domain-probe/1"

// auditBinding is what the key that signs audit heads is bound to.
const auditBinding = "trent/audit-key/1"

// Initialize makes the region: its domain key inside the HSM, the key that signs audit heads, and the first account with its
// root credentials. The node must be the leader of an empty state.
func (s *Service) Initialize(ctx context.Context, in InitConfig) error {
	now := s.Now().UnixMilli()
	d := fsm.DomainKey{Version: 1, ID: domainID(in.ClusterID, 1), CreatedAt: now, Active: true}
	if err := s.cfg.HSM.CreateDomain(ctx, hsm.DomainID(d.ID)); err != nil && !errors.Is(err, hsm.ErrDomainExists) {
		// A domain key of this cluster id can only come from an initialization that was cut off.
		return fmt.Errorf("create the domain key in the HSM: %w", err)
	}
	probe, err := s.probe(ctx, &d)
	if err != nil {
		return err
	}
	d.Probe = probe
	auditKey, err := s.newAuditKey(ctx, &d, now)
	if err != nil {
		return err
	}
	ak, err := s.sealAccessKey(ctx, &d, in.Account, in.AccessKeyID, in.Secret, now)
	if err != nil {
		return err
	}
	body := &fsm.InitRegion{
		Region:    fsm.Region{ClusterID: in.ClusterID, Name: s.cfg.Region, Partition: s.cfg.Partition, CreatedAt: now, AuditKey: auditKey},
		Quotas:    fsm.DefaultQuotas(),
		Account:   fsm.Account{ID: in.Account, CreatedAt: now},
		AccessKey: *ak,
		DomainKey: d,
	}
	return s.proposeSetup(ctx, body)
}

// PutRootAccessKey adds or replaces an access key of an account's root user, for set-up and recovery.
func (s *Service) PutRootAccessKey(ctx context.Context, account, id string, secret shape.Secret) error {
	st, err := s.View(ctx)
	if err != nil {
		return err
	}
	d := st.ActiveDomainKey()
	if d == nil {
		return errors.New("the region is not initialized")
	}
	if st.Home() != nil {
		return errDecidedAtHome(st)
	}
	ak, err := s.sealAccessKey(ctx, d, account, id, secret, s.Now().UnixMilli())
	if err != nil {
		return err
	}
	return s.proposeSetup(ctx, &fsm.PutAccessKey{AccessKey: *ak})
}

func (s *Service) proposeSetup(ctx context.Context, body fsm.Body) error {
	res, err := s.proposeOwn(ctx, body)
	if err == nil && res.Code != fsm.OK {
		err = stateRefused(res)
	}
	return err
}

// stateRefused says why the state machine has refused a change: in words where it has some, else by the code.
func stateRefused(res fsm.Result) error {
	if res.Detail == "" {
		return fmt.Errorf("the state refused it: code %d", res.Code)
	}
	return fmt.Errorf("the state refused it: %s", res.Detail)
}

// proposeOwn proposes a change that is no caller's.
func (s *Service) proposeOwn(ctx context.Context, body fsm.Body) (fsm.Result, error) {
	cmd := fsm.Command{Attempt: 1, Time: s.Now().UnixMilli(), Body: body}
	if err := s.cfg.HSM.Random(ctx, cmd.ID[:]); err != nil {
		return fsm.Result{}, err
	}
	return s.cfg.Cluster.Propose(ctx, cmd)
}

// domainID names a domain key version inside every module of the region.
func domainID(clusterID string, version uint32) string {
	return fmt.Sprintf("trent-%s-domain-%d", clusterID[:min(len(clusterID), 16)], version)
}

// probe is a tag by which a node tells that its module holds the right version of the domain key.
func (s *Service) probe(ctx context.Context, d *fsm.DomainKey) ([]byte, error) {
	tag, err := s.cfg.HSM.DomainPRF(ctx, hsm.DomainID(d.ID), probeLabel, []byte(d.ID))
	if err != nil {
		return nil, fmt.Errorf("probe domain key %s: %w", d.ID, err)
	}
	return tag[:], nil
}

// Unlock checks that the state is this region's and that the HSM holds every version of its domain key. A node serves nothing
// before it succeeded. Under another name all keys would have other ARNs, and policies and conditions another meaning.
func (s *Service) Unlock(ctx context.Context) error {
	st, err := s.View(ctx)
	if err != nil {
		return err
	}
	switch r := st.Region(); {
	case r == nil:
		return errors.New("the region is not initialized; run 'trent operator init'")
	case r.Name != s.cfg.Region || r.Partition != s.cfg.Partition:
		return fmt.Errorf("the data directory holds region %s of partition %s, not %s of %s: correct the configuration",
			r.Name, r.Partition, s.cfg.Region, s.cfg.Partition)
	}
	for d := range st.DomainKeys() {
		tag, err := s.probe(ctx, d)
		if errors.Is(err, hsm.ErrNoDomain) {
			return fmt.Errorf("the HSM does not hold the region's domain key %s: this HSM, or its token file, belongs to another region: %w", d.ID, err)
		}
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(tag, d.Probe) != 1 {
			return fmt.Errorf("the HSM's domain key %s is not the region's: this HSM, or its token file, belongs to another region", d.ID)
		}
	}
	return nil
}

// sealAccessKey seals a secret access key under the domain key, bound to its id and account.
func (s *Service) sealAccessKey(ctx context.Context, d *fsm.DomainKey, account, id string, secret shape.Secret, now int64) (*fsm.AccessKey, error) {
	sealed, err := envelope.SealSecret(ctx, s.domainPRF(d), accessKeyBinding(account, id), secret.Bytes())
	if err != nil {
		return nil, fmt.Errorf("seal access key %s: %w", id, err)
	}
	return &fsm.AccessKey{
		ID: id, Account: account, Principal: RootPrincipal, Domain: d.Version, Secret: sealed, Active: true, CreatedAt: now,
	}, nil
}

// AccessSecret opens the secret of an access key. The caller wipes it. If the domain key version that it is sealed under in the
// state is destroyed meanwhile, it is opened as the newest state has it.
func (s *Service) AccessSecret(ctx context.Context, st *fsm.State, ak *fsm.AccessKey) (shape.Secret, error) {
	secret, err := s.accessSecret(ctx, st, ak)
	if errors.Is(err, hsm.ErrNoDomain) {
		newest := s.cfg.Cluster.State()
		if again := newest.AccessKey(ak.ID); again != nil && again.Version == ak.Version && again.Domain != ak.Domain {
			return s.accessSecret(ctx, newest, again)
		}
	}
	return secret, err
}

func (s *Service) accessSecret(ctx context.Context, st *fsm.State, ak *fsm.AccessKey) (shape.Secret, error) {
	d := st.DomainKey(ak.Domain)
	if d == nil {
		return shape.Secret{}, fault.Internal(fmt.Errorf("access key %s is sealed under domain key version %d, which the region has not", ak.ID, ak.Domain))
	}
	b, err := envelope.OpenSecret(ctx, s.domainPRF(d), accessKeyBinding(ak.Account, ak.ID), ak.Secret)
	if errors.Is(err, envelope.ErrInvalid) {
		return shape.Secret{}, fault.Internal(fmt.Errorf("access key %s does not open under domain key %s: the state or the HSM is damaged", ak.ID, d.ID))
	}
	if err != nil {
		return shape.Secret{}, hsmFault(err)
	}
	return shape.NewSecret(b), nil
}

func accessKeyBinding(account, id string) []byte {
	return []byte("access-key\x00" + account + "\x00" + id)
}

// domainPRF is the authentication key of a domain key version as package envelope sees it.
func (s *Service) domainPRF(d *fsm.DomainKey) envelope.PRF {
	return func(ctx context.Context, label string, input []byte) ([32]byte, error) {
		return s.cfg.HSM.DomainPRF(ctx, hsm.DomainID(d.ID), label, input)
	}
}

// newAuditKey makes the P-256 key that signs audit heads.
func (s *Service) newAuditKey(ctx context.Context, d *fsm.DomainKey, now int64) (*fsm.Material, error) {
	m := &fsm.Material{ID: make([]byte, 32), Domain: d.Version, State: fsm.MaterialCurrent, AddedAt: now}
	if err := s.cfg.HSM.Random(ctx, m.ID); err != nil {
		return nil, err
	}
	w, err := s.cfg.HSM.Generate(ctx, hsm.DomainID(d.ID), hsm.P256, hsm.UseSign, append([]byte(auditBinding), m.ID...))
	if err != nil {
		return nil, fmt.Errorf("generate the audit key: %w", err)
	}
	m.Blob, m.Public = w.Blob, w.Public
	return m, nil
}

// SignAudit signs the SHA-256 digest of an audit head in the HSM and names the key.
func (s *Service) SignAudit(ctx context.Context, digest []byte) (keyID string, sig []byte, err error) {
	st := s.cfg.Cluster.State()
	r := st.Region()
	if r == nil || r.AuditKey == nil {
		return "", nil, errors.New("the region has no audit key yet")
	}
	m := r.AuditKey
	d := st.DomainKey(m.Domain)
	if d == nil {
		return "", nil, fmt.Errorf("the audit key is wrapped under domain key version %d, which the region has not", m.Domain)
	}
	key, err := s.cfg.HSM.Load(ctx, hsm.Material{
		Domain: hsm.DomainID(d.ID), Type: hsm.P256, Usage: hsm.UseSign,
		Binding: append([]byte(auditBinding), m.ID...), Wrapped: hsm.Wrapped{Blob: m.Blob, Public: m.Public},
	})
	if err != nil {
		return "", nil, err
	}
	defer key.Destroy()
	sig, err = key.Sign(ctx, hsm.ECDSASHA256, digest)
	return hex.EncodeToString(m.ID), sig, err
}

// PutAuditHead commits a signed head of a node's audit log. A head that the state is already past is fine: heads are announced
// again after a restart.
func (s *Service) PutAuditHead(ctx context.Context, h fsm.AuditHead) error {
	res, err := s.proposeOwn(ctx, &fsm.PutAuditHead{Head: h})
	if err != nil || res.Code == fsm.OK || res.Code == fsm.Conflict {
		return err
	}
	return fmt.Errorf("the state refused the audit head: code %d, %s", res.Code, res.Detail)
}

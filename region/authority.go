package region

import (
	"context"
	"errors"
	"fmt"

	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/envelope"
)

// authorityBinding is what the authority's sealed key is bound to.
func authorityBinding(version uint32) []byte {
	return fmt.Appendf(nil, "cluster-authority\x00%d", version)
}

// ensureAuthority makes the region's certificate authority if it has none. The key exists outside the seal only while it is
// made or signs.
func (m *Members) ensureAuthority(ctx context.Context) (*fsm.State, error) {
	st, err := m.service.View(ctx)
	if err != nil || st.Authority() != nil {
		return st, err
	}
	d := st.ActiveDomainKey()
	if d == nil {
		return nil, errors.New("the region is not initialized")
	}
	now := m.service.Now()
	cert, key, err := transport.NewAuthority(m.node.Identity().ClusterID, now)
	if err != nil {
		return nil, fmt.Errorf("make the certificate authority: %w", err)
	}
	defer clear(key)
	const version = 1
	sealed, err := envelope.SealSecret(ctx, m.service.domainPRF(d), authorityBinding(version), key)
	if err != nil {
		return nil, fmt.Errorf("seal the key of the certificate authority: %w", err)
	}
	body := &fsm.PutAuthority{Authority: fsm.Authority{Version: version, Cert: cert, Domain: d.Version, Key: sealed, CreatedAt: now.UnixMilli()}}
	if err := m.service.proposeSetup(ctx, body); err != nil {
		return nil, err
	}
	return m.service.View(ctx)
}

// certificates are what a node gets: its own certificate and the authorities, DER, newest last.
type certificates struct {
	Cert        []byte   `json:"cert"`
	Authorities [][]byte `json:"authorities"`
}

// issue makes a certificate for a node of the region.
func (m *Members) issue(ctx context.Context, id string, request []byte) (c certificates, err error) {
	st, err := m.ensureAuthority(ctx)
	if err != nil {
		return c, err
	}
	a := st.Authority()
	key, err := m.openAuthority(ctx, st, a)
	if err != nil {
		return c, err
	}
	defer clear(key)
	if c.Cert, err = transport.Issue(a.Cert, key, request, id, m.node.Identity().ClusterID, m.service.Now()); err != nil {
		return c, err
	}
	for a := range st.Authorities() {
		c.Authorities = append(c.Authorities, a.Cert)
	}
	return c, nil
}

// openAuthority opens the authority's key, PKCS #8. The caller wipes it.
func (m *Members) openAuthority(ctx context.Context, st *fsm.State, a *fsm.Authority) ([]byte, error) {
	d := st.DomainKey(a.Domain)
	if d == nil {
		return nil, fmt.Errorf("the certificate authority is sealed under domain key version %d, which the region has not", a.Domain)
	}
	key, err := envelope.OpenSecret(ctx, m.service.domainPRF(d), authorityBinding(a.Version), a.Key)
	if err != nil {
		return nil, fmt.Errorf("open the key of the certificate authority: %w", err)
	}
	return key, nil
}

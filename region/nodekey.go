package region

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/envelope"
)

// NodeFile is what a node keeps of its certificate between starts. The key is sealed under a domain key, so that a stolen
// disk without its HSM cannot pass for the node.
type NodeFile struct {
	Domain      string   `json:"domain"` // the domain key version inside the HSM
	Key         []byte   `json:"key"`    // sealed PKCS #8
	Cert        []byte   `json:"cert"`
	Authorities [][]byte `json:"authorities"`
}

// nodeKeyBinding is what a node's sealed key is bound to.
func nodeKeyBinding(node string) []byte { return []byte("node-key\x00" + node) }

func modulePRF(module hsm.Module, domain string) envelope.PRF {
	return func(ctx context.Context, label string, input []byte) ([32]byte, error) {
		return module.DomainPRF(ctx, hsm.DomainID(domain), label, input)
	}
}

// SealNode puts credentials into the form in which they are kept, sealed under a domain key of the module.
func SealNode(ctx context.Context, module hsm.Module, domain string, c *transport.Credentials, key crypto.Signer) (*NodeFile, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	sealed, err := envelope.SealSecret(ctx, modulePRF(module, domain), nodeKeyBinding(c.NodeID), der)
	if err != nil {
		return nil, fmt.Errorf("seal the node's key: %w", err)
	}
	return &NodeFile{Domain: domain, Key: sealed, Cert: c.Leaf().Raw, Authorities: c.Authorities()}, nil
}

// OpenNode gives back what SealNode kept, for the node of that id.
func OpenNode(ctx context.Context, module hsm.Module, node string, f *NodeFile) (*transport.Credentials, error) {
	der, err := envelope.OpenSecret(ctx, modulePRF(module, f.Domain), nodeKeyBinding(node), f.Key)
	if err != nil {
		return nil, fmt.Errorf("open the node's key with domain key %s: %w", f.Domain, err)
	}
	defer clear(der)
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("the node's key: %w", err)
	}
	key, ok := k.(crypto.Signer)
	if !ok {
		return nil, errors.New("the node's key does not sign")
	}
	return transport.NewCredentials(f.Cert, key, f.Authorities)
}

// ActiveDomain is the name of the active domain key version, "" before the region is made.
func (m *Members) ActiveDomain() string {
	if d := m.node.State().ActiveDomainKey(); d != nil {
		return d.ID
	}
	return ""
}

package federation

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trentkms/trent/cluster/transport"
)

// Region is a region that this one is federated with, as the replicated state has it.
type Region struct {
	Name string
	// ClusterID is the id of the Raft group that speaks for the region. A group that was restored has another id: until that is
	// in the state it may describe itself and nothing else.
	ClusterID string
	// Authorities are the certificates of its authorities that are trusted, DER.
	Authorities [][]byte
	// Addresses are where its nodes are reached, host:port.
	Addresses []string
	// Pending tells that the region has not consented yet: until it does, the two describe themselves and nothing else.
	Pending bool
}

// Identity is who is at the other end of a connection, as its certificate proves it.
type Identity struct {
	Region, ClusterID, Node string
	// Current tells that the cluster is the one that speaks for the region now, and that both sides have consented: others may
	// describe themselves and nothing else.
	Current bool
}

// ErrRefused reports a peer that this region is not federated with.
var ErrRefused = errors.New("federation: the certificate is of no region that this one is federated with")

// directory is all regions whose nodes are known by their certificates, this one first. It does not change.
type directory struct {
	own    string
	pinned []pinned
}

type pinned struct {
	Region
	roots *x509.CertPool
}

// newDirectory takes the own region and the others. An authority that cannot be parsed makes its region unknown, not all.
func newDirectory(own Region, others []Region) (*directory, error) {
	d := &directory{own: own.Name}
	var errs []error
	for _, r := range append([]Region{own}, others...) {
		p := pinned{Region: r, roots: x509.NewCertPool()}
		for _, der := range r.Authorities {
			a, err := x509.ParseCertificate(der)
			if err != nil {
				errs = append(errs, fmt.Errorf("federation: authority of region %s: %w", r.Name, err))
				continue
			}
			p.roots.AddCert(a)
		}
		d.pinned = append(d.pinned, p)
	}
	return d, errors.Join(errs...)
}

// region is a pinned region by its name, nil if there is none.
func (d *directory) region(name string) *pinned {
	i := slices.IndexFunc(d.pinned, func(p pinned) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &d.pinned[i]
}

// others are the regions that this one is federated with.
func (d *directory) others() []pinned { return d.pinned[1:] }

// identify tells whose certificate it is. Only the certificate itself is used of what the peer sent: what it must chain to is
// pinned.
func (d *directory) identify(chain []*x509.Certificate, now time.Time) (Identity, error) {
	if len(chain) == 0 {
		return Identity{}, fmt.Errorf("%w: there is none", ErrRefused)
	}
	leaf := chain[0]
	node, cluster, err := transport.Names(leaf)
	if err != nil {
		return Identity{}, err
	}
	var last error
	for _, p := range d.pinned {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: p.roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if err != nil {
			last = err
			continue
		}
		id := Identity{Region: p.Name, ClusterID: cluster, Node: node, Current: cluster == p.ClusterID && !p.Pending}
		if p.Name == d.own && !id.Current {
			return Identity{}, fmt.Errorf("%w: it names cluster %s under this region's own authority", ErrRefused, cluster)
		}
		return id, nil
	}
	return Identity{}, fmt.Errorf("%w (node %s of cluster %s: %w)", ErrRefused, node, cluster, last)
}

package region

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
	"github.com/trentkms/trent/region/arn"
	fed "github.com/trentkms/trent/region/federation"
)

// description is what a region tells of itself.
type description struct {
	Name        string   `json:"name"`
	Partition   string   `json:"partition"`
	ClusterID   string   `json:"clusterId"`
	Incarnation uint64   `json:"incarnation"`
	CA          []byte   `json:"ca"` // DER
	Addresses   []string `json:"addresses"`
	Transport   []byte   `json:"transport"` // DER SubjectPublicKeyInfo
	Mechanism   uint8    `json:"mechanism"`
	Signing     []byte   `json:"signing"` // DER SubjectPublicKeyInfo
}

// signedDescription is a description with the signature of the region's own signing key over its bytes.
type signedDescription struct {
	Description []byte `json:"description"`
	Signature   []byte `json:"signature"`
}

const (
	purposeDescription = "trent/region-description/1"
	// maxRegionAddresses bounds the addresses of a region.
	maxRegionAddresses = 32
)

// open checks a description's form and that its own key has signed it. Whether that key is the region's is the caller's to know.
func (s *signedDescription) open() (*description, error) {
	var d description
	if err := json.Unmarshal(s.Description, &d); err != nil {
		return nil, fmt.Errorf("description of a region: %w", err)
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("description of region %.64q: %w", d.Name, err)
	}
	if err := verifyRegion(d.Signing, purposeDescription, s.Description, s.Signature); err != nil {
		return nil, fmt.Errorf("description of region %s: %w", d.Name, err)
	}
	return &d, nil
}

// check checks everything that can be wrong with a description by itself.
func (d *description) check() error {
	switch {
	case !arn.ValidRegion(d.Name):
		return errors.New("that is no name of a region")
	case d.ClusterID == "" || len(d.ClusterID) > 64 || d.Incarnation == 0:
		return errors.New("cluster id or incarnation is missing")
	case len(d.Addresses) == 0 || len(d.Addresses) > maxRegionAddresses:
		return fmt.Errorf("it has %d addresses, 1 to %d are possible", len(d.Addresses), maxRegionAddresses)
	}
	for _, a := range d.Addresses {
		if !fed.ValidAddress(a) {
			return fmt.Errorf("address %.300q is not host:port", a)
		}
	}
	ca, err := x509.ParseCertificate(d.CA)
	if err != nil || !ca.IsCA {
		return errors.New("its authority's certificate cannot be used")
	}
	k, err := x509.ParsePKIXPublicKey(d.Transport)
	if err != nil {
		return fmt.Errorf("transport key: %w", err)
	}
	if pub, ok := k.(*rsa.PublicKey); !ok || pub.N.BitLen() < 3072 || pub.N.BitLen() > 8192 {
		return errors.New("its transport key is not RSA with 3072 to 8192 bits")
	}
	switch hsm.WrapMechanism(d.Mechanism) {
	case hsm.WrapOAEPSHA1, hsm.WrapOAEPSHA256, hsm.WrapRSAAESKWSHA1, hsm.WrapRSAAESKWSHA256:
	default:
		return fmt.Errorf("it wants key material wrapped by mechanism %d, which is not known", d.Mechanism)
	}
	return nil
}

// row is the description as the state keeps it.
func (d *description) row(state fsm.RegionState, now int64) fsm.OtherRegion {
	return fsm.OtherRegion{
		Name: d.Name, ClusterID: d.ClusterID, Incarnation: d.Incarnation, CA: d.CA, Addresses: d.Addresses,
		Transport: d.Transport, Mechanism: d.Mechanism, Signing: d.Signing, State: state, CreatedAt: now,
	}
}

// describeRow is what a row says of its region.
func describeRow(o *fsm.OtherRegion, partition string) description {
	return description{
		Name: o.Name, Partition: partition, ClusterID: o.ClusterID, Incarnation: o.Incarnation, CA: o.CA, Addresses: o.Addresses,
		Transport: o.Transport, Mechanism: o.Mechanism, Signing: o.Signing,
	}
}

// tells reports whether a description has something that the row has not.
func (d *description) tells(o *fsm.OtherRegion) bool {
	return d.ClusterID != o.ClusterID || !bytes.Equal(d.CA, o.CA) || !slices.Equal(d.Addresses, o.Addresses) ||
		!bytes.Equal(d.Transport, o.Transport) || d.Mechanism != o.Mechanism || d.Incarnation > o.Incarnation
}

// Prepare makes what this region is described by, its certificate authority and its key pairs, if they are not there yet.
func (r *Regions) Prepare(ctx context.Context) error {
	_, _, err := r.describe(ctx)
	return err
}

// describe is this region's own description, signed in the HSM.
func (r *Regions) describe(ctx context.Context) (*signedDescription, *description, error) {
	if err := r.members.awaitCertificate(ctx); err != nil {
		return nil, nil, err
	}
	if _, err := r.members.ensureAuthority(ctx); err != nil {
		return nil, nil, err
	}
	st, err := r.service.ensureRegionKeys(ctx)
	if err != nil {
		return nil, nil, err
	}
	if st.Region().Reborn { // its incarnation has no number of its own yet
		return nil, nil, errors.New("the region was restored and has not begun its new incarnation yet")
	}
	keys := st.RegionKeys()
	d := &description{
		Name: r.service.Region(), Partition: r.service.Partition(), ClusterID: r.members.node.Identity().ClusterID, Incarnation: st.Region().Incarnation(),
		CA: st.Authority().Cert, Addresses: r.addresses(st), Transport: keys.Transport.Public, Mechanism: keys.Mechanism, Signing: keys.Signing.Public,
	}
	b, err := json.Marshal(d)
	if err != nil {
		return nil, nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.signed == nil || !bytes.Equal(r.signed.Description, b) {
		signature, err := r.service.signRegion(ctx, st, purposeDescription, b)
		if err != nil {
			return nil, nil, fmt.Errorf("sign the region's description: %w", err)
		}
		r.signed = &signedDescription{Description: b, Signature: signature}
	}
	return r.signed, d, nil
}

// addresses is where nodes of other regions reach those of this one. A node that is down for a while keeps its place.
func (r *Regions) addresses(st *fsm.State) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for node, address := range r.wire.OwnAddresses() {
		r.known[node] = address
	}
	var all []string
	self := r.members.node.Identity().NodeID
	for node, address := range r.known {
		if node != self && st.Node(node) == nil {
			delete(r.known, node)
			continue
		}
		all = append(all, address)
	}
	if !r.cfg.OwnAddress { // nodes that the pool has not met advertise the address that the region knows
		for n := range st.Nodes() {
			if r.known[n.ID] == "" {
				all = append(all, n.Address)
			}
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), maxRegionAddresses)]
}

// fingerprint is a certificate authority for people to compare: the SHA-256 of its public key in groups.
func fingerprint(ca []byte) string {
	pin, err := transport.Pin(ca)
	if err != nil {
		return "unreadable"
	}
	text := hex.EncodeToString(pin[:])
	var b bytes.Buffer
	for i := 0; i < len(text); i += 8 {
		if i > 0 {
			b.WriteByte('-')
		}
		b.WriteString(text[i : i+8])
	}
	return b.String()
}

package transport

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Lives of certificates.
const (
	// CertLife is how long a node's certificate is valid. It is renewed when a third of it is over, so that a node may be
	// away for weeks and still come back.
	CertLife      = 30 * 24 * time.Hour
	authorityLife = 20 * 365 * 24 * time.Hour
	// certSlack is how far back validity reaches, for clocks that are behind.
	certSlack = time.Hour
)

// Credentials are what a node shows and whom it trusts. They do not change; renewed ones replace them.
type Credentials struct {
	NodeID, ClusterID string
	cert              tls.Certificate
	pool              *x509.CertPool
	authorities       []*x509.Certificate
}

// NewCredentials puts a node's certificate and key together with the cluster's authorities, newest last, all DER. It fails
// unless the certificate is of the newest authority and belongs to the key.
func NewCredentials(cert []byte, key crypto.Signer, authorities [][]byte) (*Credentials, error) {
	leaf, err := x509.ParseCertificate(cert)
	if err != nil {
		return nil, fmt.Errorf("transport: node certificate: %w", err)
	}
	c := &Credentials{pool: x509.NewCertPool()}
	for _, der := range authorities {
		a, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("transport: certificate authority: %w", err)
		}
		c.pool.AddCert(a)
		c.authorities = append(c.authorities, a)
	}
	if len(c.authorities) == 0 {
		return nil, errors.New("transport: no certificate authority")
	}
	newest := c.authorities[len(c.authorities)-1]
	if err := leaf.CheckSignatureFrom(newest); err != nil {
		return nil, fmt.Errorf("transport: the node certificate is not of the cluster's authority: %w", err)
	}
	if pub, ok := key.Public().(*ecdsa.PublicKey); !ok || !pub.Equal(leaf.PublicKey) {
		return nil, errors.New("transport: the node's key does not belong to its certificate")
	}
	if c.NodeID, c.ClusterID, err = Names(leaf); err != nil {
		return nil, err
	}
	c.cert = tls.Certificate{Certificate: [][]byte{cert, newest.Raw}, PrivateKey: key, Leaf: leaf}
	return c, nil
}

// Certificate is the node's certificate with its authority and its key, for a protocol that extends the port.
func (c *Credentials) Certificate() tls.Certificate { return c.cert }

// Leaf is the node's certificate.
func (c *Credentials) Leaf() *x509.Certificate { return c.cert.Leaf }

// Key is the node's key.
func (c *Credentials) Key() crypto.Signer { return c.cert.PrivateKey.(crypto.Signer) }

// Authorities are the certificates of the cluster's authorities in DER, newest last.
func (c *Credentials) Authorities() [][]byte {
	der := make([][]byte, len(c.authorities))
	for i, a := range c.authorities {
		der[i] = a.Raw
	}
	return der
}

// Due reports whether it is time to renew the certificate: a third of its life is over.
func (c *Credentials) Due(now time.Time) bool {
	leaf := c.cert.Leaf
	return now.After(leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 3))
}

// dnsName names a node of a cluster in its certificate, as a host name, so that the usual check of a server's name is the
// check of the node.
func dnsName(node, cluster string) string { return node + "." + cluster }

// Names reads the ids of node and cluster out of a certificate. They are the authority's word: check the chain first.
func Names(leaf *x509.Certificate) (node, cluster string, err error) {
	if len(leaf.DNSNames) == 1 {
		if node, cluster, ok := strings.Cut(leaf.DNSNames[0], "."); ok && node != "" && cluster != "" {
			return node, cluster, nil
		}
	}
	return "", "", errors.New("transport: the certificate does not name one node of one cluster")
}

// NewKey makes a node's key, ECDSA on P-256.
func NewKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// NewAuthority makes a cluster's certificate authority: its certificate and its key in PKCS #8, both DER. The caller wipes
// the key.
func NewAuthority(clusterID string, now time.Time) (cert, key []byte, err error) {
	k, err := NewKey()
	if err != nil {
		return nil, nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Trent cluster " + clusterID},
		NotBefore: now.Add(-certSlack), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if cert, err = x509.CreateCertificate(rand.Reader, t, t, k.Public(), k); err != nil {
		return nil, nil, err
	}
	key, err = x509.MarshalPKCS8PrivateKey(k)
	return cert, key, err
}

// NewRequest is a node's request for a certificate (PKCS #10, DER), signed with its key. What it asks for is decided by who
// issues.
func NewRequest(key crypto.Signer) ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
}

// RequestKey checks a request's signature, so that whoever sent it has the key, and returns the SHA-256 of its public key.
func RequestKey(request []byte) ([]byte, error) {
	r, err := parseRequest(request)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(r.RawSubjectPublicKeyInfo)
	return sum[:], nil
}

func parseRequest(request []byte) (*x509.CertificateRequest, error) {
	r, err := x509.ParseCertificateRequest(request)
	if err == nil {
		err = r.CheckSignature()
	}
	if err != nil {
		return nil, fmt.Errorf("transport: certificate request: %w", err)
	}
	if pub, ok := r.PublicKey.(*ecdsa.PublicKey); !ok || pub.Curve != elliptic.P256() {
		return nil, errors.New("transport: certificate request: the key is not ECDSA on P-256")
	}
	return r, nil
}

// Issue makes a certificate for a node out of its request. authority and key are the authority's, DER.
func Issue(authority, key, request []byte, node, cluster string, now time.Time) ([]byte, error) {
	r, err := parseRequest(request)
	if err != nil {
		return nil, err
	}
	parent, err := x509.ParseCertificate(authority)
	if err != nil {
		return nil, fmt.Errorf("transport: certificate authority: %w", err)
	}
	signer, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("transport: key of the certificate authority: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: node}, DNSNames: []string{dnsName(node, cluster)},
		NotBefore: now.Add(-certSlack), NotAfter: now.Add(CertLife), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	return x509.CreateCertificate(rand.Reader, t, parent, r.PublicKey, signer)
}

// newSerial draws a serial number of 127 bits (RFC 5280 section 4.1.2.2).
func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

// Pin is the SHA-256 of an authority's public key, by which a joining node knows the cluster.
func Pin(authority []byte) ([32]byte, error) {
	a, err := x509.ParseCertificate(authority)
	if err != nil {
		return [32]byte{}, fmt.Errorf("transport: certificate authority: %w", err)
	}
	return sha256.Sum256(a.RawSubjectPublicKeyInfo), nil
}

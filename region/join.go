package region

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/trentkms/trent/cluster"
	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/hsm"
)

// Lives of join tokens.
const (
	DefaultTokenLife = time.Hour
	MaxTokenLife     = 7 * 24 * time.Hour
)

// tokenWish is what a token is asked for with.
type tokenWish struct {
	Life time.Duration `json:"life"`
}

// tokenGiven is a new token. The region keeps its digest only.
type tokenGiven struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// NewToken makes a token by which one node can join within life, and the time at which it expires. It waits until this node, by
// way of which the new one will most likely join, has its certificate.
func (m *Members) NewToken(ctx context.Context, life time.Duration) (token string, expires time.Time, err error) {
	if err := m.awaitCertificate(ctx); err != nil {
		return "", time.Time{}, err
	}
	var given tokenGiven
	err = m.atLeader(ctx, methodToken, tokenWish{life}, &given)
	return given.Token, given.ExpiresAt, err
}

func (m *Members) newToken(ctx context.Context, wish tokenWish) (given tokenGiven, err error) {
	if wish.Life == 0 {
		wish.Life = DefaultTokenLife
	}
	if wish.Life < time.Second || wish.Life > MaxTokenLife {
		return given, fmt.Errorf("a join token lives for a second to %v", MaxTokenLife)
	}
	st, err := m.ensureAuthority(ctx)
	if err != nil {
		return given, err
	}
	pin, err := transport.Pin(st.Authority().Cert)
	if err != nil {
		return given, err
	}
	var secret [32]byte
	if err := m.service.cfg.HSM.Random(ctx, secret[:]); err != nil {
		return given, err
	}
	t := transport.NewJoinToken(pin, secret)
	now := m.service.Now()
	given = tokenGiven{Token: t.Reveal(), ExpiresAt: now.Add(wish.Life).UTC()}
	return given, m.service.proposeSetup(ctx, &fsm.PutJoinToken{Token: fsm.JoinToken{
		Digest: t.Digest(), CreatedAt: now.UnixMilli(), ExpiresAt: given.ExpiresAt.UnixMilli(),
	}})
}

// joinRequest is what a node that joins sends. The secret is redacted by not being printed anywhere.
type joinRequest struct {
	Secret       []byte `json:"secret"`
	NodeID       string `json:"nodeId"`
	Address      string `json:"address"`
	Region       string `json:"region"`
	Request      []byte `json:"certificateRequest"`
	Transport    []byte `json:"transport,omitempty"`
	Mechanism    uint8  `json:"mechanism,omitempty"`
	FeatureLevel int    `json:"featureLevel"`
	// HSM is the kind of the node's module; another kind than the leader's needs AllowMixed.
	HSM        string `json:"hsm"`
	AllowMixed bool   `json:"allowMixedHsm,omitempty"`
}

// joinAnswer is what the node gets.
type joinAnswer struct {
	ClusterID string `json:"clusterId"`
	certificates
	// Domains are the domain key versions for the node's HSM.
	Domains []domainFor `json:"domains"`
}

// domainFor is one domain key version, wrapped for the node, or by name only where the nodes share a partition.
type domainFor struct {
	ID      string `json:"id"`
	Wrapped []byte `json:"wrapped,omitempty"`
	Active  bool   `json:"active,omitempty"`
}

// Join serves a node that wants to join (transport.Handlers.Join): the leader decides, wherever the request arrived.
func (m *Members) Join(ctx context.Context, payload []byte) ([]byte, error) {
	var answer json.RawMessage
	if err := m.atLeader(ctx, methodJoin, json.RawMessage(payload), &answer); err != nil {
		return nil, err
	}
	return answer, nil
}

// admit takes a node in: it uses the token, wraps the domain keys for the node, adds it without a vote, and only then hands
// out a certificate, so that whoever has one is a member. Every step can be repeated: a node that missed the answer asks
// again with the same token and key.
func (m *Members) admit(ctx context.Context, in joinRequest) (out joinAnswer, err error) {
	defer clear(in.Secret)
	m.one.Lock()
	defer m.one.Unlock()
	key, err := transport.RequestKey(in.Request)
	if err != nil {
		return out, err
	}
	// Nobody without a token makes the region write anything, or learns anything about it.
	digest := transport.SecretDigest(in.Secret)
	st, err := m.service.View(ctx)
	if err != nil {
		return out, err
	}
	if j := st.JoinToken(digest); j == nil || m.service.Now().UnixMilli() >= j.ExpiresAt {
		return out, errors.New(fsm.RefusedToken)
	}
	if in.Region != m.service.Region() {
		return out, fmt.Errorf("this is region %s, the node is configured for %q", m.service.Region(), in.Region)
	}
	if kind := m.service.cfg.HSM.Info().Kind; in.HSM != kind && !in.AllowMixed {
		return out, fmt.Errorf("the nodes of this region have HSMs of kind %q, the node has %q; join with --allow-mixed-hsm if that is meant", kind, in.HSM)
	}
	if in.FeatureLevel < m.node.FeatureLevel() {
		return out, errors.New("the node runs an older version than the region needs; upgrade it")
	}
	row := fsm.Node{ID: in.NodeID, Address: in.Address, Transport: in.Transport, Mechanism: in.Mechanism, FeatureLevel: in.FeatureLevel}
	if err := m.useToken(ctx, &fsm.AdmitNode{Digest: digest, Key: key, Node: row}); err != nil {
		return out, err
	}
	if err := m.wrapFor(ctx, &row, false); err != nil {
		return out, err
	}
	if err := m.node.AddNonvoter(ctx, in.NodeID, in.Address); err != nil {
		return out, err
	}
	m.log.Info("a node has joined", "node", in.NodeID, "address", in.Address)
	out.ClusterID = m.node.Identity().ClusterID
	for d := range m.node.State().DomainKeys() {
		out.Domains = append(out.Domains, domainFor{ID: d.ID, Wrapped: wrappedFor(d, in.NodeID), Active: d.Active})
	}
	out.certificates, err = m.issue(ctx, in.NodeID, in.Request)
	return out, err
}

// useToken commits the admission. The state's refusal is what the node is told.
func (m *Members) useToken(ctx context.Context, body *fsm.AdmitNode) error {
	cmd := fsm.Command{Attempt: 1, Time: m.service.Now().UnixMilli(), Body: body}
	if err := m.service.cfg.HSM.Random(ctx, cmd.ID[:]); err != nil {
		return err
	}
	res, err := m.node.Propose(ctx, cmd)
	if err == nil && res.Code != fsm.OK {
		err = errors.New(res.Detail)
	}
	return err
}

// Joining is what a node brings to join with.
type Joining struct {
	Token  transport.JoinToken
	Via    string // address of any node of the region, or of a load balancer before them
	NodeID string
	// Address is where the other nodes will reach this one.
	Address string
	Region  string
	HSM     hsm.Module
	// Key is the node's key. To repeat a request whose answer was missed it must be the same.
	Key        crypto.Signer
	AllowMixed bool
}

// Joined is what a node has after it was admitted: its HSM holds the domain keys.
type Joined struct {
	ClusterID   string
	Credentials *transport.Credentials
	// Domain is the active domain key version, under which the node seals its key.
	Domain string
}

// JoinRegion asks a region to take this node in, and brings the region's domain keys into the node's HSM.
func JoinRegion(ctx context.Context, j Joining) (*Joined, error) {
	tk, err := transportKey(ctx, j.HSM)
	if err != nil {
		return nil, fmt.Errorf("transport key of the HSM: %w", err)
	}
	request, err := transport.NewRequest(j.Key)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(joinRequest{
		Secret: j.Token.Secret(), NodeID: j.NodeID, Address: j.Address, Region: j.Region, Request: request, Transport: tk.SPKI, Mechanism: uint8(tk.Mechanism),
		FeatureLevel: fsm.MaxLevel(), HSM: j.HSM.Info().Kind, AllowMixed: j.AllowMixed,
	})
	if err != nil {
		return nil, err
	}
	defer clear(payload)
	b, err := transport.RequestJoin(ctx, j.Via, j.Token.Pin, payload)
	if err != nil {
		return nil, err
	}
	var answer joinAnswer
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, fmt.Errorf("the region's answer: %w", err)
	}
	return j.take(ctx, &answer)
}

// take checks the answer and puts it to use.
func (j *Joining) take(ctx context.Context, a *joinAnswer) (*Joined, error) {
	creds, err := transport.NewCredentials(a.Cert, j.Key, a.Authorities)
	if err != nil {
		return nil, err
	}
	pin, err := transport.Pin(creds.Authorities()[len(a.Authorities)-1])
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(pin[:], j.Token.Pin[:]) || creds.NodeID != j.NodeID || creds.ClusterID != a.ClusterID {
		return nil, errors.New("the region's answer is not for this node; the join token may be of another authority")
	}
	out := &Joined{ClusterID: a.ClusterID, Credentials: creds}
	for _, d := range a.Domains {
		if err := importDomain(ctx, j.HSM, d); err != nil {
			return nil, err
		}
		if d.Active {
			out.Domain = d.ID
		}
	}
	if out.Domain == "" {
		return nil, errors.New("the region's answer names no active domain key")
	}
	return out, nil
}

func importDomain(ctx context.Context, module hsm.Module, d domainFor) error {
	has, err := module.HasDomain(ctx, hsm.DomainID(d.ID))
	switch {
	case err != nil:
		return fmt.Errorf("look for domain key %s in the HSM: %w", d.ID, err)
	case has:
		return nil
	case d.Wrapped == nil:
		return fmt.Errorf("this HSM cannot take the domain key %s in and does not hold it: share the partition of the other nodes, or use an HSM with a transport key", d.ID)
	}
	if err := module.ImportDomain(ctx, hsm.DomainID(d.ID), d.Wrapped); err != nil {
		return fmt.Errorf("import domain key %s: %w", d.ID, err)
	}
	return nil
}

// keep is how often a node looks after its own membership, and soon how often while something is to be done.
const (
	keepEvery = 10 * time.Second
	keepSoon  = 500 * time.Millisecond
)

// Keep looks after this node's own membership until ctx ends: it tells the leader its address, feature level and transport
// key, asks for its vote, and renews its certificate, which save makes durable before it is used. A node that was never
// given a certificate, the first of a region, gets one.
func (m *Members) Keep(ctx context.Context, save func(ctx context.Context, c *transport.Credentials, key crypto.Signer) error) {
	m.certificates.Lock()
	m.save = save
	m.certificates.Unlock()
	said := ""
	for {
		settled, err := m.keepPlace(ctx)
		err = errors.Join(m.keepCertificate(ctx), err)
		wait := keepEvery
		if err != nil || !settled {
			wait = keepSoon
		}
		if err != nil {
			if text := err.Error(); text != said && ctx.Err() == nil {
				said = text
				m.log.Info("membership: not settled yet", "error", err)
			}
		}
		select {
		case <-time.After(wait):
		case <-m.wake:
		case <-ctx.Done():
			return
		}
	}
}

// keepPlace announces this node if what the region knows of it is out of date or it has no vote, and reports whether there
// was nothing to do.
func (m *Members) keepPlace(ctx context.Context) (settled bool, err error) {
	st, id := m.node.State(), m.node.Identity().NodeID
	if st.Removed(id) {
		return false, fmt.Errorf("%w (%s)", cluster.ErrRemoved, id)
	}
	tk, err := transportKey(ctx, m.service.cfg.HSM)
	if err != nil {
		return false, err
	}
	a := announcement{Address: m.wire.Advertise(), Transport: tk.SPKI, Mechanism: uint8(tk.Mechanism), FeatureLevel: fsm.MaxLevel()}
	if m.settled(st, &a) {
		return true, nil
	}
	a.Ready = m.ready.Load()
	limit, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return false, m.atLeader(limit, methodAnnounce, a, nil)
}

// settled reports whether the state has everything that an announcement would bring about.
func (m *Members) settled(st *fsm.State, a *announcement) bool {
	id := m.node.Identity().NodeID
	row := st.Node(id)
	self, ok := m.server()
	if row == nil || !ok || self.Suffrage != 0 || string(self.Address) != a.Address {
		return false
	}
	if !sameNode(row, &fsm.Node{Address: a.Address, Transport: a.Transport, Mechanism: a.Mechanism, FeatureLevel: a.FeatureLevel}) {
		return false
	}
	if len(a.Transport) == 0 {
		return true
	}
	for d := range st.DomainKeys() {
		if wrappedFor(d, id) == nil {
			return false
		}
	}
	return true
}

// keepCertificate gets this node its first certificate, or a new one in good time.
func (m *Members) keepCertificate(ctx context.Context) error {
	m.certificates.Lock()
	defer m.certificates.Unlock()
	if c := m.wire.Credentials(); c != nil && !c.Due(time.Now()) {
		return nil
	}
	key, err := transport.NewKey()
	if err != nil {
		return err
	}
	request, err := transport.NewRequest(key)
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var got certificates
	if err := m.atLeader(limit, methodRenew, request, &got); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	c, err := transport.NewCredentials(got.Cert, key, got.Authorities)
	if err != nil {
		return err
	}
	if c.NodeID != m.node.Identity().NodeID || c.ClusterID != m.node.Identity().ClusterID {
		return errors.New("the leader issued a certificate for another node")
	}
	if err := m.save(ctx, c, key); err != nil {
		return fmt.Errorf("save the certificate: %w", err)
	}
	m.wire.SetCredentials(c)
	m.log.Info("membership: certificate issued", "until", c.Leaf().NotAfter)
	return nil
}

// resealCertificate makes the node's certificate durable again, its key sealed under the version that is active now.
func (m *Members) resealCertificate(ctx context.Context) error {
	if m.wire == nil || m.wire.Credentials() == nil {
		return nil
	}
	m.certificates.Lock()
	defer m.certificates.Unlock()
	if m.save == nil {
		return errors.New("the node is not ready yet")
	}
	c := m.wire.Credentials()
	return m.save(ctx, c, c.Key())
}

// awaitCertificate waits until others can connect to this node. The first node of a region gets its certificate shortly after
// it begins to serve.
func (m *Members) awaitCertificate(ctx context.Context) error {
	limit := time.After(10 * time.Second)
	for m.wire.Credentials() == nil {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-limit:
			return errors.New("this node has no certificate of the region yet: try again, and see its log for the reason")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Ready tells that this node serves: its HSM holds the domain keys. From then on it may have a vote.
func (m *Members) Ready() {
	m.ready.Store(true)
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

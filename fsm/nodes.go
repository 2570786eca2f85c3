package fsm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"iter"
	"slices"

	"github.com/hashicorp/raft"
)

// Kinds of commands about the nodes of the region.
const (
	KindPutAuthority  Kind = 10
	KindPutJoinToken  Kind = 11
	KindAdmitNode     Kind = 12
	KindPutNode       Kind = 13
	KindWrapDomainKey Kind = 14
	KindForgetNode    Kind = 15
)

// Authority is one version of the certificate authority of the region's nodes. All versions are trusted, the highest
// one issues.
type Authority struct {
	Version uint32 `cbor:"1,keyasint"`
	Cert    []byte `cbor:"2,keyasint"` // DER
	Domain  uint32 `cbor:"3,keyasint"` // domain key version that Key is sealed under
	Key     []byte `cbor:"4,keyasint"` // sealed PKCS #8
	// CreatedAt is when it was made.
	CreatedAt int64 `cbor:"5,keyasint"`
}

// Node is a node that belongs to the region, or is about to.
type Node struct {
	ID      string `cbor:"1,keyasint"`
	Address string `cbor:"2,keyasint"` // host:port by which the other nodes reach it
	// Transport is the DER SubjectPublicKeyInfo of its HSM's transport key, for which domain keys are wrapped; nil where
	// the nodes share one HSM partition. Mechanism is the wrapping mechanism of that key (hsm.WrapMechanism).
	Transport []byte `cbor:"3,keyasint,omitempty"`
	Mechanism uint8  `cbor:"4,keyasint,omitempty"`
	// FeatureLevel is the highest level of commands that the node can apply (MaxLevel).
	FeatureLevel int   `cbor:"5,keyasint"`
	JoinedAt     int64 `cbor:"6,keyasint"`
	// Version is the index of the row's last change.
	Version uint64 `cbor:"7,keyasint"`
}

// RemovedNode remembers a node that was taken out of the Raft configuration. Its id is never used again.
type RemovedNode struct {
	ID    string `cbor:"1,keyasint"`
	Index uint64 `cbor:"2,keyasint"` // of the configuration without it
}

// JoinToken is the right to join once. Only its digest is here.
type JoinToken struct {
	Digest    []byte `cbor:"1,keyasint"` // SHA-256 of the secret
	CreatedAt int64  `cbor:"2,keyasint"`
	ExpiresAt int64  `cbor:"3,keyasint"`
	// Node is who has used it, and Key the SHA-256 of the public key that it came with: the very same node may repeat its
	// request until the token expires, since it may have missed the answer. Empty while the token is unused.
	Node string `cbor:"4,keyasint,omitempty"`
	Key  []byte `cbor:"5,keyasint,omitempty"`
}

// PutAuthority adds a version above all others.
type PutAuthority struct {
	Authority Authority `cbor:"1,keyasint"`
}

// PutJoinToken adds a token that is new, and drops those that have expired.
type PutJoinToken struct {
	Token JoinToken `cbor:"1,keyasint"`
}

// AdmitNode uses a token: the node that comes with it belongs to the region from now on. It takes effect for a token that
// has not expired and was not used by anybody else, and a node that neither belongs to the region nor was removed.
type AdmitNode struct {
	Digest []byte `cbor:"1,keyasint"`
	Key    []byte `cbor:"2,keyasint"`
	Node   Node   `cbor:"3,keyasint"`
}

// PutNode changes the row of a node of the Raft configuration, or adds it for the first node of a region. JoinedAt stays.
type PutNode struct {
	Node Node `cbor:"1,keyasint"`
}

// WrapDomainKey adds a domain key version wrapped for one node of the region.
type WrapDomainKey struct {
	Version uint32        `cbor:"1,keyasint"`
	Wrapped WrappedDomain `cbor:"2,keyasint"`
}

// ForgetNode drops a node that was admitted and never came into the Raft configuration, and remembers its id as removed.
type ForgetNode struct {
	ID string `cbor:"1,keyasint"`
}

// Kind implements Body.
func (PutAuthority) Kind() Kind  { return KindPutAuthority }
func (PutJoinToken) Kind() Kind  { return KindPutJoinToken }
func (AdmitNode) Kind() Kind     { return KindAdmitNode }
func (PutNode) Kind() Kind       { return KindPutNode }
func (WrapDomainKey) Kind() Kind { return KindWrapDomainKey }
func (ForgetNode) Kind() Kind    { return KindForgetNode }

// Tables of nodes, and their keys.
const (
	tableAuthorities  = "authorities"
	tableNodes        = "nodes"
	tableRemovedNodes = "removed-nodes"
	tableJoinTokens   = "join-tokens"
)

// maxJoinTokens is how many tokens can be outstanding.
const maxJoinTokens = 256

func (a *Authority) primary() []byte   { return domainKey(nil, a.Version) }
func (n *Node) primary() []byte        { return name1(nil, n.ID) }
func (n *RemovedNode) primary() []byte { return name1(nil, n.ID) }
func (j *JoinToken) primary() []byte   { return bytes.Clone(j.Digest) }

func (v *view) node(id string) *Node {
	l := v.lookup()
	l.key = name1(l.key[:0], id)
	return first[Node](v, tableNodes, l)
}

func (v *view) removedNode(id string) *RemovedNode {
	l := v.lookup()
	l.key = name1(l.key[:0], id)
	return first[RemovedNode](v, tableRemovedNodes, l)
}

func (v *view) joinToken(digest []byte) *JoinToken {
	l := v.lookup()
	l.key = append(l.key[:0], digest...)
	return first[JoinToken](v, tableJoinTokens, l)
}

func (v *view) authority() (newest *Authority) {
	for a := range from[Authority](v, tableAuthorities, indexID, nil) {
		newest = a
	}
	return newest
}

// Authority returns the certificate authority that issues, nil before the first.
func (s *State) Authority() *Authority { return s.authority() }

// Authorities yields all versions of the certificate authority, oldest first.
func (s *State) Authorities() iter.Seq[*Authority] {
	return from[Authority](&s.view, tableAuthorities, indexID, nil)
}

// Node returns a node of the region, nil if there is none of that id.
func (s *State) Node(id string) *Node { return s.node(id) }

// Nodes yields the nodes of the region, ordered by id.
func (s *State) Nodes() iter.Seq[*Node] { return from[Node](&s.view, tableNodes, indexID, nil) }

// Removed reports whether a node was taken out of the region. Its id must not come back: a node that lost its disk under
// the id would have forgotten its vote.
func (s *State) Removed(id string) bool { return s.removedNode(id) != nil }

// JoinToken returns the token with a digest, nil if there is none.
func (s *State) JoinToken(digest []byte) *JoinToken { return s.joinToken(digest) }

// FeatureLevel is the highest level that all nodes of the region announce: no command above it may be proposed. A node that is
// alone announces nothing: then it is this version's own. It is LevelInitial while no node of several has announced any.
func (s *State) FeatureLevel() int {
	level := 0
	for n := range s.Nodes() {
		if level == 0 || n.FeatureLevel < level {
			level = n.FeatureLevel
		}
	}
	if level == 0 && len(s.cfg.Servers) == 1 {
		return MaxLevel()
	}
	return max(level, LevelInitial)
}

func (a *Authority) check() error {
	if a.Version == 0 || a.Domain == 0 {
		return errors.New("certificate authority without version or domain key version")
	}
	return errors.Join(checkBytes("certificate", a.Cert, 1, maxPublic), checkBytes("sealed key", a.Key, 1, maxSecret), checkTime("CreatedAt", a.CreatedAt))
}

func (n *Node) check() error {
	if n.FeatureLevel < 1 {
		return errors.New("node without feature level")
	}
	return errors.Join(
		checkName("node id", n.ID, maxID), checkName("address", n.Address, maxPrincipal*4),
		checkBytes("transport key", n.Transport, 0, maxPublic), checkTime("JoinedAt", n.JoinedAt),
	)
}

func (c *PutAuthority) check() error { return c.Authority.check() }

func (c *PutJoinToken) check() error {
	j := &c.Token
	if j.Node != "" || j.Key != nil || j.ExpiresAt <= j.CreatedAt {
		return errors.New("join token that is used or expired from the start")
	}
	return errors.Join(checkBytes("digest", j.Digest, sha256.Size, sha256.Size), checkTime("CreatedAt", j.CreatedAt))
}

func (c *AdmitNode) check() error {
	return errors.Join(c.Node.check(), checkBytes("digest", c.Digest, sha256.Size, sha256.Size), checkBytes("key", c.Key, sha256.Size, sha256.Size))
}

func (c *PutNode) check() error { return c.Node.check() }

func (c *WrapDomainKey) check() error {
	if c.Version == 0 {
		return errors.New("domain key versions start at 1")
	}
	return errors.Join(checkName("node id", c.Wrapped.NodeID, maxID), checkBytes("wrapped domain key", c.Wrapped.Blob, 1, maxBlob))
}

func (c *ForgetNode) check() error { return checkName("node id", c.ID, maxID) }

func applyPutAuthority(t *tx, c *PutAuthority) outcome {
	if last := t.authority(); last != nil && last.Version >= c.Authority.Version {
		return stale("the version of the certificate authority is not above all others")
	}
	if !t.wraps(c.Authority.Domain) {
		return conflict(noDomain)
	}
	t.put(tableAuthorities, &c.Authority)
	return done()
}

func applyPutJoinToken(t *tx, c *PutJoinToken) outcome {
	if t.joinToken(c.Token.Digest) != nil {
		return conflict("the join token exists already")
	}
	left := 0
	for j := range from[JoinToken](&t.view, tableJoinTokens, indexID, nil) {
		if j.ExpiresAt <= t.now {
			t.remove(tableJoinTokens, j)
		} else {
			left++
		}
	}
	if left >= maxJoinTokens {
		return conflict("too many join tokens are outstanding; wait until some have expired")
	}
	t.put(tableJoinTokens, &c.Token)
	return done()
}

// Reasons for which a node is not admitted. They reach the operator who wants to join.
const (
	RefusedToken   = "the join token is unknown, expired or used"
	RefusedRemoved = "the node was removed from the region: empty its data directory and join as a new node"
	RefusedMember  = "a node of this id belongs to the region already: remove it first, empty the data directory and join as a new node"
)

func applyAdmitNode(t *tx, c *AdmitNode) outcome {
	j := t.joinToken(c.Digest)
	if j == nil || t.now >= j.ExpiresAt {
		return conflict(RefusedToken)
	}
	again := j.Node == c.Node.ID && bytes.Equal(j.Key, c.Key)
	switch {
	case j.Node != "" && !again:
		return conflict(RefusedToken)
	case t.removedNode(c.Node.ID) != nil:
		return conflict(RefusedRemoved)
	case !again && (t.node(c.Node.ID) != nil || t.configured(c.Node.ID)):
		return conflict(RefusedMember)
	}
	used, node := *j, c.Node
	used.Node, used.Key = node.ID, c.Key
	node.JoinedAt, node.Version = t.now, t.index
	t.put(tableJoinTokens, &used)
	t.put(tableNodes, &node)
	return done()
}

// configured reports whether the Raft configuration names a node.
func (t *tx) configured(id string) bool { return hasServer(t.d.cfg, id) }

func hasServer(cfg raft.Configuration, id string) bool {
	return slices.ContainsFunc(cfg.Servers, func(s raft.Server) bool { return string(s.ID) == id })
}

func applyPutNode(t *tx, c *PutNode) outcome {
	node, old := c.Node, t.node(c.Node.ID)
	switch {
	case t.removedNode(node.ID) != nil:
		return conflict(RefusedRemoved)
	case old == nil && !t.configured(node.ID):
		return conflict("the node does not belong to the region")
	case old == nil:
		node.JoinedAt = t.now
	default:
		node.JoinedAt = old.JoinedAt
	}
	node.Version = t.index
	t.put(tableNodes, &node)
	return done()
}

func applyWrapDomainKey(t *tx, c *WrapDomainKey) outcome {
	d := t.domainKey(c.Version)
	if d == nil || t.node(c.Wrapped.NodeID) == nil {
		return conflict("the domain key version or the node does not exist")
	}
	changed := *d
	changed.Wrapped = sortWrapped(append(withoutWrapped(d.Wrapped, c.Wrapped.NodeID), c.Wrapped))
	t.put(tableDomainKeys, &changed)
	return done()
}

func withoutWrapped(all []WrappedDomain, node string) []WrappedDomain {
	kept := make([]WrappedDomain, 0, len(all)+1)
	for _, w := range all {
		if w.NodeID != node {
			kept = append(kept, w)
		}
	}
	return kept
}

func applyForgetNode(t *tx, c *ForgetNode) outcome {
	node := t.node(c.ID)
	if node == nil || t.configured(c.ID) {
		return conflict("the node does not exist, or is in the Raft configuration")
	}
	t.remove(tableNodes, node)
	t.put(tableRemovedNodes, &RemovedNode{ID: c.ID, Index: t.index})
	for _, d := range t.wrappedFor(c.ID) {
		t.put(tableDomainKeys, d)
	}
	if r := t.rotation(); r != nil && len(r.Pending) > 0 {
		t.put(tableRotations, withoutPending(r, c.ID))
	}
	return done()
}

// wrappedFor returns copies, without the node's part, of the domain keys that are wrapped for a node.
func (v *view) wrappedFor(node string) (changed []*DomainKey) {
	for d := range from[DomainKey](v, tableDomainKeys, indexID, nil) {
		if slices.ContainsFunc(d.Wrapped, func(w WrappedDomain) bool { return w.NodeID == node }) {
			c := *d
			c.Wrapped = withoutWrapped(d.Wrapped, node)
			changed = append(changed, &c)
		}
	}
	return changed
}

// forgetRemoved remembers the ids that a new configuration leaves out and drops what the region holds for them. It is part
// of the configuration's own entry, so that there is no moment at which a node is out and its id not yet refused.
func (d *draft) forgetRemoved(index uint64, next raft.Configuration) error {
	for _, s := range d.cfg.Servers {
		if id := string(s.ID); !hasServer(next, id) {
			if err := d.forgetNode(id, index); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *draft) forgetNode(id string, index uint64) error {
	if err := d.txn.Insert(tableRemovedNodes, &RemovedNode{ID: id, Index: index}); err != nil {
		return err
	}
	if node := d.node(id); node != nil {
		if err := d.txn.Delete(tableNodes, node); err != nil {
			return err
		}
	}
	for _, key := range d.wrappedFor(id) {
		if err := d.txn.Insert(tableDomainKeys, key); err != nil {
			return err
		}
	}
	if r := d.rotation(); r != nil && len(r.Pending) > 0 {
		return d.txn.Insert(tableRotations, withoutPending(r, id))
	}
	return nil
}

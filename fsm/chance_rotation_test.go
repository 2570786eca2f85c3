package fsm

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hashicorp/raft"
)

// rotationBody draws a body about the rotation of the domain key, mostly the next step of the one that is under way.
func (c chance) rotationBody() Body {
	r := c.s.DomainRotation()
	if !r.Active() || c.Intn(12) == 0 {
		return c.outsideRotation(r)
	}
	switch r.Phase {
	case RotationSpreading:
		return &AdvanceRotation{r.To, RotationRewrapping}
	case RotationRewrapping:
		w := &Rewrap{To: r.To}
		for item := range c.s.UnderOlder(r.To, KeyRef{}) {
			if len(w.Items) == 40 {
				break
			}
			if item.Blob = fmt.Appendf(nil, "blob under %d", r.To); c.Intn(20) == 0 {
				item.From = uint32(c.Intn(int(item.From))) + 1
			}
			w.Items = append(w.Items, item)
		}
		if len(w.Items) > 0 && c.Intn(4) > 0 {
			return w
		}
		if r.Destroy {
			return &AdvanceRotation{r.To, RotationDestroying}
		}
	case RotationDestroying:
		if len(r.Pending) > 0 && c.Intn(6) > 0 {
			node := r.Pending[0].NodeID
			if n := c.s.Node(node); n != nil && c.flag() {
				changed := *n
				changed.Transport = fmt.Append(nil, "spki", c.Intn(1<<20))
				return &PutNode{changed}
			}
			return &ConfirmDestroyed{node}
		}
	}
	return &AdvanceRotation{r.To, RotationDone}
}

func (c chance) outsideRotation(r *DomainRotation) Body {
	k := RecoveryKey{Name: fmt.Sprint("recovery-", c.Intn(4)), Public: []byte("spki"), From: 1}
	var versions []WrappedVersion
	last := uint32(0)
	for d := range c.s.DomainKeys() {
		versions, last = append(versions, WrappedVersion{d.Version, []byte("wrapped")}), d.Version
	}
	switch c.Intn(6) {
	case 0:
		return &PutRecoveryKey{k, versions}
	case 1:
		return &RemoveRecoveryKey{k.Name}
	case 2:
		return &OperatorEvent{"Something"}
	}
	if r != nil {
		last = max(last, r.To)
	}
	b := &BeginRotation{DomainKey: DomainKey{Version: last + 1, ID: fmt.Sprint("domain-", last+1), Probe: []byte("probe")}, Destroy: c.flag(), Total: 9}
	for n := range c.s.Nodes() {
		b.DomainKey.Wrapped = append(b.DomainKey.Wrapped, WrappedDomain{n.ID, []byte("wrapped")})
	}
	for k := range c.s.RecoveryKeys() {
		b.DomainKey.Wrapped = append(b.DomainKey.Wrapped, WrappedDomain{k.Name, []byte("wrapped")})
	}
	if c.flag() && c.s.RecoveryKey(k.Name) == nil {
		b.RecoveryKey = &k
		b.DomainKey.Wrapped = append(b.DomainKey.Wrapped, WrappedDomain{k.Name, []byte("wrapped")})
	}
	return b
}

// checkDomains wants nothing to be wrapped under a version that the state does not have, or that a rotation has left behind.
func checkDomains(t *testing.T, s *State) {
	t.Helper()
	for item := range s.UnderOlder(^uint32(0), KeyRef{}) {
		if s.DomainKey(item.From) == nil {
			t.Errorf("%+v is wrapped under a version that is gone", item)
		}
	}
	r := s.DomainRotation()
	if r == nil {
		return
	}
	if r.Phase >= RotationDestroying && r.Destroy {
		for item := range s.UnderOlder(r.To, KeyRef{}) {
			t.Errorf("%+v is left under a version that is destroyed", item)
		}
		for d := range s.DomainKeys() {
			if d.Version < r.To {
				t.Errorf("version %d was not dropped", d.Version)
			}
		}
	}
	for _, p := range r.Pending {
		_, cfg := s.Config()
		if s.Node(p.NodeID) == nil && !slices.Contains(serverIDs(cfg.Servers), p.NodeID) {
			t.Errorf("the rotation waits for %s, which is gone", p.NodeID)
		}
	}
	if r.Phase == RotationDone && (len(r.Pending) > 0 || len(r.Old) > 0) {
		t.Errorf("done, and %+v is left", r)
	}
}

func serverIDs(servers []raft.Server) (out []string) {
	for _, s := range servers {
		out = append(out, string(s.ID))
	}
	return out
}

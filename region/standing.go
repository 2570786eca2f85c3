package region

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/arn"
)

// Standing is everything that decides what a user or role may do, read from one State: its own policies, those of its groups,
// its boundary. It is immutable but for what it remembers of being current, and shared by requests.
type Standing struct {
	Identity *fsm.Identity
	// IdentityARN is the ARN of the user or role.
	IdentityARN string
	// Groups are those of a user.
	Groups []*fsm.Identity
	// Policies are all identity policies that apply together (spec 04 IDP-01).
	Policies []StandingPolicy
	// Boundary caps them, nil if nothing does.
	Boundary *StandingPolicy
	// Session are the session policies of temporary credentials (spec 04 IDP-10).
	Session []StandingPolicy

	// current is the index of the latest state for which all rows were found unchanged.
	current atomic.Uint64
}

// StandingPolicy is a policy document with where it comes from.
type StandingPolicy struct {
	// Name says where the document is: the ARN of a managed policy, or identity and name of an inline one.
	Name     string
	Document string
	// Row is a customer managed policy's, nil for others.
	Row *fsm.ManagedPolicy
}

// Standing collects what decides about a user or role and, for temporary credentials, its session.
func (s *Service) Standing(st *fsm.State, i *fsm.Identity, session *Session) *Standing {
	d := &Standing{Identity: i, IdentityARN: s.IdentityARN(i)}
	d.add(s, st, i)
	for _, id := range i.Groups {
		if g := st.Identity(id); g != nil {
			d.Groups = append(d.Groups, g)
			d.add(s, st, g)
		}
	}
	if i.Boundary != "" {
		p := s.standingPolicy(st, i.Boundary)
		d.Boundary = &p
	}
	if session != nil {
		d.narrow(s, st, session)
	}
	d.current.Store(st.Index())
	return d
}

// narrow adds the session policies.
func (d *Standing) narrow(s *Service, st *fsm.State, session *Session) {
	for _, document := range session.Policies {
		d.Session = append(d.Session, StandingPolicy{Name: "session policy", Document: document})
	}
	for _, name := range session.PolicyARNs {
		p := StandingPolicy{Name: name}
		if m, ok := s.findPolicy(st, d.Identity.Account, name); ok {
			p.Row = m.row
			if p.Row != nil {
				p.Document = p.Row.Document()
			} else {
				p.Document = m.builtIn.Document
			}
		}
		d.Session = append(d.Session, p)
	}
}

// all yields every policy of the standing.
func (d *Standing) all(yield func(*StandingPolicy) bool) {
	for i := range d.Policies {
		if !yield(&d.Policies[i]) {
			return
		}
	}
	if d.Boundary != nil && !yield(d.Boundary) {
		return
	}
	for i := range d.Session {
		if !yield(&d.Session[i]) {
			return
		}
	}
}

func (d *Standing) add(s *Service, st *fsm.State, i *fsm.Identity) {
	for _, p := range i.Inline {
		d.Policies = append(d.Policies, StandingPolicy{Name: identityKinds[i.Type].resource + "/" + i.Name + "/" + p.Name, Document: p.Document})
	}
	for _, ref := range i.Attached {
		d.Policies = append(d.Policies, s.standingPolicy(st, ref))
	}
}

// standingPolicy is a managed policy as identities refer to it. One that is not there has no document: it allows nothing, and a
// boundary of it allows nothing at all.
func (s *Service) standingPolicy(st *fsm.State, ref string) StandingPolicy {
	if strings.HasPrefix(ref, arn.Prefix) {
		i := slices.IndexFunc(s.cfg.BuiltIn, func(b BuiltInPolicy) bool { return b.ARN == ref })
		if i < 0 {
			return StandingPolicy{Name: ref}
		}
		return StandingPolicy{Name: ref, Document: s.cfg.BuiltIn[i].Document}
	}
	p := st.ManagedPolicy(ref)
	if p == nil {
		return StandingPolicy{Name: ref}
	}
	return StandingPolicy{Name: s.PolicyARN(p), Document: p.Document(), Row: p}
}

// Current tells whether the standing is the same in another state. Rows are immutable, so the same rows are the same facts.
func (d *Standing) Current(st *fsm.State) bool {
	if d.current.Load() == st.Index() {
		return true
	}
	if st.Identity(d.Identity.ID) != d.Identity {
		return false
	}
	for _, g := range d.Groups {
		if st.Identity(g.ID) != g {
			return false
		}
	}
	for p := range d.all {
		if p.Row != nil && st.ManagedPolicy(p.Row.ID) != p.Row {
			return false
		}
	}
	d.current.Store(st.Index())
	return true
}

// Reads are the documents of the standing with their versions.
func (d *Standing) Reads() []fsm.Read {
	reads := []fsm.Read{{Doc: fsm.DocIdentity, Name: d.Identity.ID, Version: d.Identity.Version}}
	for _, g := range d.Groups {
		reads = append(reads, fsm.Read{Doc: fsm.DocIdentity, Name: g.ID, Version: g.Version})
	}
	for p := range d.all {
		if p.Row != nil {
			reads = append(reads, fsm.Read{Doc: fsm.DocManagedPolicy, Name: p.Row.ID, Version: p.Row.Version})
		}
	}
	return reads
}

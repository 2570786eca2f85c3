package region

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/trentkms/trent/fsm"
)

// Forgetting is what forgetting a region means here.
type Forgetting struct {
	Region string `json:"region"`
	Fence  uint64 `json:"fence"`
	// KeysShared counts the multi-Region keys with a member there, PrimariesThere those whose primary is there: another region takes
	// it over.
	KeysShared     int `json:"keysShared"`
	PrimariesThere int `json:"primariesThere"`
	// Reachable tells that the region is there: then it is not lost, and forgetting it loses what it alone has.
	Reachable bool `json:"reachable"`
	// Elsewhere are the regions in which it has still to be forgotten too, by their operators, as far as is known here.
	Elsewhere []string `json:"elsewhere,omitempty"`
	// IdentityHome tells that this region's identities are decided there: from then on they are decided here.
	IdentityHome bool `json:"identityHome,omitempty"`
	DryRun       bool `json:"dryRun,omitempty"`
}

// OnlyTold tells whether it was a dry run.
func (f *Forgetting) OnlyTold() bool { return f != nil && f.DryRun }

// ForgetRegion marks a region as lost for good. The fence is the same in every region: the one that another region has announced,
// or a new one, above every term that there can be. With dryRun it only tells what would happen; a region that is reachable is
// forgotten only with force.
func (r *Regions) ForgetRegion(ctx context.Context, name string, dryRun, force bool) (*Forgetting, error) {
	o, err := r.find(ctx, name)
	if err != nil {
		return nil, err
	}
	if o.State == fsm.RegionIntroduced || o.State == fsm.RegionPending {
		return nil, fmt.Errorf("region %s is %s: there is nothing to forget", name, stateName(o.State))
	}
	r.askForgotten(ctx, name)
	if o.State == fsm.RegionForgotten {
		return &Forgetting{Region: name, Fence: o.Fence, Elsewhere: r.stillKnownBy(r.members.node.State(), o), DryRun: dryRun}, nil
	}
	st, err := r.service.View(ctx)
	if err != nil {
		return nil, err
	}
	out := &Forgetting{Region: name, Fence: max(uint64(r.service.Now().UnixMilli()), st.Fenced()+1), DryRun: dryRun}
	r.mu.Lock()
	if f, ok := r.announced[name]; ok {
		out.Fence = f.Fence
	}
	r.mu.Unlock()
	out.KeysShared, out.PrimariesThere = st.SharedWith(name)
	out.IdentityHome = st.Home() != nil && st.Home().Name == name
	for _, p := range r.wire.Peers() {
		if p.Region == name {
			out.Reachable = p.Reachable
		}
	}
	for o := range st.OtherRegions() {
		if o.State == fsm.RegionFederated && o.Name != name && !r.saidForgotten(o.Name, name, out.Fence) {
			out.Elsewhere = append(out.Elsewhere, o.Name)
		}
	}
	if dryRun {
		return out, nil
	}
	if out.Reachable && !force {
		return nil, heldError{fmt.Errorf("region %s is reachable: it is not lost. Unfederate it, or, if its nodes are to be given up all the same, say --force", name)}
	}
	err = r.commit(ctx, &fsm.ForgetRegion{Name: name, Fence: out.Fence}, "ForgetRegion", name, Note{"fence", fmt.Sprint(out.Fence)})
	return out, err
}

// askForgotten hears from every reachable region what it has forgotten, so that two operators do not choose two fences.
func (r *Regions) askForgotten(ctx context.Context, name string) {
	self, _, err := r.describe(ctx)
	if err != nil {
		return
	}
	for _, p := range r.wire.Peers() {
		if p.Region == name || !p.Reachable {
			continue
		}
		limit, cancel := context.WithTimeout(ctx, 3*time.Second)
		said, err := r.hello(self, p.Region)
		if err == nil {
			err = r.greet(limit, p.Region, said)
		}
		cancel()
		if err != nil {
			r.log.Info("federation: a region was not asked what it has forgotten", "region", p.Region, "error", err)
		}
	}
}

// stillKnownBy are the federated regions that have not forgotten a region that is forgotten here, as far as they have told. Regions
// are forgotten in the order of their fences everywhere, so that their number tells which; before the synchronization has told the
// number, the leader may have heard it from the region itself.
func (r *Regions) stillKnownBy(st *fsm.State, o *fsm.OtherRegion) (names []string) {
	if o.State != fsm.RegionForgotten || o.Fence == 0 {
		return nil
	}
	rank := 0
	for other := range st.OtherRegions() {
		if other.Fence != 0 && other.Fence <= o.Fence {
			rank++
		}
	}
	for other := range st.OtherRegions() {
		if other.State == fsm.RegionFederated && other.Forgets < rank && !r.saidForgotten(other.Name, o.Name, o.Fence) {
			names = append(names, other.Name)
		}
	}
	return names
}

// saidForgotten tells that a region has said that it has forgotten another one, with this fence.
func (r *Regions) saidForgotten(by, name string, fence uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said[saying{by, name}] == fence
}

// saying names a region that was forgotten and the one that says so.
type saying struct{ by, forgotten string }

// Unforgotten tells of each region that was forgotten in some region where that has still to be done: in this one, or in others.
func (r *Regions) Unforgotten() map[string][]string {
	st := r.members.node.State()
	all := map[string][]string{}
	for o := range st.OtherRegions() {
		r.mu.Lock()
		_, elsewhere := r.announced[o.Name]
		r.mu.Unlock()
		switch {
		case o.State == fsm.RegionForgotten:
			all[o.Name] = r.stillKnownBy(st, o)
		case elsewhere:
			all[o.Name] = []string{r.service.Region()}
		}
	}
	return all
}

// remindAfter is how long a region must have been known elsewhere before that is said: those that have forgotten it before take a
// moment to tell.
const remindAfter = 5 * time.Second

// reminder is what the leader has said of a region that waits for an operator.
type reminder struct {
	state   fsm.RegionState
	since   time.Time
	in      string // where, at since
	said    string
	waiting bool // something was said, and not yet that it is over
}

// remind says which regions wait for consent, and in which regions one has still to be forgotten that is forgotten here, once for each
// change, and when that is done.
func (r *Regions) remind(log *slog.Logger, now time.Time, told map[string]*reminder) {
	st := r.members.node.State()
	for o := range st.OtherRegions() {
		if o.State != fsm.RegionIntroduced && (o.State != fsm.RegionForgotten || o.Fence == 0) {
			delete(told, o.Name)
			continue
		}
		m := told[o.Name]
		if m == nil || m.state != o.State {
			m = &reminder{state: o.State, since: now}
			told[o.Name] = m
		}
		if o.State == fsm.RegionIntroduced {
			if !m.waiting && now.Sub(m.since) >= remindAfter {
				m.waiting = true
				log.Warn("federation: a region was introduced and waits for this operator's consent", "region", o.Name, "by", o.By,
					"authority", fingerprint(o.CA), "command", "trent operator federate confirm "+o.Name)
			}
			continue
		}
		in := strings.Join(r.stillKnownBy(st, o), ", ")
		if in != m.in {
			m.in, m.since = in, now
		}
		switch {
		case in == "" && m.waiting:
			m.waiting, m.said = false, ""
			log.Info("federation: a region was forgotten everywhere", "region", o.Name)
		case in != "" && in != m.said && now.Sub(m.since) >= remindAfter:
			m.waiting, m.said = true, in
			log.Warn("federation: a region that is forgotten here has still to be forgotten elsewhere; until then none takes its place as primary",
				"region", o.Name, "in", in, "command", "trent operator region forget "+o.Name)
		}
	}
}

// forgottenHere are the regions that this one has forgotten.
func forgottenHere(st *fsm.State) (all []Forgotten) {
	for o := range st.OtherRegions() {
		if o.State == fsm.RegionForgotten {
			all = append(all, Forgotten{o.Name, o.Fence})
		}
	}
	return all
}

// maxForgottenSaid bounds what is remembered of one region's word on regions that it has forgotten.
const maxForgottenSaid = 64

// hearForgotten notes what another region has forgotten. It is not done here as well: that is for this region's operator.
func (r *Regions) hearForgotten(st *fsm.State, by string, all []Forgotten) {
	r.mu.Lock()
	maps.DeleteFunc(r.said, func(s saying, _ uint64) bool { return s.by == by })
	for _, f := range all[:min(len(all), maxForgottenSaid)] {
		r.said[saying{by, f.Region}] = f.Fence
	}
	r.mu.Unlock()
	for _, f := range all {
		o := st.OtherRegion(f.Region)
		if o == nil || o.State != fsm.RegionFederated || f.Fence <= st.Fenced() {
			continue
		}
		r.mu.Lock()
		_, known := r.announced[f.Region]
		if !known {
			r.announced[f.Region] = Forgotten{by, f.Fence}
		}
		r.mu.Unlock()
		if !known {
			r.log.Warn("federation: another region has forgotten a region that is federated here; if that is meant, forget it here too",
				"region", f.Region, "by", by, "fence", f.Fence, "command", "trent operator region forget "+f.Region)
		}
	}
}

package region

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/region/link"
)

// Lag is how far the synchronization with another region is behind, as the leader sees it.
type Lag struct {
	// Behind bounds the age of the oldest change of the region that this one has not taken over. It grows while the region cannot be
	// asked, whether there are such changes or not.
	Behind time.Duration
	// Delay is how long the changes that were taken over last had been made, 0 if there were none.
	Delay time.Duration
	// Missing is how many changed keys the region has told of that are not taken over yet.
	Missing int
	// Untaken is how many keys were changed here that the region has not taken over, UntakenAge the age of the oldest of these changes.
	Untaken    int
	UntakenAge time.Duration
	// Pending is the number of multi-Region keys shared with it about which something waits for another region.
	Pending int
}

// RegionInfo is a region as this node knows it.
type RegionInfo struct {
	Region      string   `json:"region"`
	State       string   `json:"state"` // self, federated, pending, introduced, forgotten
	By          string   `json:"introducedBy,omitempty"`
	ClusterID   string   `json:"clusterId"`
	Incarnation uint64   `json:"incarnation"`
	Authority   string   `json:"authority"` // fingerprint
	Addresses   []string `json:"addresses,omitempty"`
	// Members is the number of its nodes that are alive in the pool.
	Members     int       `json:"members"`
	Reachable   bool      `json:"reachable"`
	LastContact time.Time `json:"lastContact,omitzero"`
	// Lag is known on the leader: see the type of the same name. KeysShared counts the multi-Region keys with a member there.
	LagSeconds       *float64 `json:"lagSeconds,omitempty"`
	LastDelaySeconds *float64 `json:"lastDelaySeconds,omitempty"`
	MissingChanges   *int     `json:"missingChanges,omitempty"`
	UntakenChanges   *int     `json:"untakenChanges,omitempty"`
	UntakenSeconds   *float64 `json:"untakenSeconds,omitempty"`
	PendingChanges   *int     `json:"pendingChanges,omitempty"`
	KeysShared       int      `json:"keysShared"`
	Fence            uint64   `json:"fence,omitempty"`
	// ForgottenBy tells that a federated region has forgotten this one, with this fence.
	ForgottenBy *Forgotten `json:"forgottenBy,omitempty"`
	// StillKnownBy are the regions in which one that was forgotten here has still to be forgotten.
	StillKnownBy []string `json:"stillKnownBy,omitempty"`
	// IdentityHome is, of this region, where its identities are decided, IdentitySeconds for how long they may have been others there.
	IdentityHome    string   `json:"identityHome,omitempty"`
	IdentitySeconds *float64 `json:"identityStalenessSeconds,omitempty"`
	// FollowsHere tells that the other region's identities are decided in this one.
	FollowsHere bool `json:"followsIdentitiesHere,omitempty"`
	// SessionsAccepted tells that temporary credentials that the other region has made are good in this one.
	SessionsAccepted bool `json:"sessionsAccepted,omitempty"`
	// Problem is why the last exchange with it failed.
	Problem string `json:"problem,omitempty"`
}

// Forgotten is what a region says of one that it has forgotten.
type Forgotten struct {
	Region string `json:"region"` // that was forgotten, or in RegionInfo the one that says so
	Fence  uint64 `json:"fence"`
}

func stateName(s fsm.RegionState) string {
	switch s {
	case fsm.RegionPending:
		return "pending"
	case fsm.RegionFederated:
		return "federated"
	case fsm.RegionForgotten:
		return "forgotten"
	case fsm.RegionIntroduced:
		return "introduced"
	}
	return fmt.Sprint("state ", uint8(s))
}

// SetLag sets where the numbers of the synchronization come from, by region. They are known on the leader only.
func (r *Regions) SetLag(lag func() map[string]Lag) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lag = lag
}

// Lags are the numbers of the synchronization, nil where this node does not know them.
func (r *Regions) Lags() map[string]Lag {
	r.mu.Lock()
	lag := r.lag
	r.mu.Unlock()
	if _, leads := r.members.node.Leading(); lag == nil || !leads {
		return nil
	}
	return lag()
}

// List lists this region and the others, as this node sees them.
func (r *Regions) List(ctx context.Context) ([]RegionInfo, error) {
	st, err := r.service.View(ctx)
	if err != nil {
		return nil, err
	}
	if st.Region() == nil {
		return nil, errors.New("the region is not initialized")
	}
	members, lags := r.wire.Members(), r.Lags()
	peers := map[string]link.Peer{}
	for _, p := range r.wire.Peers() {
		peers[p.Region] = p
	}
	self := RegionInfo{
		Region: st.Region().Name, State: "self", ClusterID: st.Region().ClusterID, Incarnation: st.Region().Incarnation(),
		Addresses: r.addresses(st), Members: members[st.Region().Name], Reachable: true, LastContact: r.service.Now().UTC(),
	}
	if a := st.Authority(); a != nil {
		self.Authority = fingerprint(a.Cert)
	}
	if h := st.Home(); h != nil {
		age := r.service.IdentityStaleness(st).Seconds()
		self.IdentityHome, self.IdentitySeconds = h.Name, &age
	}
	all := []RegionInfo{self}
	for o := range st.OtherRegions() {
		info := RegionInfo{
			Region: o.Name, State: stateName(o.State), By: o.By, ClusterID: o.ClusterID, Incarnation: o.Incarnation, Authority: fingerprint(o.CA),
			Addresses: o.Addresses, Members: members[o.Name], Reachable: peers[o.Name].Reachable, Fence: o.Fence,
		}
		if at := peers[o.Name].LastContact; !at.IsZero() {
			info.LastContact = at.UTC()
		}
		info.KeysShared, _ = st.SharedWith(o.Name)
		info.FollowsHere, info.SessionsAccepted = o.Follows, st.AcceptsSessionsOf(o.Name)
		if lag, ok := lags[o.Name]; ok {
			behind, delay, untaken := lag.Behind.Seconds(), lag.Delay.Seconds(), lag.UntakenAge.Seconds()
			info.LagSeconds, info.LastDelaySeconds, info.UntakenSeconds = &behind, &delay, &untaken
			info.MissingChanges, info.UntakenChanges, info.PendingChanges = &lag.Missing, &lag.Untaken, &lag.Pending
		}
		info.StillKnownBy = stillKnownBy(st, o)
		r.mu.Lock()
		if t := r.talks[o.Name]; t != nil {
			info.Problem = t.failed
		}
		if f, ok := r.announced[o.Name]; ok && o.State != fsm.RegionForgotten {
			info.ForgottenBy = &f
		}
		r.mu.Unlock()
		all = append(all, info)
	}
	return all, nil
}

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
	// Elsewhere are the regions in which it has to be forgotten too, with the same fence.
	Elsewhere []string `json:"elsewhere,omitempty"`
	// IdentityHome tells that this region's identities are decided there: from then on they are decided here.
	IdentityHome bool `json:"identityHome,omitempty"`
	DryRun       bool `json:"dryRun,omitempty"`
}

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
	if o.State == fsm.RegionForgotten {
		return &Forgetting{Region: name, Fence: o.Fence, DryRun: dryRun}, nil
	}
	r.askForgotten(ctx, name)
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
		switch {
		case p.Region == name:
			out.Reachable = p.Reachable
		default:
			out.Elsewhere = append(out.Elsewhere, p.Region)
		}
	}
	if dryRun {
		return out, nil
	}
	if out.Reachable && !force {
		return nil, fmt.Errorf("region %s is reachable: it is not lost. Unfederate it, or, if its nodes are to be given up all the same, say --force", name)
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
		if p.Region != name && p.Reachable {
			limit, cancel := context.WithTimeout(ctx, 3*time.Second)
			said, err := r.hello(self, p.Region)
			if err == nil {
				err = r.greet(limit, p.Region, said)
			}
			if err != nil {
				r.log.Info("federation: a region was not asked what it has forgotten", "region", p.Region, "error", err)
			}
			cancel()
		}
	}
}

// stillKnownBy are the federated regions that have not forgotten a region that is forgotten here, as far as they have told. Regions
// are forgotten in the order of their fences everywhere, so that their number tells which.
func stillKnownBy(st *fsm.State, o *fsm.OtherRegion) (names []string) {
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
		if other.State == fsm.RegionFederated && other.Forgets < rank {
			names = append(names, other.Name)
		}
	}
	return names
}

// Unforgotten tells of each region that was forgotten in some region whether it has still to be forgotten in another one, or here.
func (r *Regions) Unforgotten() map[string]bool {
	st := r.members.node.State()
	all := map[string]bool{}
	for o := range st.OtherRegions() {
		r.mu.Lock()
		_, elsewhere := r.announced[o.Name]
		r.mu.Unlock()
		if o.State == fsm.RegionForgotten || elsewhere {
			all[o.Name] = o.State != fsm.RegionForgotten || len(stillKnownBy(st, o)) > 0
		}
	}
	return all
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

// hearForgotten notes what another region has forgotten. It is not done here as well: that is for this region's operator.
func (r *Regions) hearForgotten(st *fsm.State, by string, all []Forgotten) {
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
				"region", f.Region, "by", by, "fence", f.Fence)
		}
	}
}

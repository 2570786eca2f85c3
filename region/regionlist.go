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
	self := r.selfInfo(st)
	self.Members = members[self.Region]
	all := []RegionInfo{self}
	for o := range st.OtherRegions() {
		info := r.info(st, o, peers[o.Name])
		info.Members = members[o.Name]
		if lag, ok := lags[o.Name]; ok {
			info.lag(&lag)
		}
		all = append(all, info)
	}
	return all, nil
}

// selfInfo is what is known of this region, its nodes left out.
func (r *Regions) selfInfo(st *fsm.State) RegionInfo {
	self := RegionInfo{
		Region: st.Region().Name, State: "self", ClusterID: st.Region().ClusterID, Incarnation: st.Region().Incarnation(),
		Addresses: r.addresses(st), Reachable: true, LastContact: r.service.Now().UTC(),
	}
	if a := st.Authority(); a != nil {
		self.Authority = fingerprint(a.Cert)
	}
	if h := st.Home(); h != nil {
		age := r.service.IdentityStaleness(st).Seconds()
		self.IdentityHome, self.IdentitySeconds = h.Name, &age
	}
	return self
}

// info is what is known of another region, its nodes and the synchronization with it left out.
func (r *Regions) info(st *fsm.State, o *fsm.OtherRegion, p link.Peer) RegionInfo {
	info := RegionInfo{
		Region: o.Name, State: stateName(o.State), By: o.By, ClusterID: o.ClusterID, Incarnation: o.Incarnation, Authority: fingerprint(o.CA),
		Addresses: o.Addresses, Reachable: p.Reachable, Fence: o.Fence,
	}
	if at := p.LastContact; !at.IsZero() {
		info.LastContact = at.UTC()
	}
	info.KeysShared, _ = st.SharedWith(o.Name)
	info.FollowsHere, info.SessionsAccepted = o.Follows, st.AcceptsSessionsOf(o.Name)
	info.StillKnownBy = r.stillKnownBy(st, o)
	r.mu.Lock()
	if t := r.talks[o.Name]; t != nil && o.State != fsm.RegionForgotten {
		info.Problem = t.failed
	}
	if f, ok := r.announced[o.Name]; ok && o.State != fsm.RegionForgotten {
		info.ForgottenBy = &f
	}
	r.mu.Unlock()
	return info
}

// lag adds how far the synchronization is.
func (i *RegionInfo) lag(l *Lag) {
	behind, delay, untaken := l.Behind.Seconds(), l.Delay.Seconds(), l.UntakenAge.Seconds()
	i.LagSeconds, i.LastDelaySeconds, i.UntakenSeconds = &behind, &delay, &untaken
	i.MissingChanges, i.UntakenChanges, i.PendingChanges = &l.Missing, &l.Untaken, &l.Pending
}

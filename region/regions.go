package region

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/trentkms/trent/cluster/transport"
	"github.com/trentkms/trent/fsm"
	fed "github.com/trentkms/trent/region/federation"
)

// RegionsConfig says how this node meets those of other regions.
type RegionsConfig struct {
	// Advertise is where nodes of other regions reach this one, the cluster's address if empty; OwnAddress tells that it was given.
	Advertise  string
	OwnAddress bool
	// Seeds are addresses of nodes of other regions, besides those in the state.
	Seeds []string
}

// Regions looks after whom this region is federated with: tokens and consent, what regions tell each other of themselves, and
// the node's place in the pool of all nodes. It is safe for concurrent use.
type Regions struct {
	cfg     RegionsConfig
	service *Service
	members *Members
	wire    *fed.Federation
	log     *slog.Logger
	wake    chan struct{} // tells Follow that the state may have changed

	mu     sync.Mutex
	signed *signedDescription    // this region's, as it was signed last
	known  map[string]string     // node id -> address of this region's nodes
	talks  map[string]*talk      // by region
	lag    func() map[string]Lag // what the synchronization says of itself; nil without one
	// announced are regions that others have forgotten, with who says so.
	announced map[string]Forgotten
	// said are the fences by which regions have said that they have forgotten another one.
	said map[saying]uint64
}

// talk is how the exchange of descriptions with one region goes.
type talk struct {
	under  bool
	last   time.Time // of the last attempt
	told   []byte    // what the other region was told last
	failed string
	// met are the addresses at which somebody has taken or refused what this region, restored, says of itself; tried is when all were
	// tried again, for who runs the exchange. hurried tells that the exchange was repeated at once after a meeting.
	met     map[string]bool
	tried   time.Time
	hurried bool
}

// NewRegions takes a place among the nodes of other regions, on the node's own port.
func NewRegions(m *Members, wire *transport.Server, cfg RegionsConfig) *Regions {
	r := &Regions{
		cfg: cfg, service: m.service, members: m, log: m.log, wake: make(chan struct{}, 1), known: map[string]string{}, talks: map[string]*talk{},
		announced: map[string]Forgotten{}, said: map[saying]uint64{},
	}
	id := m.node.Identity()
	r.wire = fed.New(fed.Config{
		Region: m.service.Region(), ClusterID: id.ClusterID, Node: id.NodeID, Wire: wire, Advertise: cfg.Advertise, Seeds: cfg.Seeds, Logger: m.log,
		Leading: m.node.Leading,
		Leader: func() string {
			leader, _ := m.node.Leader()
			return string(leader.ID)
		},
		Neighbours: r.neighbours,
		Refused:    func(node string) error { return Refused(m.node.State(), node) },
		Control:    r.control,
		Exchange:   r.exchange,
		Meet:       r.serveMeeting,
	})
	return r
}

// Link is the way to the other regions.
func (r *Regions) Link() *fed.Federation { return r.wire }

// Close leaves the pool and ends the connections to other regions.
func (r *Regions) Close() { r.wire.Close() }

func (r *Regions) neighbours() map[string]string {
	all := map[string]string{}
	for n := range r.members.node.State().Nodes() {
		if n.ID != r.members.node.Identity().NodeID {
			all[n.ID] = n.Address
		}
	}
	return all
}

// followEvery is how often a node looks whether the regions in its state have changed.
const followEvery = 200 * time.Millisecond

// Follow keeps the node's connections in step with the state until ctx ends: with whom, and at which addresses.
func (r *Regions) Follow(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var last []byte
	for {
		if now := r.versions(); !bytes.Equal(now, last) {
			last = now
			r.wire.SetRegions(r.partners())
		}
		select {
		case <-tick.C:
		case <-r.wake:
		case <-ctx.Done():
			return
		}
	}
}

// nudge has Follow look now.
func (r *Regions) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// versions changes whenever the rows of other regions do, but for what synchronization notes in them.
func (r *Regions) versions() []byte {
	b := []byte{1}
	for o := range r.members.node.State().OtherRegions() {
		b = fmt.Appendf(b, "%s %d %d\n", o.Name, o.Version, o.State)
	}
	return b
}

// partners are the regions that this one has consented to.
func (r *Regions) partners() (all []fed.Region) {
	for o := range r.members.node.State().OtherRegions() {
		if o.State == fsm.RegionPending || o.State == fsm.RegionFederated {
			all = append(all, fed.Region{
				Name: o.Name, ClusterID: o.ClusterID, Authorities: [][]byte{o.CA}, Addresses: o.Addresses, Pending: o.State == fsm.RegionPending,
			})
		}
	}
	return all
}

// Times of the exchange of descriptions.
const (
	talkEvery   = 15 * time.Second
	talkRetry   = 3 * time.Second
	talkTick    = 250 * time.Millisecond
	talkTimeout = 10 * time.Second
)

// hello is what the leader of one region tells that of another, and its answer.
type hello struct {
	Self signedDescription `json:"self"`
	// Others are the regions that the sender is federated with besides the receiver: it introduces them.
	Others []description `json:"others,omitempty"`
	// Forgotten are the regions that the sender has forgotten.
	Forgotten []Forgotten `json:"forgotten,omitempty"`
}

// Speak tells the other regions of this one, while this node leads: at once when something has changed, else now and then.
func (r *Regions) Speak(ctx context.Context) {
	tick := time.NewTicker(talkTick)
	defer tick.Stop()
	told := map[string]*reminder{}
	var speechless time.Time // since when this region cannot describe itself, or that was said last; zero if it can
	for {
		r.remind(r.log, time.Now(), told)
		speechless = r.speakToAll(ctx, speechless)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// speakToAll begins an exchange with every region with which one is due. It takes and returns speechless as Speak has it.
func (r *Regions) speakToAll(ctx context.Context, speechless time.Time) time.Time {
	partners := r.partners()
	if len(partners) == 0 || r.members.node.State().Region().Reborn { // then it is nobody yet
		return speechless
	}
	self, _, err := r.describe(ctx)
	switch {
	case err == nil:
	case speechless.IsZero():
		return time.Now()
	case time.Since(speechless) < remindAfter || ctx.Err() != nil: // leaders change, and a quorum is away for a moment
		return speechless
	default:
		r.log.Warn("federation: this region cannot describe itself to the others", "error", err)
		return time.Now()
	}
	for _, p := range partners {
		if said, err := r.hello(self, p.Name); err == nil { // it is made of texts and numbers
			r.speakTo(ctx, p, said)
		}
	}
	return time.Time{}
}

// ownPort is this end of a connection in an error of package net. It is another one at each try, and tells nothing.
var ownPort = regexp.MustCompile(`\b((?:read|write) tcp) \S+->`)

// speakTo begins an exchange with a region if one is due.
func (r *Regions) speakTo(ctx context.Context, p fed.Region, said []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.talks[p.Name]
	if t == nil {
		t = &talk{met: map[string]bool{}}
		r.talks[p.Name] = t
	}
	wait := talkEvery
	switch {
	case t.failed == "" && !bytes.Equal(t.told, said):
		wait = 0
	case t.failed != "" || p.Pending:
		wait = talkRetry
	}
	if t.under || time.Since(t.last) < wait {
		return
	}
	t.under, t.last = true, time.Now()
	go func() {
		greeting, cancel := context.WithTimeout(ctx, talkTimeout)
		err := r.greet(greeting, p.Name, said)
		cancel()
		met, meeting := r.meetAll(ctx, p.Name, t, err != nil)
		r.mu.Lock()
		defer r.mu.Unlock()
		t.under = false
		if err != nil {
			text := ownPort.ReplaceAllString(errors.Join(err, meeting).Error(), "$1 ")
			if text != t.failed && ctx.Err() == nil {
				switch {
				case !p.Pending:
					r.log.Info("federation: a region does not answer", "region", p.Name, "error", err)
				case t.failed == "": // once: it refuses until then, in several ways
					r.log.Info("federation: a region does not answer; its operator may have to consent there", "region", p.Name, "error", err)
				}
				t.failed = text
			}
			if met && !t.hurried { // it should answer now
				t.hurried, t.last = true, time.Time{}
			}
			return
		}
		if t.failed != "" {
			r.log.Info("federation: the region answers again", "region", p.Name)
		}
		t.failed, t.told, t.hurried = "", said, false
	}()
}

// greet does one exchange.
func (r *Regions) greet(ctx context.Context, region string, said []byte) error {
	answer, err := r.wire.Control(ctx, region, said)
	if err != nil {
		return err
	}
	var back hello
	if err := json.Unmarshal(answer, &back); err != nil {
		return fmt.Errorf("the answer of region %s: %w", region, err)
	}
	return r.heard(ctx, region, &back)
}

// hello is what this region says to another.
func (r *Regions) hello(self *signedDescription, to string) ([]byte, error) {
	st := r.members.node.State()
	return json.Marshal(hello{Self: *self, Others: r.introductions(st, to), Forgotten: forgottenHere(st)})
}

// introductions are the regions that this one introduces to another.
func (r *Regions) introductions(st *fsm.State, to string) (all []description) {
	for o := range st.OtherRegions() {
		if o.State == fsm.RegionFederated && o.Name != to {
			all = append(all, describeRow(o, r.service.Partition()))
		}
	}
	return all
}

// control serves another region's description of itself, and answers with this region's.
func (r *Regions) control(ctx context.Context, from fed.Identity, request []byte) ([]byte, error) {
	var said hello
	if err := json.Unmarshal(request, &said); err != nil {
		return nil, errors.New("malformed request")
	}
	if err := r.heard(ctx, from.Region, &said); err != nil {
		r.log.Warn("federation: what a region says of itself is not taken", "region", from.Region, "node", from.Node, "error", err)
		return nil, err
	}
	self, _, err := r.describe(ctx)
	if err != nil {
		return nil, err
	}
	return r.hello(self, from.Region)
}

// heard takes over what a region that this one has consented to says of itself: it has consented too, or it would not speak.
// The connection proves the region; the signature proves that its HSM has said it, so that a node's certificate alone
// replaces no keys.
func (r *Regions) heard(ctx context.Context, from string, said *hello) error {
	d, err := said.Self.open()
	if err != nil {
		return err
	}
	st, err := r.service.View(ctx)
	if err != nil {
		return err
	}
	o := st.OtherRegion(from)
	switch {
	case o == nil || o.State != fsm.RegionPending && o.State != fsm.RegionFederated:
		return fed.ErrRefused
	case d.Name != o.Name || d.Partition != r.service.Partition():
		return fmt.Errorf("region %s describes itself as %s of partition %s", o.Name, d.Name, d.Partition)
	case !bytes.Equal(d.Signing, o.Signing):
		return fmt.Errorf("region %s describes itself under another signing key than the one that was pinned", o.Name)
	case d.Incarnation < o.Incarnation, d.Incarnation == o.Incarnation && d.ClusterID != o.ClusterID:
		return fmt.Errorf("the description is of an earlier life of region %s", o.Name)
	}
	if o.State == fsm.RegionPending || d.tells(o) {
		now := d.row(fsm.RegionFederated, o.CreatedAt)
		if err := r.put(ctx, now, o.Version); err != nil {
			return err
		}
		if o.State == fsm.RegionPending {
			r.log.Info("federation: federated", "region", o.Name)
		}
	}
	r.hearForgotten(st, o.Name, said.Forgotten)
	return r.introduced(ctx, st, o.Name, said.Others)
}

// put changes a region's row. That somebody else has changed it meanwhile is no error: the next exchange compares again.
func (r *Regions) put(ctx context.Context, row fsm.OtherRegion, was uint64) error {
	res, err := r.service.proposeOwn(ctx, &fsm.PutOtherRegion{Region: row, Was: was})
	if err == nil && res.Code != fsm.OK && res.Code != fsm.Stale {
		err = stateRefused(res)
	}
	r.nudge()
	return err
}

// introduced notes the regions that a partner vouches for and this one does not know. They wait for the operator's consent.
func (r *Regions) introduced(ctx context.Context, st *fsm.State, by string, others []description) error {
	for i := range others {
		d := &others[i]
		o := st.OtherRegion(d.Name)
		if d.check() != nil || d.Partition != r.service.Partition() || d.Name == r.service.Region() {
			continue
		}
		switch {
		case o == nil:
		case o.State == fsm.RegionIntroduced && o.By == by && d.tells(o):
		case o.State == fsm.RegionForgotten && d.Incarnation > o.Incarnation:
		default:
			continue
		}
		row, was := d.row(fsm.RegionIntroduced, r.service.Now().UnixMilli()), uint64(0)
		row.By = by
		if o != nil {
			was = o.Version
		}
		if err := r.put(ctx, row, was); err != nil {
			return err
		}
		r.log.Info("federation: a region was introduced and waits for consent", "region", d.Name, "by", by, "authority", fingerprint(d.CA))
	}
	return nil
}

package multiregion

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/fsm/planted"
)

// Identities that live in a home region: a region that follows asks its home, every second and when it is poked, what has changed after the
// index that it is at, and takes that over as one change. docs/multi-region.md has the protocol.

// Identities is what an engine asks of its region about identities; *region.Service is it.
type Identities interface {
	// HandOutSecrets wraps the secrets of access keys for another region's HSM: a fresh key, and one sealed secret for each access key.
	HandOutSecrets(ctx context.Context, st *fsm.State, to *fsm.OtherRegion, keys []fsm.AccessKey) (key []byte, sealed [][]byte, err error)
	// TakeInSecrets seals secrets that another region has handed out under this region's domain key, into the access keys.
	TakeInSecrets(ctx context.Context, st *fsm.State, key []byte, sealed [][]byte, keys []fsm.AccessKey) error
	// SignIdentities signs what is told to another region in answer to a nonce, VerifyIdentities checks that.
	SignIdentities(ctx context.Context, st *fsm.State, to *fsm.OtherRegion, nonce, told []byte) ([]byte, error)
	VerifyIdentities(st *fsm.State, from *fsm.OtherRegion, nonce, told, signature []byte) error
	// OperatorAccount is the account whose identities look after the region.
	OperatorAccount(st *fsm.State) string
}

// told is a part of what a home tells, as it is signed.
type told struct {
	Position uint64           `cbor:"1,keyasint"` // of the home's log: the same in all parts
	Full     bool             `cbor:"2,keyasint,omitempty"`
	Operator string           `cbor:"3,keyasint"`
	Rows     fsm.IdentityRows `cbor:"4,keyasint"`
	// Key is the wrapped key under which Secrets are sealed, one for each access key of the rows.
	Key     []byte   `cbor:"5,keyasint,omitempty"`
	Secrets [][]byte `cbor:"6,keyasint,omitempty"`
	// Digest is that of all identities at Position, if it was asked for.
	Digest []byte `cbor:"7,keyasint,omitempty"`
	// Followers are all regions that follow the home at Position: the same in all parts, and in everything that is signed.
	Followers []fsm.Follower `cbor:"8,keyasint,omitempty"`
}

const (
	// toldBytes is about how large a part gets before its last row: with that one it fits into a command.
	toldBytes = 160 << 10
	toldRows  = 2048
	// maxTold bounds the rows, maxToldBytes the bytes of one synchronization: they are gathered in memory before they are taken over.
	maxTold      = 2_000_000
	maxToldBytes = 512 << 20
	// noteEvery is how often the log learns how current the identities are while nothing changes.
	noteEvery = 10 * time.Second
	// decideTimeout bounds a decision at home: it commits a change, three times at most.
	decideTimeout = 10 * time.Second
	// holdFor is how long a home keeps the state that it tells in parts.
	holdFor = time.Minute
	// adoptFor is how long a region that has asked for identities in order to adopt this one counts as one that follows, unless it says so.
	adoptFor = time.Minute
)

// textModes read what a region tells: texts that clients have put need not be UTF-8.
var textModes = sync.OnceValue(func() cbor.DecMode {
	dec, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 16, MaxArrayElements: 8192, MaxMapPairs: 64,
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden, UTF8: cbor.UTF8DecodeInvalid,
	}.DecMode()
	if err != nil {
		panic("multiregion: CBOR decoding options: " + err.Error())
	}
	return dec
})

func decodeTold(b []byte) (*told, error) {
	var t told
	if err := textModes().Unmarshal(b, &t); err != nil {
		return nil, errors.New("multiregion: unreadable identities")
	}
	if len(t.Secrets) != len(t.Rows.AccessKeys) || t.Position == 0 {
		return nil, errors.New("multiregion: identities out of bounds")
	}
	if err := errors.Join(t.Rows.Check(), fsm.CheckFollowers(t.Followers)); err != nil {
		return nil, fmt.Errorf("multiregion: identities: %w", err)
	}
	return &t, nil
}

// held is a state that is told in parts to one region.
type held struct {
	st    *fsm.State
	since time.Time
}

// hold keeps the state for the next part.
func (e *Engine) hold(region string, st *fsm.State) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held[region] = held{st, time.Now()}
}

// heldFor returns the state that is told to a region, nil if that is not the one at an index; letGo forgets it.
func (e *Engine) heldFor(region string, index uint64) *fsm.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	h, ok := e.held[region]
	if !ok || time.Since(h.since) > holdFor || h.st.Index() != index {
		delete(e.held, region)
		return nil
	}
	return h.st
}

// letGo forgets the state that was told to a region.
func (e *Engine) letGo(region string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.held, region)
}

// letGoAll forgets all states that are told in parts.
func (e *Engine) letGoAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.held)
}

// sweepHeld forgets the states of regions that have stopped asking.
func (e *Engine) sweepHeld(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.held, func(_ string, h held) bool { return now.Sub(h.since) > holdFor })
}

// follows keeps in step with what a region says of where its identities live.
func (e *Engine) follows(ctx context.Context, st *fsm.State, from string, r *request) error {
	o := st.OtherRegion(from)
	following := r.Home == st.Region().Name
	if adopting := e.adopts(from, following, r.Kind == kindIdentities && !r.Look); adopting && (o.Follows || r.Kind == kindIdentities) {
		following = true
	}
	if following == o.Follows || following && (st.Home() != nil || !o.Allowed) {
		return nil
	}
	return e.propose(ctx, &fsm.PutFollower{Region: from, Incarnation: r.Incarnation, Follows: following})
}

// adopts tells whether a region is about to follow this one. Until it does, its other requests name another home: were they to end that
// it follows, two regions could adopt each other.
func (e *Engine) adopts(region string, follows, asks bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case follows:
		delete(e.adopting, region)
	case asks:
		e.adopting[region] = time.Now()
	}
	at, ok := e.adopting[region]
	return ok && time.Since(at) < adoptFor
}

// tellIdentities answers what has changed after a position, or all there is.
func (e *Engine) tellIdentities(ctx context.Context, st *fsm.State, from string, r *request) (*answer, error) {
	if h := st.Home(); h != nil {
		return nil, fmt.Errorf("the identities of region %s are decided in region %s: that is the one to follow", st.Region().Name, h.Name)
	}
	if !st.OtherRegion(from).Allowed {
		return nil, fmt.Errorf("region %s has not let region %s have its identities: its operator does that with 'trent operator region share %s'", st.Region().Name, from, from)
	}
	if e.cfg.Identities == nil || len(r.Nonce) != nonceSize {
		return nil, errors.New("a request out of bounds")
	}
	after, offset := r.Position, uint64(0)
	if r.Full || r.PositionIn != st.Region().Incarnation() || !st.IdentitiesSince(after) {
		after = 0
	}
	if r.Cursor != nil {
		if len(r.Cursor) != 24 {
			return nil, errors.New("unreadable cursor")
		}
		if st = e.heldFor(from, binary.BigEndian.Uint64(r.Cursor)); st == nil {
			return nil, errors.New("the state that was told in parts is not there any more; ask again from the beginning")
		}
		after, offset = binary.BigEndian.Uint64(r.Cursor[8:]), binary.BigEndian.Uint64(r.Cursor[16:])
	}
	t := &told{Position: st.Index(), Full: after == 0, Operator: e.cfg.Identities.OperatorAccount(st)}
	next := gather(st, after, offset, &t.Rows)
	a := &answer{}
	if next > 0 {
		e.hold(from, st)
		a.Next = binary.BigEndian.AppendUint64(nil, st.Index())
		a.Next = binary.BigEndian.AppendUint64(a.Next, after)
		a.Next = binary.BigEndian.AppendUint64(a.Next, next)
	} else {
		e.letGo(from)
		if r.Digest {
			sum := st.IdentityDigest()
			t.Digest = sum[:]
		}
	}
	sign := !t.Rows.Empty() || t.Full || r.Sign || st.FollowersAt() > after
	return a, e.sealTold(ctx, st, from, r.Nonce, sign, t, a)
}

// gather takes rows until a part is full, and returns where the next part begins, 0 at the end.
func gather(st *fsm.State, after, offset uint64, rows *fsm.IdentityRows) (next uint64) {
	size, n := 0, uint64(0)
	for row := range st.IdentityChanges(after) {
		if n++; n <= offset {
			continue
		}
		if size >= toldBytes || rows.Len() >= toldRows {
			return n - 1
		}
		rows.Add(row)
		size += rowSize(row)
	}
	return 0
}

// rowSize is about how many bytes a row takes.
func rowSize(row any) int {
	n := 256
	switch row := row.(type) {
	case *fsm.ManagedPolicy:
		for i := range row.Versions {
			n += len(row.Versions[i].Document) + 32
		}
		n += len(row.Description) + 512*len(row.Tags)
	case *fsm.Identity:
		for i := range row.Inline {
			n += len(row.Inline[i].Document) + 128
		}
		n += len(row.Trust) + len(row.Description) + 512*len(row.Tags) + 64*len(row.Attached) + 128*len(row.TrustPrincipals)
	case *fsm.OIDCProvider:
		n += len(row.Keys) + 256*len(row.ClientIDs) + 512*len(row.Tags)
	}
	return n
}

// sealTold wraps the secrets and signs. That there is nothing new is signed only if the other region asks for it, since it asks every second.
func (e *Engine) sealTold(ctx context.Context, st *fsm.State, from string, nonce []byte, sign bool, t *told, a *answer) (err error) {
	o := st.OtherRegion(from)
	fail := func(err error) error {
		e.log.Warn("identities: cannot tell a region that follows", "region", from, "error", err)
		return errors.New("the region cannot hand out its identities now")
	}
	if len(t.Rows.AccessKeys) > 0 {
		if t.Key, t.Secrets, err = e.cfg.Identities.HandOutSecrets(ctx, st, o, t.Rows.AccessKeys); err != nil {
			return fail(err)
		}
	}
	if sign {
		t.Followers = st.Followers()
	}
	if a.Told, err = encode(t); err != nil {
		return fail(err)
	}
	if sign {
		if a.Signature, err = e.cfg.Identities.SignIdentities(ctx, st, o, nonce, a.Told); err != nil {
			return fail(err)
		}
	}
	return nil
}

// fetched is what a home has told, as the commands that take it over: none if it has not signed that nothing is new.
type fetched struct {
	commands []*fsm.SyncIdentities
	rows     int
	digest   []byte
}

// fetchIdentities asks a region for what has changed, or for all that it has. look asks without following it.
func (e *Engine) fetchIdentities(ctx context.Context, region string, full, look, digest bool) (*fetched, error) {
	if e.cfg.Identities == nil {
		return nil, errors.New("multiregion: no identities")
	}
	st := e.cfg.Cluster.State()
	f := &fetched{}
	base := fsm.SyncIdentities{Home: region, CurrentAt: e.cfg.Cluster.Now().UnixMilli()}
	r := &request{Kind: kindIdentities, Full: full, Look: look, Digest: digest}
	if h := st.Home(); h != nil {
		base.WasIn, base.Was = h.Incarnation, h.Position
		if h.Name == region {
			r.PositionIn, r.Position = h.Incarnation, h.Position
			r.Sign = digest || base.CurrentAt >= h.CurrentAt+noteEvery.Milliseconds()
		}
	}
	for size := 0; ; {
		a, t, err := e.askIdentities(ctx, st, region, r)
		if err != nil {
			return nil, err
		}
		if t == nil {
			return f, nil
		}
		c := base
		c.Incarnation, c.Position, c.Full, c.Operator, c.Rows, c.Followers = a.Incarnation, t.Position, t.Full, t.Operator, t.Rows, t.Followers
		if n := len(f.commands); n > 0 {
			first := f.commands[0]
			if first.Incarnation != c.Incarnation || first.Position != c.Position || first.Full != c.Full || first.Operator != c.Operator ||
				!fsm.EqualFollowers(first.Followers, c.Followers) {
				return nil, fmt.Errorf("region %s has told parts of different states", region)
			}
		}
		if full && !t.Full || r.PositionIn != a.Incarnation && !t.Full {
			return nil, fmt.Errorf("region %s has told changes where all was asked for", region)
		}
		f.commands, f.rows = append(f.commands, &c), f.rows+t.Rows.Len()
		size += len(a.Told)
		if f.rows > maxTold || size > maxToldBytes {
			return nil, fmt.Errorf("region %s tells more identities than there can be", region)
		}
		if a.Next == nil {
			if digest {
				f.digest = t.Digest
			}
			break
		}
		switch {
		case t.Rows.Empty():
			return nil, fmt.Errorf("region %s tells an empty part, and that more are to come", region)
		case len(f.commands) == fsm.MaxIdentityParts:
			return nil, fmt.Errorf("region %s tells its identities in more parts than there can be", region)
		}
		r.Cursor = a.Next
	}
	for i, c := range f.commands {
		c.Part, c.Parts = i, len(f.commands)
	}
	return f, nil
}

// askIdentities asks for one part, checks who says it and takes the secrets into this region's HSM. It returns no part if the answer is that
// there is nothing new, without a signature: nothing else of such an answer counts, no position, and no time at which it was so.
func (e *Engine) askIdentities(ctx context.Context, st *fsm.State, region string, r *request) (*answer, *told, error) {
	r.Nonce = make([]byte, nonceSize)
	rand.Read(r.Nonce)
	a, err := e.call(ctx, region, r)
	if err != nil {
		return nil, nil, err
	}
	o := e.cfg.Cluster.State().OtherRegion(region)
	if o == nil || a.Incarnation < o.Incarnation {
		return nil, nil, fmt.Errorf("region %s answered from an earlier life", region)
	}
	t, err := decodeTold(a.Told)
	if err != nil {
		return nil, nil, fmt.Errorf("region %s: %w", region, err)
	}
	empty := t.Rows.Empty() && !t.Full && a.Next == nil
	if asked := r.Sign || r.Full || r.Cursor != nil || r.PositionIn != a.Incarnation; empty && !asked && a.Signature == nil {
		return a, nil, nil
	}
	from := *o
	from.Incarnation = a.Incarnation
	if err := e.cfg.Identities.VerifyIdentities(st, &from, r.Nonce, a.Told, a.Signature); err != nil {
		return nil, nil, fmt.Errorf("identities from region %s: %w", region, err)
	}
	if len(t.Secrets) > 0 {
		if err := e.cfg.Identities.TakeInSecrets(ctx, e.cfg.Cluster.State(), t.Key, t.Secrets, t.Rows.AccessKeys); err != nil {
			return nil, nil, fmt.Errorf("access keys from region %s: %w", region, err)
		}
	}
	return a, t, nil
}

// Identities returns the commands by which this region would take over all identities of another one, the last one to be adopted with.
// look asks without the other one's noting that this one follows it.
func (e *Engine) Identities(ctx context.Context, region string, look bool) ([]*fsm.SyncIdentities, error) {
	f, err := e.fetchIdentities(ctx, region, true, look, false)
	if err != nil {
		return nil, err
	}
	return f.commands, nil
}

// followHome takes over what the home tells until ctx ends.
func (e *Engine) followHome(ctx context.Context) {
	tick := time.NewTicker(e.cfg.Every)
	defer tick.Stop()
	var failed failing
	for n := 0; ; n++ {
		if st := e.cfg.Cluster.State(); st.Home() != nil && !st.Region().Reborn {
			home := st.Home().Name
			err := e.PullIdentities(ctx, n%rarely == rarely-1)
			if ctx.Err() == nil {
				fails, over := failed.note(err, time.Now())
				if over {
					e.log.Info("identities: in step with their home again", "home", home)
				}
				if fails {
					e.log.Warn("identities: cannot follow their home; this is tried again without end", "home", home, "error", err)
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-e.homeNews:
			n--
		}
	}
}

// PullIdentities takes over what the home has to tell. With check it also compares all identities with the home's, and takes all over if
// they differ.
func (e *Engine) PullIdentities(ctx context.Context, check bool) error {
	st := e.cfg.Cluster.State()
	h := st.Home()
	if h == nil {
		return nil
	}
	f, err := e.fetchIdentities(ctx, h.Name, h.HeardIn != st.Region().Incarnation(), false, check)
	if err != nil {
		return err
	}
	if err := e.takeIdentities(ctx, h, f); err != nil || f.digest == nil {
		return err
	}
	now := e.cfg.Cluster.State()
	if again := now.Home(); again == nil || again.Position > f.commands[0].Position || string(f.digest) == digestOf(now) {
		return nil
	}
	e.log.Error("identities: they are not what their home has; all of them are taken over anew", "home", h.Name)
	if f, err = e.fetchIdentities(ctx, h.Name, true, false, false); err != nil {
		return err
	}
	return e.takeIdentities(ctx, now.Home(), f)
}

func digestOf(st *fsm.State) string {
	sum := st.IdentityDigest()
	return string(sum[:])
}

// takeIdentities proposes what was fetched. Where nothing has changed, the log learns now and then that it has not.
func (e *Engine) takeIdentities(ctx context.Context, h *fsm.HomeRegion, f *fetched) error {
	if len(f.commands) == 0 {
		return nil
	}
	first := f.commands[0]
	others := !fsm.EqualFollowers(first.Followers, h.Followers)
	if f.rows == 0 && !others && !first.Full && first.Position < h.Position+maxBehind && first.CurrentAt < h.CurrentAt+noteEvery.Milliseconds() {
		return nil
	}
	if planted.Enabled && planted.Bug(planted.OlderIdentities) && f.rows > 0 && !first.Full {
		before := e.before.First("", f)
		defer func() { _, _ = e.cfg.Cluster.Propose(ctx, command(e.cfg.Cluster.State(), before.commands[0])) }()
	}
	for i, c := range f.commands {
		cmd := command(e.cfg.Cluster.State(), c)
		if i == len(f.commands)-1 && (f.rows > 0 || others) && e.cfg.IdentitiesSynchronized != nil {
			cmd.Audit = e.cfg.IdentitiesSynchronized(c, f.rows)
		}
		res, err := e.cfg.Cluster.Propose(ctx, cmd)
		if err != nil {
			return err
		}
		if res.Code != fsm.OK {
			return fmt.Errorf("the identities of region %s are not taken over: %s", c.Home, res.Detail)
		}
	}
	return nil
}

// Decide hands a request that changes identities to their home. It returns the answer, and the index of the home's log, in an incarnation,
// that this region has to reach before it may pass the answer on. A *link.Refusal is the home's refusal to decide at all.
func (e *Engine) Decide(ctx context.Context, home string, question []byte) (reply []byte, incarnation, position uint64, err error) {
	if err := e.outOfReach(home); err != nil {
		return nil, 0, 0, err
	}
	a, err := e.callWithin(ctx, decideTimeout, home, &request{Kind: kindDecide, Question: question})
	if err != nil {
		return nil, 0, 0, err
	}
	return a.Reply, a.Incarnation, a.Position, nil
}

// decide serves a request for a decision about identities.
func (e *Engine) decide(ctx context.Context, st *fsm.State, from string, r *request) (*answer, error) {
	if st.Home() != nil || e.cfg.Decide == nil || !st.OtherRegion(from).Allowed {
		return nil, errors.New("the region is not the home of identities")
	}
	reply, err := e.cfg.Decide(ctx, from, r.Question)
	if err != nil {
		return nil, err
	}
	return &answer{Reply: reply, Position: e.cfg.Cluster.State().IdentitiesChangedAt()}, nil
}

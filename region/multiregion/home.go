package multiregion

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/trentkms/trent/fsm"
)

// What a home does for the regions that follow it.

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

// heldFor returns the state that is told to a region; if that is not the one at this index, or too old, it is nil and forgotten.
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

// decide serves a request for a decision about identities.
func (e *Engine) decide(ctx context.Context, st *fsm.State, from string, r *request) (*answer, error) {
	if st.Home() != nil || e.cfg.Decide == nil {
		return nil, errors.New("the region is not the home of identities")
	}
	if !st.OtherRegion(from).Allowed {
		return nil, fmt.Errorf("region %s may not have the identities of this one", from)
	}
	reply, err := e.cfg.Decide(ctx, from, r.Question)
	if err != nil {
		return nil, err
	}
	return &answer{Reply: reply, Position: e.cfg.Cluster.State().IdentitiesChangedAt()}, nil
}

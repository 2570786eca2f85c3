package multiregion

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/fsm/planted"
)

// What a region does that follows its home.

// fetched is what a home has told, as the commands that take it over: none if it has not signed that nothing is new.
type fetched struct {
	commands []*fsm.SyncIdentities
	rows     int
	bytes    int
	digest   []byte
}

// add takes one more part in, which took so many bytes. All parts are of one state, and they are no more than there can be.
func (f *fetched) add(c *fsm.SyncIdentities, bytes int) error {
	if len(f.commands) > 0 {
		first := f.commands[0]
		if first.Incarnation != c.Incarnation || first.Position != c.Position || first.Full != c.Full || first.Operator != c.Operator ||
			!fsm.EqualFollowers(first.Followers, c.Followers) {
			return fmt.Errorf("region %s has told parts of different states", c.Home)
		}
	}
	f.commands, f.rows, f.bytes = append(f.commands, c), f.rows+c.Rows.Len(), f.bytes+bytes
	if f.rows > maxTold || f.bytes > maxToldBytes {
		return fmt.Errorf("region %s tells more identities than there can be", c.Home)
	}
	return nil
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
	for {
		a, t, err := e.askIdentities(ctx, st, region, r)
		if err != nil {
			return nil, err
		}
		if t == nil {
			return f, nil
		}
		c := base
		c.Incarnation, c.Position, c.Full, c.Operator, c.Rows, c.Followers = a.Incarnation, t.Position, t.Full, t.Operator, t.Rows, t.Followers
		if err := f.add(&c, len(a.Told)); err != nil {
			return nil, err
		}
		if !t.Full && (full || r.PositionIn != a.Incarnation) {
			return nil, fmt.Errorf("region %s has told changes where all was asked for", region)
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

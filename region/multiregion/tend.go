package multiregion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/trentkms/trent/fsm"
)

// tended is what a leader has looked at of the keys that it looks after.
type tended struct {
	// position is where the feed was, others what the regions were known to know, when all keys were looked at that wait for something.
	position uint64
	others   string
	// asked is, by region, the last key that it was asked for.
	asked map[string]fsm.KeyRef
}

// queue is what a region is to be asked for: what comes after the last key that it was asked for, and then from the beginning. A key that
// waits for ever is not in the way of those behind it.
type queue struct{ from, after []fsm.KeyRef }

func (q *queue) add(ref, asked fsm.KeyRef) {
	part := &q.after
	if compareRefs(ref, asked) <= 0 {
		part = &q.from
	}
	if len(*part) < maxWanted {
		*part = append(*part, ref)
	}
}

func (q *queue) refs() []fsm.KeyRef {
	all := append(q.after, q.from...)
	return all[:min(len(all), maxWanted)]
}

// known is what of the other regions' rows decides what is owed to a key that has not changed.
func known(st *fsm.State) string {
	b := fmt.Appendf(nil, "%d %v", st.Region().Incarnation(), st.Unheard())
	for o := range st.OtherRegions() {
		b = fmt.Appendf(b, "|%s %d %d %d", o.Name, o.State, o.Incarnation, o.Forgets)
	}
	return string(b)
}

// tend does what this region owes its sets and, when it is due, asks the regions on which something waits: most of them tell by
// themselves, by a poke. It looks at what has changed, when it is due at all keys that are known to wait for something, and with all, or
// when it has become known of a region what decides about others, at every key.
func (e *Engine) tend(ctx context.Context, seen *tended, all, due bool) error {
	st := e.cfg.Cluster.State()
	if st.Region() == nil || st.Region().Reborn {
		return nil
	}
	position, others := st.LastSetChange(), known(st)
	rows := st.SetChanges(seen.position, fsm.KeyRef{})
	if all = all || others != seen.others; all {
		rows = st.SetChanges(0, fsm.KeyRef{})
	} else if due {
		rows = st.Unsettled(fsm.KeyRef{})
	}
	var owed []fsm.KeyRef
	waiting := map[string]*queue{} // by the region that has to be asked
	for k := range rows {
		if !all && !k.Unsettled() {
			continue
		}
		ref := fsm.KeyRef{Account: k.Account, ID: k.ID}
		if st.Owes(k) {
			owed = append(owed, ref)
		}
		if !due {
			continue
		}
		for _, name := range waitsFor(st, k) {
			if waiting[name] == nil {
				waiting[name] = &queue{}
			}
			waiting[name].add(ref, seen.asked[name])
		}
	}
	slices.SortFunc(owed, compareRefs)
	for part := range slices.Chunk(owed, fsm.MaxSyncKeys) {
		if err := e.propose(ctx, &fsm.TendKeys{Keys: part}); err != nil {
			return err
		}
		e.Changed()
	}
	for name, q := range waiting {
		refs := q.refs()
		seen.asked[name] = refs[len(refs)-1]
		e.once(&e.peer(name).telling, func() { e.quietly(ctx, e.tell(ctx, name, refs)) })
	}
	seen.position, seen.others = position, others
	if all {
		e.once(&e.peer(st.Region().Name).ending, func() { e.quietly(ctx, e.dropEnds(ctx)) })
	}
	return nil
}

// quietly notes an error of what is tried again anyhow.
func (e *Engine) quietly(ctx context.Context, err error) {
	if ctx.Err() == nil && err != nil {
		e.log.Debug("multi-Region keys: a region on which something waits did not answer", "error", err)
	}
}

func compareRefs(a, b fsm.KeyRef) int {
	return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.ID, b.ID))
}

// waitsFor are the regions on which something about a key waits.
func waitsFor(st *fsm.State, k *fsm.Key) (names []string) {
	s, home := k.Set, st.Region().Name
	add := func(name string) {
		if o := st.OtherRegion(name); o != nil && o.State == fsm.RegionFederated && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch {
	case s.Updating != "":
		add(s.Updating)
	case s.Creating:
		add(s.Primary)
	case s.Replica:
	case k.PendingWindowDays != 0 && k.DeletionAt == 0:
		for i := range s.Members {
			add(s.Members[i].Region)
		}
	default:
		for i := range s.Members {
			m := &s.Members[i]
			if m.Region != home && (m.New != nil || k.Unsettled() && !m.Gone) {
				add(m.Region)
			}
		}
	}
	return names
}

// tell tells a region how keys stand here and takes over how they stand there.
func (e *Engine) tell(ctx context.Context, region string, refs []fsm.KeyRef) error {
	st := e.cfg.Cluster.State()
	var p part
	for _, ref := range refs {
		if k := st.Key(ref.Account, ref.ID); k != nil && k.Set != nil {
			if d := st.Doc(k); !d.Creating || d.Version.Index > 0 {
				p.add(d)
			}
		}
		if p.full() {
			break
		}
	}
	a, err := e.call(ctx, region, &request{Kind: kindTell, Docs: p.docs, Keys: refs})
	if err != nil {
		return err
	}
	return e.take(ctx, region, a.Incarnation, a.Docs)
}

// dropEnds forgets the ends of replicas that no other region has in the set any more.
func (e *Engine) dropEnds(ctx context.Context) error {
	st := e.cfg.Cluster.State()
	var drop []fsm.EndRef
	for end := range st.ReplicaEnds() {
		if len(drop) == fsm.MaxSyncKeys {
			break
		}
		over, err := e.endIsOver(ctx, st, end)
		if err != nil {
			return err
		}
		if over {
			drop = append(drop, fsm.EndRef{Account: end.Account, ID: end.ID, ChangedAt: end.ChangedAt})
		}
	}
	if len(drop) == 0 {
		return nil
	}
	return e.propose(ctx, &fsm.DropEnds{Ends: drop})
}

func (e *Engine) endIsOver(ctx context.Context, st *fsm.State, end *fsm.ReplicaEnd) (bool, error) {
	home := st.Region().Name
	ref := fsm.KeyRef{Account: end.Account, ID: end.ID}
	for _, name := range end.Members {
		o := st.OtherRegion(name)
		if name == home || o == nil || o.State != fsm.RegionFederated {
			continue
		}
		a, err := e.call(ctx, name, &request{Kind: kindTell, Keys: []fsm.KeyRef{ref}, Docs: []fsm.KeyDoc{*st.EndDoc(end)}})
		if err != nil {
			return false, errors.Join(errors.New("asking for keys that were deleted"), err)
		}
		for i := range a.Docs {
			d := &a.Docs[i]
			if d.ID == end.ID && slices.ContainsFunc(d.Members, func(m fsm.Member) bool { return m.Region == home }) {
				return false, e.take(ctx, name, a.Incarnation, a.Docs)
			}
		}
	}
	return true, nil
}

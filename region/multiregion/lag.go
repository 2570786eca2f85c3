package multiregion

import (
	"cmp"
	"slices"
	"time"

	"github.com/trentkms/trent/fsm"
)

// How far two regions are apart is measured in durations of one region's clock each: how long ago a change was made its own region
// knows, and how long its way took the other one adds. No two clocks are compared.

// moment is a position of this region's feed and when it was seen to be reached.
type moment struct {
	position uint64
	at       time.Time
}

// maxTrail bounds the trail. When it is full every second moment is dropped, so that it reaches back as far as the leadership does.
const maxTrail = 4096

// trail is when this region's feed reached which position, since the node leads. Ages are never below the true ones by more than
// watchEvery.
type trail struct {
	began   time.Time
	moments []moment // ascending
}

// note adds a position if it is a new one.
func (t *trail) note(position uint64, now time.Time) {
	if n := len(t.moments); n > 0 && t.moments[n-1].position >= position {
		return
	}
	if len(t.moments) >= maxTrail {
		half := t.moments[:0]
		for i := 0; i+1 < len(t.moments); i += 2 {
			// The later position with the earlier time: an age may become greater than the true one, never smaller.
			half = append(half, moment{t.moments[i+1].position, t.moments[i].at})
		}
		t.moments = half
	}
	t.moments = append(t.moments, moment{position, now})
}

// age is how long ago the change at a position was made; of changes from before the leadership, how long that has lasted.
func (t *trail) age(position uint64, now time.Time) time.Duration {
	i, _ := slices.BinarySearchFunc(t.moments, position, func(m moment, p uint64) int { return cmp.Compare(m.position, p) })
	if i < len(t.moments) {
		return now.Sub(t.moments[i].at)
	}
	return 0 // made just now, and not seen yet
}

// lead begins a leadership: what was measured in an earlier one is void.
func (e *Engine) lead(st *fsm.State, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trail = trail{began: now}
	e.trail.note(st.LastSetChange(), now)
	for _, p := range e.peers {
		p.Lock()
		p.lag = lag{}
		p.Unlock()
	}
}

// maxAge bounds what another region says of the age of its changes, in milliseconds: a hundred years.
const maxAge = 100 * 365 * 24 * 60 * 60 * 1000

// watch notes that the feed has moved on, and reports whether it has.
func (e *Engine) watch(st *fsm.State) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.trail.moments)
	was := n > 0 && e.trail.moments[n-1].position >= st.LastSetChange()
	e.trail.note(st.LastSetChange(), time.Now())
	return !was
}

func (e *Engine) age(position uint64) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.trail.age(position, time.Now())
}

// led is when this node began to lead and where the feed was then.
func (e *Engine) led() (began time.Time, position uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.trail.moments) > 0 {
		position = e.trail.moments[0].position
	}
	return e.trail.began, position
}

// lag is what was measured between this region and another one since the node leads.
type lag struct {
	// inStep is when the state was read up to which everything was taken over, delay how long the changes of the last part that was
	// taken over had been made, the oldest of them, and missing how many are known to be left.
	inStep  time.Time
	delay   time.Duration
	missing int
	// lacking is how many keys were left behind for want of their material; the next comparison tells how many still are.
	lacking int
	// asked tells that the other region has asked what came after position.
	asked    bool
	position uint64
}

// caughtUp notes that everything was taken over that there was when a pull began, unless there are keys that lack material, and tells
// whether it was.
func (p *peer) caughtUp(began time.Time) bool {
	p.Lock()
	defer p.Unlock()
	if p.lag.missing = p.lag.lacking; p.lag.lacking > 0 {
		return false
	}
	p.lag.inStep = began
	return true
}

// lacks notes how many keys a pull has left behind, or with all that a comparison has.
func (p *peer) lacks(n int, all bool) {
	p.Lock()
	defer p.Unlock()
	if !all {
		n = max(n, p.lag.lacking)
	}
	p.lag.lacking, p.lag.missing = n, max(n, p.lag.missing)
}

// misses notes how many changed keys another region has to tell.
func (e *Engine) misses(region string, n int) {
	p := e.peer(region)
	p.Lock()
	defer p.Unlock()
	p.lag.missing = n
}

// reportAge adds to an answer how old the changes in it are; of a pull it notes how far the other region is.
func (e *Engine) reportAge(st *fsm.State, from string, r *request, a *answer) {
	if first := oldest(a.Docs, st); first > 0 {
		a.Age = e.age(first).Milliseconds()
	}
	if r.Kind != kindPull || r.Cursor != nil {
		return
	}
	if a.Left = len(a.Docs); a.Next != nil {
		a.Left, _ = after(st, from, r.Position)
	}
	p := e.peer(from)
	p.Lock()
	defer p.Unlock()
	p.lag.asked, p.lag.position = true, r.Position
}

// oldest is the position of the first change among documents of this region, 0 if there are none.
func oldest(docs []fsm.KeyDoc, st *fsm.State) (first uint64) {
	for i := range docs {
		var at uint64
		if k := st.Key(docs[i].Account, docs[i].ID); k != nil && k.Set != nil {
			at = k.Set.ChangedAt
		} else if end := st.ReplicaEnd(docs[i].Account, docs[i].ID); end != nil {
			at = end.ChangedAt
		}
		if first == 0 || at < first {
			first = at
		}
	}
	return first
}

// took notes that a part of the other region's changes was taken over, of which its answer told how old the oldest was.
func (e *Engine) took(region string, a *answer, asked time.Time) {
	if len(a.Docs) == 0 {
		return
	}
	delay := time.Duration(a.Age)*time.Millisecond + time.Since(asked)
	p := e.peer(region)
	p.Lock()
	p.lag.delay = delay
	p.lag.missing = max(p.lag.lacking, p.lag.missing-len(a.Docs))
	p.Unlock()
	if e.cfg.TookOver != nil {
		e.cfg.TookOver(region, delay)
	}
}

// maxCounted bounds the counting of changes.
const maxCounted = 100_000

// after counts the keys changed after a position that concern a region, and returns the position of the first of them.
func after(st *fsm.State, region string, position uint64) (n int, first uint64) {
	count := func(at uint64) bool {
		if n == 0 || at < first {
			first = at
		}
		n++
		return n < maxCounted
	}
	for k := range st.SetChanges(position, fsm.KeyRef{}) {
		if concerns(k, region) && !count(k.Set.ChangedAt) {
			break
		}
	}
	for end := range st.EndChanges(position, fsm.KeyRef{}) {
		if endConcerns(end, region) && !count(end.ChangedAt) {
			break
		}
	}
	return n, first
}

// Status is how far this node knows its region to be in step with another one. What is measured is known while the node leads.
type Status struct {
	Region      string
	Incarnation uint64
	State       fsm.RegionState
	Position    uint64
	// LastContact is the last answer; zero if there was none.
	LastContact time.Time
	// Heard tells, of a restored region, that it has heard all that the other one knows.
	Heard bool

	// Behind bounds the age of the oldest change of the other region that this one has not taken over: everything older was taken
	// over. It grows while the other one cannot be asked.
	Behind time.Duration
	// Delay is how long it took from the change to its taking over, of the oldest change of those taken over last; 0 if there were none.
	Delay time.Duration
	// Missing is how many changed keys the other one has told of that are not taken over.
	Missing int
	// Untaken is how many keys were changed here that the other one has not taken over, and UntakenAge the age of the oldest of these
	// changes; at most that of the leadership.
	Untaken    int
	UntakenAge time.Duration
}

// Status returns the state of every known region, ordered by name.
func (e *Engine) Status() (all []Status) {
	st := e.cfg.Cluster.State()
	contact := map[string]time.Time{}
	for _, p := range e.cfg.Link.Peers() {
		contact[p.Region] = p.LastContact
	}
	began, start := e.led()
	for o := range st.OtherRegions() {
		p := e.peer(o.Name)
		p.Lock()
		l := p.lag
		s := Status{Region: o.Name, Incarnation: o.Incarnation, State: o.State, Position: o.Position, LastContact: p.lastCall, Delay: l.delay, Missing: l.missing}
		p.Unlock()
		s.Heard = st.Heard(o)
		s.Behind = time.Since(l.since(began, contact[o.Name]))
		position := start
		if l.asked {
			position = l.position
		}
		if o.State == fsm.RegionFederated {
			var first uint64
			if s.Untaken, first = after(st, o.Name, position); s.Untaken > 0 {
				s.UntakenAge = e.age(first)
			}
		}
		all = append(all, s)
	}
	return all
}

// since is up to when everything was taken over. Of a leader that has not caught up yet, it is when it began to lead, or when the
// region was heard last if that was earlier: then the leader before it had not caught up either.
func (l *lag) since(began, contact time.Time) time.Time {
	switch {
	case !l.inStep.IsZero():
		return l.inStep
	case !contact.IsZero() && contact.Before(began):
		return contact
	}
	return began
}

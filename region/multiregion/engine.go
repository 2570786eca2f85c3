package multiregion

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trentkms/trent/fsm"
	"github.com/trentkms/trent/fsm/planted"
	"github.com/trentkms/trent/region/link"
)

// Cluster is what an Engine asks of its region's Raft group; *cluster.Node is it.
type Cluster interface {
	// View returns the state after one linearizable read round.
	View(ctx context.Context) (*fsm.State, error)
	// State returns this node's own state, which may be behind.
	State() *fsm.State
	// Now is region time.
	Now() time.Time
	// Propose commits one command and returns its result once it is applied here.
	Propose(ctx context.Context, cmd fsm.Command) (fsm.Result, error)
}

// Materials moves key material between HSMs; *region.Service is it.
type Materials interface {
	// HandOut wraps materials for another region and signs the whole. It leaves out what this region has not, and what its HSM does not
	// hand out. shared says that the other region takes bundles with a Key.
	HandOut(ctx context.Context, st *fsm.State, to *fsm.OtherRegion, nonce []byte, wanted []Wanted, shared bool) (*Bundle, error)
	// TakeIn checks a bundle that came in answer to nonce and returns the materials, one for each item, wrapped under this region's
	// domain key. An error means that nothing of it is to be used.
	TakeIn(ctx context.Context, st *fsm.State, from *fsm.OtherRegion, nonce []byte, b *Bundle) ([]Taken, error)
	// TakesShared tells whether TakeIn takes bundles with a Key: whether the HSM can.
	TakesShared(st *fsm.State) bool
}

// Config is what an Engine is made of.
type Config struct {
	Cluster   Cluster
	Link      link.Link
	Materials Materials
	// Sessions is nil where regions do not open each other's session tokens.
	Sessions Sessions
	// Ask answers whether a caller of another region may do something here (Engine.Ask of the other side). The error's text is what
	// the other side is told.
	Ask func(ctx context.Context, from string, question []byte) ([]byte, error)
	// Synchronized renders the audit record of one synchronization of a key, whose primary is in a region.
	Synchronized func(account, keyID, primary string) []byte
	// TookOver is told how long changes of another region took until they were taken over, the oldest of each part. nil is none.
	TookOver func(region string, delay time.Duration)
	// Carried is told of each request to another region that was answered, with the bytes that both took. nil is none.
	Carried func(region string, sent, received int)
	// Identities moves identities between regions; nil moves none.
	Identities Identities
	// Decide decides about identities in the place of a region that follows this one, and returns what that is to answer. An error means
	// that nothing was decided.
	Decide func(ctx context.Context, from string, request []byte) ([]byte, error)
	// IdentitiesSynchronized renders the audit record of taking over what a home has told, with that many rows, for the operator's account.
	IdentitiesSynchronized func(c *fsm.SyncIdentities, rows int) []byte
	// Every is how often positions are exchanged; 1 s if 0. What happens rarely is a multiple of it.
	Every  time.Duration
	Logger *slog.Logger
}

// callTimeout bounds one call to another region, material included.
const callTimeout = 20 * time.Second

// askTimeout bounds a question: a client waits for the answer, for whom no answer is one too, and its SDK asks again.
const askTimeout = 3 * time.Second

// watchEvery is how often a leader looks whether the feed has moved on: changes also come in by the other nodes of the region.
const watchEvery = 50 * time.Millisecond

// rarely is how many ticks lie between full comparisons.
const rarely = 60

// Engine synchronizes one region with the others. It is safe for concurrent use.
type Engine struct {
	cfg Config
	log *slog.Logger

	mu    sync.Mutex
	peers map[string]*peer // guarded by mu
	trail trail            // guarded by mu
	held  map[string]held  // guarded by mu: by region, what is told it in parts
	// adopting tells when a region that does not follow this one yet asked for its identities last.
	adopting map[string]time.Time // guarded by mu
	// before is empty but where planted.OlderIdentities is planted.
	before planted.Memory[*fetched]
	// homeNews wakes whoever follows the home of the identities; it holds one token.
	homeNews chan struct{}
	// changed wakes whoever tells the others that there is something new; it holds one token.
	changed chan struct{}
	// background are the calls that nobody waits for; Run ends after them.
	background sync.WaitGroup
}

// peer is what this node remembers of another region while it runs.
type peer struct {
	wake chan struct{} // one token: there is something to pull
	// poking, telling and ending tell that such a call is on its way: a region that does not answer holds up nothing else.
	poking, telling, ending atomic.Bool
	sync.Mutex
	lastCall time.Time // guarded by Mutex: the last answer
	failed   failing   // guarded by Mutex
	lag      lag       // guarded by Mutex
	sessions uint64    // guarded by Mutex: answer.Sessions of the last answer
	pulled   pulled    // guarded by Mutex
}

// pulled is a position of another region's feed up to which there was nothing to take over, beyond the one that the log knows: idle regions
// write nothing. It counts within one life of both regions.
type pulled struct{ here, there, position uint64 }

// since is where to go on with a region's feed.
func (p *peer) since(st *fsm.State, o *fsm.OtherRegion) uint64 {
	p.Lock()
	defer p.Unlock()
	if p.pulled.here == st.Region().Incarnation() && p.pulled.there == o.Incarnation {
		return max(o.Position, p.pulled.position)
	}
	return o.Position
}

// New makes an engine. Nothing happens before Run; Serve works at once.
func New(cfg Config) *Engine {
	if cfg.Every == 0 {
		cfg.Every = time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Engine{
		cfg: cfg, log: cfg.Logger, peers: map[string]*peer{}, held: map[string]held{}, adopting: map[string]time.Time{},
		homeNews: make(chan struct{}, 1), changed: make(chan struct{}, 1),
	}
}

func (e *Engine) peer(region string) *peer {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.peers[region]
	if p == nil {
		p = &peer{wake: make(chan struct{}, 1)}
		e.peers[region] = p
	}
	return p
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Changed tells that a multi-Region key was changed here: the others learn it at once. It does not block.
func (e *Engine) Changed() { poke(e.changed) }

// Run synchronizes until ctx ends. Only the region's leader runs it, under the context of its term.
func (e *Engine) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer e.letGoAll()
	defer running.Wait()
	defer e.background.Wait()
	running.Go(func() { e.followHome(ctx) })
	follow := map[string]bool{}
	e.lead(e.cfg.Cluster.State(), time.Now())
	running.Go(func() { e.watchFeed(ctx) })
	tick := time.NewTicker(e.cfg.Every)
	defer tick.Stop()
	seen, waits := &tended{asked: map[string]fsm.KeyRef{}}, awaiting{}
	for n, all, due := 0, true, true; ; {
		st := e.cfg.Cluster.State()
		reborn := e.reborn(ctx, st) // then this region is nobody yet
		for _, name := range st.FederatedRegions() {
			if reborn {
				break
			}
			if !follow[name] {
				follow[name] = true
				running.Go(func() { e.follow(ctx, name) })
			}
		}
		e.announce(st)
		waits.note(e.log, st)
		if err := e.tend(ctx, seen, all, due); err != nil && ctx.Err() == nil {
			e.log.Warn("multi-Region keys: tending them failed and will be tried again", "error", err)
		}
		if err := e.keepSessions(ctx, st); err != nil && ctx.Err() == nil {
			e.log.Warn("sessions: the region has not got the session key that it needs; this is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n++
			all, due = n%rarely == 0, true
			e.sweepHeld(time.Now())
		case <-e.changed:
			all, due = false, false
			for _, name := range e.cfg.Cluster.State().FederatedRegions() {
				e.once(&e.peer(name).poking, func() { e.tellNews(ctx, name) })
			}
		}
	}
}

// watchFeed has changes told that this node has only applied, and keeps the trail.
func (e *Engine) watchFeed(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if e.watch(e.cfg.Cluster.State()) {
			poke(e.changed)
		}
	}
}

// reborn begins the new incarnation of a region that was restored from an older state, and tells whether it had to. The number is
// the time: no earlier life, and no other one that began with the same state, has it.
func (e *Engine) reborn(ctx context.Context, st *fsm.State) bool {
	if r := st.Region(); r == nil || !r.Reborn {
		return false
	}
	next := max(uint64(e.cfg.Cluster.Now().UnixMilli()), st.Region().Incarnation()+1)
	if err := e.propose(ctx, &fsm.BeginIncarnation{Incarnation: next, ClusterID: st.Region().ClusterID}); err != nil && ctx.Err() == nil {
		e.log.Warn("multi-Region keys: the restored region cannot begin its new incarnation yet", "error", err)
	}
	return true
}

// announce gossips the region's incarnation and the position of its last change.
func (e *Engine) announce(st *fsm.State) {
	if st.Region() == nil || st.Region().Reborn {
		return
	}
	digest := link.AppendIncarnation(nil, st.Region().Incarnation())
	e.cfg.Link.SetDigest(binary.BigEndian.AppendUint64(digest, st.LastSetChange()))
}

// once runs f in the background unless the last one of its kind still runs.
func (e *Engine) once(running *atomic.Bool, f func()) {
	if !running.CompareAndSwap(false, true) {
		return
	}
	e.background.Go(func() {
		defer running.Store(false)
		f()
	})
}

// tellNews pokes one region.
func (e *Engine) tellNews(ctx context.Context, region string) {
	_, err := e.call(ctx, region, &request{Kind: kindPoke})
	e.note(ctx, region, err)
}

// follow takes over what one region has to tell until ctx ends.
func (e *Engine) follow(ctx context.Context, region string) {
	p := e.peer(region)
	tick := time.NewTicker(e.cfg.Every)
	defer tick.Stop()
	for n, all := 0, false; ; {
		o := e.cfg.Cluster.State().OtherRegion(region)
		if o != nil && o.State == fsm.RegionFederated {
			began := time.Now()
			err := e.Pull(ctx, region, all)
			inStep := true
			if err == nil {
				inStep = p.caughtUp(began)
				err = e.takeSessions(ctx, region)
			}
			if err != nil || inStep {
				e.note(ctx, region, err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n++
			all = n%rarely == rarely-1
		case <-p.wake:
			all = false
		}
	}
}

// lasts is how long something must have failed before that is a warning: leaders change and nodes start, here and elsewhere.
const lasts = 5 * time.Second

// failing is a series of failures of one kind, about which is said once that it lasts and once that it is over.
type failing struct {
	since time.Time // zero if there is none
	said  bool
}

// note takes the outcome of one attempt, and tells whether to say now that it fails, or that it does no more.
func (f *failing) note(err error, now time.Time) (fails, over bool) {
	if err == nil {
		over = f.said
		*f = failing{}
		return false, over
	}
	if f.since.IsZero() {
		f.since = now
	}
	fails = !f.said && now.Sub(f.since) >= lasts
	f.said = f.said || fails
	return fails, false
}

// note logs that a region's changes cannot be had, and that this is over.
func (e *Engine) note(ctx context.Context, region string, err error) {
	if ctx.Err() != nil {
		return
	}
	p := e.peer(region)
	p.Lock()
	fails, over := p.failed.note(err, time.Now())
	p.Unlock()
	if over {
		e.log.Info("multi-Region keys: in step with the region again", "region", region)
	}
	if fails {
		e.log.Warn("multi-Region keys: cannot synchronize with the region; this is tried again without end", "region", region, "error", err)
	}
}

// call sends a request and reads the answer.
func (e *Engine) call(ctx context.Context, region string, r *request) (*answer, error) {
	return e.callWithin(ctx, callTimeout, region, r)
}

func (e *Engine) callWithin(ctx context.Context, limit time.Duration, region string, r *request) (*answer, error) {
	st := e.cfg.Cluster.State()
	if st.Region() == nil || st.Region().Reborn {
		return nil, errors.New("multiregion: the region is not initialized, or has not begun its new incarnation")
	}
	r.Version, r.Incarnation, r.Forgets = version, st.Region().Incarnation(), st.Forgets()
	if h := st.Home(); h != nil {
		r.Home = h.Name
	}
	b, err := encode(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, err := e.cfg.Link.Call(ctx, region, b)
	if err != nil {
		return nil, err
	}
	if e.cfg.Carried != nil {
		e.cfg.Carried(region, len(b), len(out))
	}
	a, err := decodeAnswer(out)
	if err != nil {
		return nil, fmt.Errorf("region %s: %w", region, err)
	}
	p := e.peer(region)
	p.Lock()
	p.lastCall, p.sessions = time.Now(), a.Sessions
	p.Unlock()
	return a, nil
}

// Ask puts a question to another region and returns its answer, within askTimeout. A *link.Refusal is the other side's no. A region
// that is known to be out of reach is not asked.
func (e *Engine) Ask(ctx context.Context, region string, question []byte) ([]byte, error) {
	if err := e.outOfReach(region); err != nil {
		return nil, err
	}
	a, err := e.callWithin(ctx, askTimeout, region, &request{Kind: kindAsk, Question: question})
	if err != nil {
		return nil, err
	}
	return a.Reply, nil
}

// outOfReach is the error of asking a region that is known to be out of reach, while a client waits.
func (e *Engine) outOfReach(region string) error {
	for _, p := range e.cfg.Link.Peers() {
		if p.Region == region && !p.Reachable && !p.LastContact.IsZero() {
			return fmt.Errorf("%w (%s): it was last heard %v ago", link.ErrUnreachable, region, time.Since(p.LastContact).Round(time.Second))
		}
	}
	return nil
}

// propose commits a change of the engine's own. A refusal is no error: what it was about has changed meanwhile.
func (e *Engine) propose(ctx context.Context, body fsm.Body) error {
	_, err := e.cfg.Cluster.Propose(ctx, command(e.cfg.Cluster.State(), body))
	return err
}

// command is a new command, as of a state.
func command(st *fsm.State, body fsm.Body) fsm.Command {
	var id fsm.CommandID
	rand.Read(id[:])
	return fsm.Command{ID: id, Attempt: 1, Time: st.Now(), Body: body}
}

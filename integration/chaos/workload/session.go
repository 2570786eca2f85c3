package workload

import (
	"context"
	"fmt"
	"math"
	"math/rand"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/trentkms/trent/integration/chaos/history"
)

// session is one client of a workload.
type session struct {
	t        *Target
	workload string
	client   int
	rng      *rand.Rand
	rec      func(history.Op)
	silent   sync.Map // nodes that did not answer a patient client
}

// door is a node, or a load balancer, of a region.
type door struct {
	region string
	Node
}

// entry chooses a door of a region: mostly the client's own node, sometimes any.
func (s *session) entry(region int) door {
	r := &s.t.Regions[region]
	all := r.doors()
	if s.rng.Intn(4) > 0 {
		return door{r.Name, all[s.client%len(all)]}
	}
	return door{r.Name, all[s.rng.Intn(len(all))]}
}

// here chooses a door of the first region, where all workloads but one live.
func (s *session) here() door { return s.entry(0) }

// everywhere are all nodes of a region; none where a stored history is judged.
func (t *Target) everywhere(region int) []door {
	if region >= len(t.Regions) {
		return nil
	}
	r := &t.Regions[region]
	var all []door
	for _, n := range r.Nodes {
		all = append(all, door{r.Name, n})
	}
	return all
}

func (s *session) kms(d door) *kms.Client { return s.t.KMS(d.region, d.URL, s.t.root(d.region)) }
func (s *session) iam(d door) *iam.Client { return s.t.IAM(d.region, d.URL, s.t.root(d.region)) }

// turn is whom the attempts of a call ask: the same door each time, or every door of the region in turn.
func (s *session) turn(d door) []Node {
	turn := []Node{d.Node}
	if s.client >= finalClient || s.rng.Intn(2) == 0 {
		return turn
	}
	for _, r := range s.t.Regions {
		for _, n := range r.doors() {
			if r.Name == d.region && n.Name != d.Name {
				turn = append(turn, n)
			}
		}
	}
	return turn
}

// do runs one operation and records it. Some answers of changes are lost on the way, so that the client tries again; a secret that is
// shown once is not among them, since such a call is not remembered.
//
// f fills op.Out on success, and op.Key comes from Out key where the service chose it. The call is not cut short by the end of the run, so
// that the history has few unknown outcomes.
func (s *session) do(d door, op history.Op, write bool, f func(ctx context.Context, out map[string]string) error) history.Op {
	tr := &trace{id: fmt.Sprintf("%s-%d", s.workload, s.t.calls.Add(1)), doors: s.turn(d)}
	tr.lose = write && op.Kind != "CreateAccessKey" && s.client < finalClient && s.rng.Intn(20) == 0
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), traceKey{}, tr), time.Duration(s.t.attempts())*s.t.timeout()+time.Second)
	defer cancel()
	op.Workload, op.Client, op.Region = s.workload, s.client, d.region
	if op.In == nil {
		op.In = make(map[string]string)
	}
	op.Out = make(map[string]string)
	op.In["call"] = tr.id
	if !write {
		op.In["read"] = "1"
	}
	op.Call = s.t.Clock.Now()
	err := f(ctx, op.Out)
	op.Return = s.t.Clock.Now()
	op.Node = tr.last()
	sent, ambiguous, request := tr.seen()
	op.In["attempts"] = strconv.Itoa(sent)
	op.Outcome, op.Error = outcome(err, ambiguous, write)
	switch op.Outcome {
	case history.Unknown:
		op.Return = math.MaxInt64
		op.Out = nil
	case history.OK, history.Refused:
		op.Out["request"] = request
	}
	if op.Key == "" {
		op.Key = op.Out["key"]
	}
	s.rec(op)
	return op
}

func (s *session) write(d door, kind, key string, in map[string]string, f func(ctx context.Context, out map[string]string) error) history.Op {
	return s.do(d, history.Op{Kind: kind, Key: key, In: in}, true, f)
}

func (s *session) read(d door, kind, key string, in map[string]string, f func(ctx context.Context, out map[string]string) error) history.Op {
	return s.do(d, history.Op{Kind: kind, Key: key, In: in}, false, f)
}

// pause waits between two operations of a client, longer after one that got no answer.
func (s *session) pause(ctx context.Context, last history.Op) {
	d := s.t.pace()
	if last.Outcome == history.Unknown || last.Outcome == history.Failed {
		d = max(d, 50*time.Millisecond)
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// together runs f a number of times at once, each with a session of its own, and returns when all have ended: some faults show only
// where calls meet. The sessions count as further clients. It returns what they did.
func (s *session) together(n int, f func(i int, s *session)) []history.Op {
	var (
		wait sync.WaitGroup
		book notebook
	)
	rec := func(op history.Op) {
		s.rec(op)
		book.rec(op)
	}
	for i := range n {
		other := &session{t: s.t, workload: s.workload, client: s.client + 100*(i+1), rng: rand.New(rand.NewSource(s.rng.Int63())), rec: rec}
		wait.Go(func() { f(i, other) })
	}
	wait.Wait()
	return book.ops
}

// patience is how often a call at a healed cluster is tried.
const patience = 10

// insist repeats a call at a healed cluster until it is answered. Of a node that did not answer for so long, further calls are not
// repeated.
func (s *session) insist(f func() history.Op) history.Op {
	for n := 1; ; n++ {
		op := f()
		if op.Outcome == history.OK || op.Outcome == history.Refused {
			return op
		}
		if _, known := s.silent.Load(op.Node); known {
			return op
		}
		if n == patience {
			s.silent.Store(op.Node, true)
			return op
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// notebook collects operations.
type notebook struct {
	mu  sync.Mutex
	ops []history.Op
}

func (n *notebook) rec(op history.Op) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ops = append(n.ops, op)
}

// hand gives what was collected to rec, and forgets it.
func (n *notebook) hand(rec func(history.Op)) {
	n.mu.Lock()
	ops := n.ops
	n.ops = nil
	n.mu.Unlock()
	for _, op := range ops {
		rec(op)
	}
}

// finalClient is the number of the client that reads at the end, setupClient of the one that prepares.
const finalClient, setupClient = 1_000_000, 1_000_001

// setup is a session before the run. What it records is handed over by the first client.
func (t *Target) setup(workload string, n *notebook) *session {
	return &session{t: t, workload: workload, client: setupClient, rng: rand.New(rand.NewSource(1)), rec: n.rec}
}

// final is a session after the run, which records for the run's history as well.
func (t *Target) final(workload string, n *notebook) *session {
	rec := n.rec
	if t.Record != nil {
		rec = func(op history.Op) {
			n.rec(op)
			t.Record(op)
		}
	}
	return &session{t: t, workload: workload, client: finalClient, rng: rand.New(rand.NewSource(2)), rec: rec}
}

// slot holds something that clients share, such as a key, for a bounded number of operations: a checker's search stays short.
type slot[T any] struct {
	v             T
	uses, unknown int
	replacing     bool
}

// slots are what clients share at a time.
type slots[T any] struct {
	maxUses, maxUnknown int

	mu  sync.Mutex
	now []*slot[T]
	all []T // all that ever were
}

func (s *slots[T]) add(v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = append(s.now, &slot[T]{v: v})
	s.all = append(s.all, v)
}

func (s *slots[T]) pick(rng *rand.Rand) *slot[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now[rng.Intn(len(s.now))]
}

// spent notes operations and tells whether the caller is to replace the slot.
func (s *slots[T]) spent(x *slot[T], ops ...history.Op) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, op := range ops {
		x.uses++
		if op.Outcome == history.Unknown {
			x.unknown++
		}
	}
	if x.replacing || x.uses < s.maxUses && x.unknown < s.maxUnknown {
		return false
	}
	x.replacing = true
	return true
}

// replace puts v in the place of x; ok false keeps x a while longer.
func (s *slots[T]) replace(x *slot[T], v T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !ok {
		x.replacing = false
		return
	}
	for i := range s.now {
		if s.now[i] == x {
			s.now[i] = &slot[T]{v: v}
		}
	}
	s.all = append(s.all, v)
}

func (s *slots[T]) ever() []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]T(nil), s.all...)
}

// fill makes the first n, with the error that one could not be made.
func (s *slots[T]) fill(on *session, n int, what string, make func(*session) (T, bool)) error {
	for range n {
		v, ok := make(on)
		if !ok {
			return fmt.Errorf("%s: no %s could be made", on.workload, what)
		}
		s.add(v)
	}
	return nil
}

// turn notes operations, and replaces x once it is spent.
func (s *slots[T]) turn(on *session, x *slot[T], make func(*session) (T, bool), ops ...history.Op) {
	if s.spent(x, ops...) {
		v, ok := make(on)
		s.replace(x, v, ok)
	}
}

// weighted chooses the index of a weight.
func weighted(rng *rand.Rand, weights ...int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := rng.Intn(sum)
	for i, w := range weights {
		if n -= w; n < 0 {
			return i
		}
	}
	return len(weights) - 1
}
